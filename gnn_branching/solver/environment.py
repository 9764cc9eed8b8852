"""What SCIP this process runs, and whether Ecole and PySCIPOpt share it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pyscipopt

from gnn_branching.libraries import EXTRAS
from gnn_branching.solver.ecole_module import load_ecole


@dataclass(frozen=True, slots=True, kw_only=True)
class ScipEnvironment:
    """The solver side of the process.

    Args:
        scip_version: Version of the SCIP library that PySCIPOpt calls.
        pyscipopt_version: Version of PySCIPOpt.
        ecole_version: Version of Ecole; None where it is not installed.
        libraries: Files of every libscip mapped into the process; exactly one, or Ecole cannot see live models.
    """

    scip_version: str
    pyscipopt_version: str
    ecole_version: str | None
    libraries: tuple[str, ...]


def scip_environment() -> ScipEnvironment:
    """Describe the SCIP in this process.

    Raises:
        InputError: If Ecole is installed and does not load.
    """
    ecole_version = None if EXTRAS["ecole"].missing() else str(load_ecole().__version__)
    model = pyscipopt.Model()
    return ScipEnvironment(
        scip_version=f"{model.getMajorVersion()}.{model.getMinorVersion()}.{model.getTechVersion()}",
        pyscipopt_version=str(pyscipopt.__version__),
        ecole_version=ecole_version,
        libraries=mapped_scip_libraries(),
    )


def mapped_scip_libraries() -> tuple[str, ...]:
    """Return the files of all libscip mapped into this process; empty where the system does not tell (macOS)."""
    maps = Path("/proc/self/maps")
    if sys.platform != "linux" or not maps.exists():
        return ()
    paths = (line.split()[-1] for line in maps.read_text().splitlines() if "/" in line)
    return tuple(sorted({path for path in paths if Path(path).name.startswith(("libscip-", "libscip."))}))
