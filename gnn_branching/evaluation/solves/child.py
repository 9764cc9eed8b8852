"""The solving process: one job in, one report out, nothing kept for the next."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

from gnn_branching.contracts import SolveFigures
from gnn_branching.durable import write_durably
from gnn_branching.evaluation.solves.plan import SolveJob
from gnn_branching.evaluation.solves.store import ChildReport, dump_report, parse_job
from gnn_branching.execution.process import die_with, limit_memory
from gnn_branching.provenance import collect_provenance

MEMORY_HEADROOM_MIB = 2048
"""Private address space allowed beyond the resident limit: interpreter, libraries, arenas that are never touched."""

SolveFunction = Callable[[SolveJob], SolveFigures]


def main(arguments: list[str]) -> int:
    """Do a job: the arguments are ``JOB_FILE, REPORT_FILE, MODULE:FUNCTION, PARENT_PID``.

    Whatever happens short of the process's death ends up in the report: the exit code carries no meaning.
    """
    job_file, report_file, target, parent = arguments
    die_with(int(parent))  # no orphan shall disturb later timings
    job = parse_job(Path(job_file).read_bytes())
    # In case the watcher outside is too slow to see them.
    limit_memory(job.limits.memory_limit_mib + MEMORY_HEADROOM_MIB)
    report = _solve(load_function(target), job)
    write_durably(Path(report_file), dump_report(report))
    return 0


def load_function(target: str) -> SolveFunction:
    """Import ``module:function``."""
    module, _, name = target.partition(":")
    function: SolveFunction = getattr(importlib.import_module(module), name)
    return function


def _solve(function: SolveFunction, job: SolveJob) -> ChildReport:
    versions = collect_provenance().to_json()
    try:
        return ChildReport(figures=function(job), versions=versions)
    except MemoryError as error:
        failure = f"out of memory: {error}".rstrip(": ")
        return ChildReport(figures=None, failure=failure, out_of_memory=True, versions=versions)
    except Exception as error:  # a row must tell why, whatever it was
        message = " ".join(str(error).split())
        return ChildReport(figures=None, failure=f"{type(error).__name__}: {message}", versions=versions)
