"""The one place that supervises processes at work: their threads, their memory, whose death ends them, how they ended.

Executors (collection) and guarded solves (evaluation) both start processes, and both take all of this from here.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import psutil

ONE_THREAD: Mapping[str, str] = MappingProxyType(
    {
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "NUMEXPR_NUM_THREADS": "1",
        "VECLIB_MAXIMUM_THREADS": "1",
        "NUMBA_NUM_THREADS": "1",
    }
)
"""Environment variables that give every library one thread; libraries read them when they are imported."""

_PR_SET_PDEATHSIG = 1
"""From Linux's ``prctl.h``: the signal that a process gets when the one that started it dies."""


def worker_environment() -> dict[str, str]:
    """Return the variables that a new process at work is given: one thread in every library, this import path."""
    return {**ONE_THREAD, "PYTHONPATH": os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)}


def die_with(owner: int) -> None:
    """Ask Linux to kill this process when the one that started it dies; elsewhere it does nothing.

    Args:
        owner: The process that the work is for: this one's parent, or the parent of the fork server that started it.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # Whoever died before that call sends no signal. In a container, the owner itself may be process 1.
    if os.getppid() == 1 != owner or not psutil.pid_exists(owner):
        os._exit(1)


def limit_memory(limit_mib: int) -> None:
    """Make allocations of this process fail beyond a limit; Linux only, elsewhere it does nothing."""
    if not sys.platform.startswith("linux"):
        return
    # Of data, not of address space: libraries reserve far more of that than they ever touch.
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = limit_mib << 20
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def ending(exit_code: int | None) -> str:
    """Say how a process ended: with an exit code, or by a signal, which Python tells as a negative one."""
    if exit_code is None or exit_code >= 0:
        return f"ended with exit code {exit_code}"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    return f"died of {name}" + (" (out of memory?)" if -exit_code == signal.SIGKILL else "")
