"""Jobs on a SLURM cluster through submitit, several to a SLURM job."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, cast

from gnn_branching.contracts import InputError
from gnn_branching.execution.job import explain
from gnn_branching.execution.local import LocalExecutor
from gnn_branching.execution.protocol import JobOutcome, Outcomes, Payload, Result
from gnn_branching.libraries import imported

if TYPE_CHECKING:
    import submitit

DEFAULT_CHUNK_SIZE = 8
MINUTES_PER_SLURM_JOB = 24 * 60
POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmExecutor:
    """Run jobs inside SLURM jobs of one core, each of which works off a few of them with a :class:`LocalExecutor`.

    So a crash ends one job, not its SLURM job. ``folder`` and the files that jobs name must be on a shared file system.

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
        running: list[_Submitted] = []
        try:
            while True:
                while len(running) < max(self.workers, 1) and (chunk := list(islice(upcoming, self.chunk_size))):
                    job = submitter.submit(_run_chunk, self.inner, function, [payload for _, payload in chunk])
                    running.append(_Submitted(job=job, indices=[index for index, _ in chunk]))
                if not running:
                    return
                for item in [item for item in running if item.job.done()]:
                    running.remove(item)
                    yield from item.outcomes()
                time.sleep(POLL_SECONDS if running else 0)
        finally:
            for item in running:
                item.job.cancel(check=False)

    def _submitter(self) -> submitit.AutoExecutor:
        submitit = imported("slurm", "submitit")
        try:
            submitter = submitit.AutoExecutor(folder=self.folder, cluster=self.cluster)
            submitter.update_parameters(
                **{"timeout_min": MINUTES_PER_SLURM_JOB, "name": "gnn-branching", **self.parameters}
            )
        except Exception as error:
            raise InputError(f"executor 'slurm' cannot be used here: {explain(error)}") from None
        return submitter


@dataclass(slots=True, kw_only=True, eq=False)
class _Submitted:
    """One SLURM job and the jobs in it."""

    job: submitit.Job[list[JobOutcome[object]]]
    indices: list[int]

    def outcomes(self) -> Iterator[JobOutcome[Result]]:
        """Yield how the jobs ended; all failed if their SLURM job did."""
        try:
            outcomes = cast("list[JobOutcome[Result]]", self.job.result())
            found = {outcome.index: outcome for outcome in outcomes}
        except Exception as error:
            lost = f"SLURM job {self.job.job_id} failed: {explain(error)[-300:]}"
            found = {
                position: JobOutcome(index=position, result=None, failure=lost) for position in range(len(self.indices))
            }
        for position, index in enumerate(self.indices):
            outcome = found[position]
            yield JobOutcome(index=index, result=outcome.result, failure=outcome.failure)


def _run_chunk(
    executor: LocalExecutor, function: Callable[[Payload], Result], payloads: Sequence[Payload]
) -> list[JobOutcome[Result]]:
    return list(executor.run(function, payloads))
