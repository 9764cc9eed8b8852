"""Jobs in processes of this machine: one job, one process, so that a crash takes nothing with it."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from typing import Generic, cast

from gnn_branching.contracts import InputError
from gnn_branching.execution.job import ARRIVED, JobReport, run_job
from gnn_branching.execution.process import ONE_THREAD, ending
from gnn_branching.execution.protocol import JobOutcome, Outcomes, Payload, Result
from gnn_branching.provenance import available_cores

PRELOADED = ("numpy", "pyarrow", "pydantic", "pyscipopt", "ecole", "gnn_branching.execution.job")
"""Slow imports that no job needs twice: the fork server has them, and a job starts within about 10 ms. None of them
starts a thread."""
DEFAULT_ATTEMPTS = 3
EXIT_SECONDS = 10.0
"""Time for a process that has closed its pipe to end by itself, so that its exit code can be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalExecutor:
    """Run each job in a fresh process of this machine.

    A fork server, itself without threads, starts a process per job: nothing grows from job to job, and a segmentation
    fault, a kill or a limit ends one job alone. Scripts that use it need the usual ``if __name__ == "__main__":``.

    Args:
        workers: Jobs at once; 0 means the cores there are.
        time_limit_seconds: Wall time of a job, after which it is killed; None means no limit.
        memory_limit_mib: Memory a job may allocate (Linux); None means no limit.
        attempts: How often a job is tried whose process dies; one that exceeds its time is not tried again.
        preload: Modules that the fork server imports beforehand; they must not start threads.

    Raises:
        InputError: If a number is out of range.
    """

    workers: int = 0
    time_limit_seconds: float | None = None
    memory_limit_mib: int | None = None
    attempts: int = DEFAULT_ATTEMPTS
    preload: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse impossible numbers."""
        if self.workers < 0:
            raise InputError(f"workers = {self.workers} must be 1 or more, or 0 for the cores there are")
        if self.attempts < 1:
            raise InputError(f"attempts = {self.attempts} must be 1 or more")
        for name in ("time_limit_seconds", "memory_limit_mib"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"{name} = {value} must be positive")

    def run(self, function: Callable[[Payload], Result], payloads: Sequence[Payload]) -> Outcomes[Result]:
        """Call ``function`` on every payload, and yield outcomes in order of completion.

        Payload i is asked for only when a worker is free for it, and an ``IndexError`` is the end, so that a sequence
        may make up its mind late. Closing the generator kills what runs.

        Args:
            function: An importable function.
            payloads: Picklable.

        Raises:
            InputError: If processes end before they get to their job, as when the package is changed meanwhile: that is
                no job's fault.
        """
        n_workers = self.workers or available_cores()
        upcoming = iter(enumerate(payloads))
        retries: deque[_Job[Payload]] = deque()
        running: list[_Running[Payload]] = []
        _start_server((function.__module__, *self.preload))
        try:
            while True:
                while len(running) < n_workers and (job := _next_job(retries, upcoming)) is not None:
                    running.append(self._start(function, job))
                if not running:
                    return
                _wait(running)
                for item in [item for item in running if item.is_over()]:
                    running.remove(item)
                    outcome: JobOutcome[Result] | None = self._end(item)
                    if outcome is not None:
                        yield outcome
                    else:
                        retries.append(item.job)
        finally:
            for item in running:
                item.kill()

    def _start(self, function: Callable[[Payload], Result], job: _Job[Payload]) -> _Running[Payload]:
        job.n_started += 1
        context = multiprocessing.get_context("forkserver")
        pipe, far_end = context.Pipe(duplex=False)
        arguments = (far_end, os.getpid(), self.memory_limit_mib, function, job.payload)
        process = context.Process(target=run_job, args=arguments, daemon=False)
        process.start()
        far_end.close()
        limit = self.time_limit_seconds
        deadline = None if limit is None else time.monotonic() + limit
        return _Running(job=job, process=process, pipe=pipe, deadline=deadline)

    def _end(self, item: _Running[Payload]) -> JobOutcome[Result] | None:
        """Return how a job ended; None if it is to be tried again."""
        report: JobReport[Result] | None = item.receive()
        is_late = report is None and item.seconds_left() <= 0
        if report is None and not is_late:
            item.process.join(EXIT_SECONDS)
        item.kill()
        index = item.job.index
        if report is not None:
            return JobOutcome(index=index, result=report.result, failure=report.failure)
        if is_late:
            return JobOutcome(index=index, result=None, failure=f"killed after {self.time_limit_seconds:g} s")
        if item.job.n_started < self.attempts:
            return None
        # It ended by itself before it could import the job: that is no job's fault, and all others would end so too.
        if not item.has_arrived and (item.exit_code or 0) >= 0:
            raise InputError("worker processes cannot start (see above); what was finished is kept, run again to go on")
        times = f", {self.attempts} times" if self.attempts > 1 else ""
        return JobOutcome(index=index, result=None, failure=f"process {ending(item.exit_code)}{times}")


@dataclass(slots=True, kw_only=True)
class _Job(Generic[Payload]):
    index: int
    payload: Payload
    n_started: int = 0


@dataclass(slots=True, kw_only=True, eq=False)
class _Running(Generic[Payload]):
    """A job, its process, and what that has sent so far."""

    job: _Job[Payload]
    process: ForkServerProcess
    pipe: Connection
    deadline: float | None
    has_arrived: bool = False
    report: JobReport[object] | None = None
    exit_code: int | None = field(default=None)

    def is_over(self) -> bool:
        """Say whether the process reported, died, or exceeded its time."""
        return self._hear() or not self.process.is_alive() or self.seconds_left() <= 0

    def seconds_left(self) -> float:
        """Return the time until the deadline."""
        return float("inf") if self.deadline is None else self.deadline - time.monotonic()

    def receive(self) -> JobReport[Result] | None:
        """Return the report; None if the process died before it had sent it whole."""
        self._hear()
        return cast("JobReport[Result] | None", self.report)

    def _hear(self) -> bool:
        """Take in what the process has sent; return whether nothing more will come."""
        try:
            while self.report is None and self.pipe.poll():
                message = self.pipe.recv()
                if message == ARRIVED:
                    self.has_arrived = True
                else:
                    self.report = message
        except (EOFError, OSError):
            return True
        return self.report is not None

    def kill(self) -> None:
        """End the process if it has not ended, and let go of it."""
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        self.exit_code = self.process.exitcode
        self.process.close()
        self.pipe.close()


def _start_server(preload: Sequence[str]) -> None:
    """Start the fork server if there is none yet, with one thread in every library of its children."""
    # The server's libraries read these variables once, and its children inherit their one thread; this process's own
    # variables are put back.
    multiprocessing.get_context("forkserver").set_forkserver_preload(["__main__", *PRELOADED, *preload])
    saved = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    try:
        forkserver.ensure_running()
    finally:
        for name, value in saved.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _next_job(retries: deque[_Job[Payload]], upcoming: Iterator[tuple[int, Payload]]) -> _Job[Payload] | None:
    if retries:
        return retries.popleft()
    following = next(upcoming, None)
    return None if following is None else _Job(index=following[0], payload=following[1])


def _wait(running: Sequence[_Running[Payload]]) -> None:
    """Sleep until a process reports or dies, or a deadline passes."""
    soonest = min(item.seconds_left() for item in running)
    handles = [handle for item in running for handle in (item.pipe, item.process.sentinel)]
    wait(handles, timeout=None if soonest == float("inf") else max(soonest, 0.0))
