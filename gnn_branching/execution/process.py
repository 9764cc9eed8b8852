"""What every process that does work has in common: threads, memory, whose death ends it, and how it ended."""

from __future__ import annotations

import ctypes
import resource
import signal
import sys

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
)
"""Environment variables by which libraries are told how many threads they may have; all of them are read at import."""

_PR_SET_PDEATHSIG = 1
"""From Linux's ``prctl.h``: the signal that a process gets when the one that started it dies."""


def die_with_parent() -> None:
    """Ask Linux to kill this process when the one that started it dies; elsewhere it does nothing.

    The parent may be dead already: whoever calls this must look, afterwards.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def limit_memory(limit_mib: int) -> None:
    """Make allocations of this process fail beyond a limit; Linux only, elsewhere it does nothing."""
    if not sys.platform.startswith("linux"):
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = limit_mib << 20
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def signal_name(exit_code: int) -> str:
    """Return the name of the signal behind a negative exit code."""
    try:
        return signal.Signals(-exit_code).name
    except ValueError:
        return f"signal {-exit_code}"
