"""What SCIP this process runs, and whether Ecole and PySCIPOpt share it."""

from __future__ import annotations

from dataclasses import dataclass

import ecole
import pyscipopt

from gnn_branching.solver.scip_library import mapped_scip_libraries


@dataclass(frozen=True, slots=True, kw_only=True)
class ScipEnvironment:
    """The solver side of the process.

    Args:
        scip_version: Version of the SCIP library that PySCIPOpt calls.
        pyscipopt_version: Version of PySCIPOpt.
        ecole_version: Version of Ecole.
        libraries: Files of every libscip mapped into the process; exactly one, or Ecole cannot see live models.
    """

    scip_version: str
    pyscipopt_version: str
    ecole_version: str
    libraries: tuple[str, ...]


def scip_environment() -> ScipEnvironment:
    """Describe the SCIP in this process."""
    model = pyscipopt.Model()
    return ScipEnvironment(
        scip_version=f"{model.getMajorVersion()}.{model.getMinorVersion()}.{model.getTechVersion()}",
        pyscipopt_version=str(pyscipopt.__version__),
        ecole_version=str(ecole.__version__),
        libraries=mapped_scip_libraries(),
    )
