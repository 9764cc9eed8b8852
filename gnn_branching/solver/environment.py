"""What SCIP this process runs, and whether Ecole and PySCIPOpt share it."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pyscipopt

from gnn_branching.libraries import EXTRAS
from gnn_branching.solver.ecole_module import load_ecole

_get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_get_pointer.restype, _get_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]


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
    return ScipEnvironment(
        scip_version=scip_version(),
        pyscipopt_version=str(pyscipopt.__version__),
        ecole_version=ecole_version,
        libraries=mapped_scip_libraries(),
    )


def scip_version() -> str:
    """Return the version of the SCIP library that PySCIPOpt calls."""
    model = pyscipopt.Model()
    return f"{model.getMajorVersion()}.{model.getMinorVersion()}.{model.getTechVersion()}"


def mapped_scip_libraries() -> tuple[str, ...]:
    """Return the files of all libscip mapped into this process; empty where the system does not tell (macOS)."""
    maps = Path("/proc/self/maps")
    if sys.platform != "linux" or not maps.exists():
        return ()
    paths = (line.split()[-1] for line in maps.read_text().splitlines() if "/" in line)
    return tuple(sorted({path for path in paths if Path(path).name.startswith(("libscip-", "libscip."))}))


@cache
def scip_library() -> Path:
    """Return the file of the SCIP library that PySCIPOpt calls; looked up once, as every file that is read asks for it.

    Raises:
        ImportError: If it is not found.
    """
    mapped = mapped_scip_libraries()
    if mapped:
        return Path(mapped[0])
    folders = (Path(pyscipopt.__file__).parent / ".dylibs", Path(sys.prefix) / "lib")
    for folder in folders:
        for path in sorted(folder.glob("libscip*.dylib")):
            return path
    raise ImportError(f"PySCIPOpt's libscip was not found in {' or '.join(map(str, folders))}")


def address_of(model: pyscipopt.Model) -> int:
    """Return the address of a model's ``SCIP*``; it does not keep the model alive."""
    return int(_get_pointer(model.to_ptr(give_ownership=False), b"scip"))
