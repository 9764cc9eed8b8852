"""Jobs on a Ray cluster, or on this machine through Ray."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gnn_branching.contracts import InputError
from gnn_branching.execution.job import JobReport, do_job, explain
from gnn_branching.execution.process import worker_environment
from gnn_branching.execution.protocol import JobOutcome, Outcomes, Payload, Result
from gnn_branching.libraries import imported, require
from gnn_branching.provenance import available_cores

JOBS_PER_PROCESS = 20
"""A Ray worker is replaced after so many jobs, as repeated solves grow native memory."""
N_RETRIES = 2
POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RayExecutor:
    """Run each job as a Ray task with one core.

    Files that jobs name must be where every machine of the cluster sees them, and the package must be installed there.

    Args:
        workers: Jobs at once; 0 means the cores of the cluster.
        address: Of an existing cluster, such as ``auto`` or ``ray://head:10001``; None starts Ray on this machine.
        time_limit_seconds: Wall time of a job since it was handed over; None means no limit.
        memory_limit_mib: Memory a job's process may allocate (Linux); None means no limit.

    Raises:
        InputError: If Ray is not installed.
    """

    workers: int = 0
    address: str | None = None
    time_limit_seconds: float | None = None
    memory_limit_mib: int | None = None

    def __post_init__(self) -> None:
        """Say what is missing before any work is done."""
        require("ray")

    def run(self, function: Callable[[Payload], Result], payloads: Sequence[Payload]) -> Outcomes[Result]:
        """Call ``function`` on every payload, and yield outcomes in order of completion.

        Args:
            function: An importable function.
            payloads: Picklable; asked for one by one, as workers become free.

        Raises:
            InputError: If the cluster cannot be reached.
        """
        ray = imported("ray", "ray")
        was_running = ray.is_initialized()
        self._connect()
        task = ray.remote(max_calls=JOBS_PER_PROCESS, max_retries=N_RETRIES, num_cpus=1)(do_job)
        n_workers = self.workers or int(ray.cluster_resources().get("CPU", 1))
        upcoming = iter(enumerate(payloads))
        running: dict[object, _Handed] = {}
        try:
            while True:
                while len(running) < n_workers and (following := next(upcoming, None)) is not None:
                    index, payload = following
                    reference = task.remote(function, payload, self.memory_limit_mib)
                    running[reference] = _Handed(index=index, since=time.monotonic())
                if not running:
                    return
                done, _ = ray.wait(list(running), num_returns=1, timeout=POLL_SECONDS)
                for reference in done:
                    yield _outcome(reference, running.pop(reference).index)
                yield from self._stop_late(running)
        finally:
            for reference in running:
                ray.cancel(reference, force=True)
            if not was_running:
                ray.shutdown()

    def _connect(self) -> None:
        ray = imported("ray", "ray")
        if ray.is_initialized():
            return
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options: dict[str, object] = {"address": self.address}
        if self.address is None:
            options = {
                "num_cpus": self.workers or available_cores(),
                "include_dashboard": False,
                "runtime_env": {"env_vars": worker_environment()},
            }
        try:
            ray.init(log_to_driver=False, logging_level="error", **options)
        except Exception as error:
            raise InputError(
                f"Ray cluster {self.address or 'on this machine'} cannot be used: {explain(error)}"
            ) from None

    def _stop_late(self, running: dict[object, _Handed]) -> Iterator[JobOutcome[Result]]:
        if self.time_limit_seconds is None:
            return
        oldest = time.monotonic() - self.time_limit_seconds
        for reference in [reference for reference, handed in running.items() if handed.since < oldest]:
            imported("ray", "ray").cancel(reference, force=True)
            failure = f"killed after {self.time_limit_seconds:g} s"
            yield JobOutcome(index=running.pop(reference).index, result=None, failure=failure)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Handed:
    """A job in Ray's hands, and since when on the monotonic clock."""

    index: int
    since: float


def _outcome(reference: object, index: int) -> JobOutcome[Result]:
    ray = imported("ray", "ray")
    try:
        report: JobReport[Result] = ray.get(reference)
    except ray.exceptions.RayError as error:
        kind = type(error).__name__
        return JobOutcome(index=index, result=None, failure=f"process died ({kind}), {1 + N_RETRIES} times")
    return JobOutcome(index=index, result=report.result, failure=report.failure)
