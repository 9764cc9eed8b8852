"""A solving process seen from outside, and the servers that start them: one for each solve that runs at once."""

from __future__ import annotations

import atexit
import os
import select
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from gnn_branching.execution.process import worker_environment

_idle: list[_Server] = []
_lock = threading.Lock()


def solving_environment() -> dict[str, str]:
    """Return the environment of a solve: this one, with what every process at work is given."""
    return {**os.environ, **worker_environment(), "PYTHONHASHSEED": "0"}


class SolvingProcess:
    """Does one job in a process of its own, under a time limit kept by whoever waits; leaving the context ends it.

    Args:
        words: Files for what it prints, the job and the report, and the function that solves.
    """

    def __init__(self, *words: str) -> None:
        self._server = _take_server()
        self.pid = self._server.start(words)
        self._code: int | None = None

    def exit_code_within(self, seconds: float) -> int | None:
        """Wait for the end in one sleep; return the exit code, negative for a signal, or None if it goes on."""
        if self._code is None:
            self._code = self._server.exit_code_within(seconds)
        return self._code

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the process if it has not ended, and keep its server for the next."""
        if self._code is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self._code = self._server.exit_code_within(None)
        with _lock:
            _idle.append(self._server)


class _Server:
    """A process that forks solving processes, one at a time."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment, self.folder = environment, Path.cwd()
        # In a session of its own: Ctrl-C reaches this process alone, whose end, or whose closing the pipe, ends it.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gnn_branching.evaluation.solves.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,
            bufsize=0,  # what one line leaves in a buffer, no select would see
        )

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def fits(self, environment: dict[str, str], folder: Path) -> bool:
        return (self.environment, self.folder) == (environment, folder)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def start(self, words: tuple[str, ...]) -> int:
        """Start a job; return the number of its process, that of the server if there is none."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write("\t".join(words).encode() + b"\n")
        return int(self._process.stdout.readline() or self._process.pid)

    def exit_code_within(self, seconds: float | None) -> int | None:
        """Return the exit code of the job at hand, the server's if that has died; None if the time is over."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            return None
        return int(self._process.stdout.readline() or self._process.wait())


@atexit.register
def _close_idle() -> None:
    while _idle:
        _idle.pop().close()


def _take_server() -> _Server:
    """Return an idle server that has this process's environment and folder, or a new one; the others end."""
    environment, folder = solving_environment(), Path.cwd()
    with _lock:
        fit = [server for server in _idle if server.is_alive and server.fits(environment, folder)]
        unfit = [server for server in _idle if server not in fit]
        found = fit.pop() if fit else None
        _idle[:] = fit
    for server in unfit:
        server.close()
    return found or _Server(environment)
