"""Run one solve in a process of its own, and turn whatever becomes of it into a row."""

from __future__ import annotations

import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from gnn_branching.contracts import SolveRecord, SolveStatus
from gnn_branching.evaluation.solves.plan import SolveJob, make_row
from gnn_branching.evaluation.solves.process import SolvingProcess
from gnn_branching.evaluation.solves.store import ChildReport, dump_job, parse_report
from gnn_branching.execution.process import ending

SCIP_SOLVER = "gnn_branching.evaluation.solves.solving:solve_job"
"""What solves in earnest; tests put hand-made functions in its place."""

POLL_SECONDS = 0.1
START_ALLOWANCE_SECONDS = 120.0
"""Wall time allowed outside ``optimize()``: imports, reading the problem, loading and warming up the policy."""
OVERRUN_FACTOR = 1.1
"""SCIP looks at the clock between LP iterations, not within them: so much later it is held to be stuck."""
MAX_DETAIL_CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class _Ending:
    """How a process ended, seen from outside."""

    status: SolveStatus
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedSolve:
    """A callable that solves one job in a fresh process under limits; never raises for what the process does.

    Args:
        target: ``module:function`` that maps a :class:`SolveJob` to figures, imported in the new process.
        start_allowance_seconds: Wall time allowed outside ``optimize()``.
        stop: When set, running processes are killed and no row is made; None on remote machines.
    """

    target: str = SCIP_SOLVER
    start_allowance_seconds: float = START_ALLOWANCE_SECONDS
    stop: threading.Event | None = None

    def __call__(self, job: SolveJob) -> SolveRecord | None:
        """Solve ``job``; None iff stopped."""
        with tempfile.TemporaryDirectory(prefix="gnn-branching-solve-") as name:
            folder = Path(name)
            (folder / "job.json").write_bytes(dump_job(job))
            end = self._run(job, folder)
            if end.status is SolveStatus.INTERRUPTED:
                return None
            report_file = folder / "report.json"
            report = parse_report(report_file.read_bytes()) if report_file.exists() else None
            return _record(job, end=end, report=report, last_words=_tail(folder / "output.txt"))

    def _run(self, job: SolveJob, folder: Path) -> _Ending:
        files = (folder / name for name in ("output.txt", "job.json", "report.json"))
        with SolvingProcess(*map(str, files), self.target) as process:
            return self._watch(process, job)

    def _watch(self, process: SolvingProcess, job: SolveJob) -> _Ending:
        """Wait for the end; wake ten times a second, which costs the solve next to nothing."""
        limits = job.limits
        deadline_seconds = self.start_allowance_seconds + OVERRUN_FACTOR * limits.time_limit_seconds
        start = time.monotonic()
        while True:
            code = process.exit_code_within(POLL_SECONDS)
            if code is not None:
                return _Ending(SolveStatus.CRASHED, ending(code))
            if self.stop is not None and self.stop.is_set():
                return _Ending(SolveStatus.INTERRUPTED, "stopped")
            if time.monotonic() - start > deadline_seconds:
                return _Ending(SolveStatus.KILLED_TIME, f"killed {deadline_seconds:.0f} s after its start")
            resident_mib = _resident_mib(process.pid)
            if resident_mib > limits.memory_limit_mib:
                used = f"{resident_mib:.0f} of {limits.memory_limit_mib} MiB"
                return _Ending(SolveStatus.KILLED_MEMORY, f"killed: {used} resident")


def _record(job: SolveJob, *, end: _Ending, report: ChildReport | None, last_words: str) -> SolveRecord:
    """Make the row; a report that was written whole counts, even if the process then died while leaving."""
    figures = report.figures if report else None
    detail = ""
    if figures is not None:
        status = figures.status
    elif report is not None:
        status = SolveStatus.KILLED_MEMORY if report.out_of_memory else SolveStatus.CRASHED
        detail = report.failure
    else:
        status = end.status
        detail = f"{end.reason}; {last_words}" if last_words else end.reason
    versions = report.versions if report else ""
    return make_row(job, status, figures=figures, detail=detail[:MAX_DETAIL_CHARACTERS], versions=versions)


def _resident_mib(pid: int) -> float:
    """Return the memory of a process; zero if it has ended, as it may have at any time."""
    try:
        return float(psutil.Process(pid).memory_info().rss) / 2**20
    except psutil.Error:
        return 0.0


def _tail(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    words = [" ".join(line.split()) for line in lines if line.strip()]
    return words[-1] if words else ""
