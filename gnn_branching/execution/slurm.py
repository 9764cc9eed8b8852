"""Jobs on a SLURM cluster through submitit, several to a SLURM job."""

from __future__ import annotations

import os
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Generic, cast

from gnn_branching.contracts import InputError
from gnn_branching.execution.job import explain
from gnn_branching.execution.local import LocalExecutor
from gnn_branching.execution.protocol import JobOutcome, Outcomes, Payload, Result
from gnn_branching.libraries import imported

if TYPE_CHECKING:
    from submitit import AutoExecutor, Job

DEFAULT_CHUNK_SIZE = 8
MINUTES_PER_SLURM_JOB = 24 * 60
POLL_SECONDS = 0.5
QUEUE_SECONDS = 15.0
"""Between two looks at SLURM's queue."""
N_MISSING = 2
"""Looks at the queue that miss a SLURM job, after which it is gone; its result may reach the shared folder late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmExecutor:
    """Run jobs inside SLURM jobs of one core, each of which works off a few of them with a :class:`LocalExecutor`.

    So a crash ends one job, not its SLURM job; and what a SLURM job takes along, because it was cancelled, preempted or
    lost its node, is tried once more. ``folder`` and the files that jobs name must be on a shared file system.

    Args:
        folder: For submitit's scripts and logs.
        workers: SLURM jobs at once.
        chunk_size: Jobs per SLURM job.
        cluster: ``slurm``, or ``local`` for processes of this machine, as a rehearsal.
        parameters: Further submitit parameters, such as ``{"slurm_partition": "cpu"}``.
        inner: How the jobs of one SLURM job run.

    Raises:
        InputError: If submitit is not installed, or there is no SLURM here.
    """

    folder: Path
    workers: int = 1
    chunk_size: int = DEFAULT_CHUNK_SIZE
    cluster: str = "slurm"
    parameters: Mapping[str, int | str] = field(default_factory=dict)
    inner: LocalExecutor = field(default_factory=lambda: LocalExecutor(workers=1))

    def __post_init__(self) -> None:
        """Say what is missing before any work is done."""
        self._submitter()

    def run(self, function: Callable[[Payload], Result], payloads: Sequence[Payload]) -> Outcomes[Result]:
        """Call ``function`` on every payload, and yield outcomes in order of completion.

        Args:
            function: An importable function.
            payloads: Picklable; asked for chunk by chunk, as SLURM jobs become free.
        """
        submitter = self._submitter()
        upcoming = iter(enumerate(payloads))
        lost: deque[tuple[int, Payload]] = deque()
        running: list[_Submitted[Payload]] = []
        asked = time.monotonic()
        try:
            while True:
                while len(running) < max(self.workers, 1):
                    # What was lost with its SLURM job is tried once more, alone: one of eight may have taken it along.
                    is_last_try = bool(lost)
                    chunk = [lost.popleft()] if lost else list(islice(upcoming, self.chunk_size))
                    if not chunk:
                        break
                    job = submitter.submit(_run_chunk, self.inner, function, [payload for _, payload in chunk])
                    running.append(_Submitted(job=job, chunk=chunk, is_last_try=is_last_try))
                if not running:
                    return
                if self.cluster == "slurm" and time.monotonic() > asked + QUEUE_SECONDS:
                    asked = time.monotonic()
                    note_missing(running)
                for item in [item for item in running if item.is_gone or item.job.done()]:
                    running.remove(item)
                    ended: list[JobOutcome[Result]] | None = item.outcomes()
                    if ended is None:
                        lost.extend(item.chunk)
                    else:
                        yield from ended
                time.sleep(POLL_SECONDS if running else 0)
        finally:
            for item in running:
                item.job.cancel(check=False)

    def _submitter(self) -> AutoExecutor:
        submitit = imported("slurm", "submitit")
        try:
            submitter: AutoExecutor = submitit.AutoExecutor(folder=self.folder, cluster=self.cluster)
            submitter.update_parameters(
                **{"timeout_min": MINUTES_PER_SLURM_JOB, "name": "gnn-branching", **self.parameters}
            )
        except Exception as error:
            raise InputError(f"executor 'slurm' cannot be used here: {explain(error)}") from None
        return submitter


@dataclass(slots=True, kw_only=True, eq=False)
class _Submitted(Generic[Payload]):
    """One SLURM job, and the jobs in it by their indices."""

    job: Job[list[JobOutcome[object]]]
    chunk: list[tuple[int, Payload]]
    is_last_try: bool
    n_missing: int = 0

    @property
    def is_gone(self) -> bool:
        """Whether the queue no longer knows the SLURM job, and it left no result."""
        return self.n_missing >= N_MISSING and not self.job.paths.result_pickle.exists()

    def outcomes(self) -> list[JobOutcome[Result]] | None:
        """Return how the jobs ended; if their SLURM job failed all did, or None where there is another try."""
        try:
            if self.is_gone:
                raise RuntimeError("it was killed, or its node failed")  # job.result() would wait for ever
            found = cast("list[JobOutcome[Result]]", self.job.result())
        except Exception as error:
            if not self.is_last_try:
                return None
            failure = f"SLURM job {self.job.job_id} failed, the second for it: {explain(error)[-300:]}"
            return [JobOutcome(index=index, result=None, failure=failure) for index, _ in self.chunk]
        return [replace(outcome, index=self.chunk[outcome.index][0]) for outcome in found]


def note_missing(running: Sequence[_Submitted[Payload]]) -> None:
    """Look for the SLURM jobs in SLURM's queue.

    Without accounting (``sacct``), submitit never hears of a job that was killed outright.
    """
    command = ["squeue", "--noheader", "--format=%i", f"--user={os.getuid()}"]
    queue = subprocess.run(command, capture_output=True, text=True, check=False)
    known = set(queue.stdout.split())
    for item in running:
        is_missing = queue.returncode == 0 and item.job.job_id not in known
        item.n_missing = item.n_missing + 1 if is_missing else 0


def _run_chunk(
    executor: LocalExecutor, function: Callable[[Payload], Result], payloads: Sequence[Payload]
) -> list[JobOutcome[Result]]:
    return list(executor.run(function, payloads))
