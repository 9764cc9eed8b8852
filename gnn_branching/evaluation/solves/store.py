"""Rows on disk, one small JSON file per solve: what makes an evaluation resumable at any point."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from gnn_branching.contracts import SolveFigures, SolveRecord
from gnn_branching.durable import remove_partial_files, write_durably
from gnn_branching.evaluation.solves.plan import SolveJob

_JSON = ConfigDict(ser_json_inf_nan="strings")


@dataclass(config=_JSON, frozen=True, slots=True, kw_only=True)
class StoredRow:
    """What one row file holds; infinite bounds are stored as strings, so that the file is valid JSON."""

    record: SolveRecord


@dataclass(config=_JSON, frozen=True, slots=True, kw_only=True)
class ChildReport:
    """What a solving process hands back through a file.

    Args:
        figures: The solve's figures; None iff it raised.
        failure: One line on what it raised; empty otherwise.
        out_of_memory: Whether that was a failed allocation.
        versions: Versions and machine of the process, as compact JSON.
    """

    figures: SolveFigures | None
    failure: str = ""
    out_of_memory: bool = False
    versions: str = ""


_ROW = TypeAdapter(StoredRow)
_REPORT = TypeAdapter(ChildReport)
_JOB = TypeAdapter(SolveJob)


def dump_job(job: SolveJob) -> bytes:
    """Return a job as JSON."""
    return _JOB.dump_json(job)


def parse_job(data: bytes) -> SolveJob:
    """Read what :func:`dump_job` wrote."""
    return _JOB.validate_json(data)


def dump_report(report: ChildReport) -> bytes:
    """Return a report as JSON."""
    return _REPORT.dump_json(report)


def parse_report(data: bytes) -> ChildReport | None:
    """Read what :func:`dump_report` wrote; None if the process died before it had written anything whole."""
    try:
        return _REPORT.validate_json(data)
    except ValidationError:
        return None


class RowStore:
    """The rows of one evaluation, in a folder; safe against being killed at any moment.

    Args:
        folder: Where ``<job id>.json`` files are; created with the first.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __contains__(self, job: object) -> bool:
        """Whether a job's row is there and whole."""
        return isinstance(job, SolveJob) and self._path(job).is_file()

    def __len__(self) -> int:
        """Return the number of rows, whatever jobs they are of."""
        return sum(1 for _ in self._folder.glob("*.json"))

    def add(self, job: SolveJob, record: SolveRecord) -> None:
        """Store a row."""
        write_durably(self._path(job), _ROW.dump_json(StoredRow(record=record)))

    def remove_partial_files(self) -> None:
        """Remove what killed processes left half-written; only where no other process writes."""
        remove_partial_files(self._folder)

    def discard(self, job: SolveJob) -> None:
        """Forget a row, so that it is solved again."""
        self._path(job).unlink(missing_ok=True)

    def read(self, jobs: Iterable[SolveJob]) -> tuple[SolveRecord, ...]:
        """Return the rows of the given jobs that are done, in the order of the jobs."""
        done = (self._path(job) for job in jobs)
        return tuple(_ROW.validate_json(path.read_bytes()).record for path in done if path.is_file())

    def _path(self, job: SolveJob) -> Path:
        return self._folder / f"{job.job_id}.json"
