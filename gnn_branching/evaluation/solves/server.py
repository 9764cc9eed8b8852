"""The process that solving processes are forked from: what every solve imports is imported once.

A solve of half a second would otherwise wait for more than a second of imports. The server has one thread, solves
nothing itself, and forks a process per job that shares nothing with those before it.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import traceback
from collections.abc import Sequence

from gnn_branching.evaluation.solves import child
from gnn_branching.evaluation.solves import solving as solving  # imported for those that are forked

POLL_SECONDS = 0.5
"""How often the server looks whether its owner has gone, where the system has no descriptors for processes."""


def main() -> int:
    """Serve one job after another: its arguments in a line, its process and then its exit code out, in a line each.

    Ends, and ends the job at hand, when its owner closes the pipe or dies.
    """
    for line in iter(sys.stdin.readline, ""):
        pid = _fork(line.rstrip("\n").split("\t"))
        print(pid, flush=True)
        code = _wait_for(pid)
        if code is None:
            break
        print(code, flush=True)
    return 0


def _fork(words: Sequence[str]) -> int:
    """Start a process that solves a job; return its number."""
    output, *arguments = words
    pid = os.fork()
    if pid:
        return pid
    # From here on this is the child, which must never come back into the server's loop: hence ``os._exit``, whatever
    # happens, which runs none of the exit handlers that it has from the server either.
    code = 1
    try:
        os.setsid()
        into = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for descriptor in (1, 2):
            os.dup2(into, descriptor)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        code = child.main([*arguments, str(os.getppid())])
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _wait_for(pid: int) -> int | None:
    """Return a process's exit code, negative for a signal; None, having killed it, if there is no owner any more."""
    descriptor = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
    try:
        while True:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            waiting = [sys.stdin] if descriptor is None else [sys.stdin, descriptor]
            ready, _, _ = select.select(waiting, [], [], POLL_SECONDS if descriptor is None else None)
            if sys.stdin in ready:  # nobody sends a job while one runs: the pipe is closed
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return None
    finally:
        if descriptor is not None:
            os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main())
