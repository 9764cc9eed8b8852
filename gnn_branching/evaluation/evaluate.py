"""The whole of ``evaluate``: plan, solve, compare, write everything down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from gnn_branching.config import BASELINE_RULE
from gnn_branching.contracts import InputError, InstanceFile, SolveRecord
from gnn_branching.durable import exclusive, remove_partial_files, write_durably
from gnn_branching.evaluation.report.sources import read_sources
from gnn_branching.evaluation.report.tables import Table, to_csv, to_html, to_latex, to_markdown
from gnn_branching.evaluation.report.write import REPORT_FILE, Report, make_report
from gnn_branching.evaluation.solves.guard import SCIP_SOLVER
from gnn_branching.evaluation.solves.known_optima import known_optima
from gnn_branching.evaluation.solves.leavings import Conditions, write_conditions, write_optima
from gnn_branching.evaluation.solves.plan import (
    PolicySpec,
    ResourceLimits,
    SolveJob,
    build_plan,
)
from gnn_branching.evaluation.solves.recordings import AGREEMENT_FOLDER, TREES_FOLDER, record_agreements, record_trees
from gnn_branching.evaluation.solves.results import RESULTS_FILE, write_results
from gnn_branching.evaluation.solves.runner import RunnerOptions, run_plan
from gnn_branching.evaluation.solves.store import RowStore
from gnn_branching.evaluation.statistics.disagreement import Disagreement
from gnn_branching.evaluation.statistics.summary import SUMMARY_FILE, flat_figures, write_summary
from gnn_branching.execution.protocol import Executor
from gnn_branching.provenance import available_cores

ROWS_FOLDER = "rows"
LOCKED_WORK = "evaluation is running in"
"""What keeps a second evaluation out of a folder."""
EXIT_AGREED = 0
EXIT_DISAGREED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRequest:
    """What to compare, and how.

    Args:
        instances: Problem files.
        policies: Rules and policies; the baseline is added if it is missing.
        seeds: SCIP seeds.
        settings: Named SCIP settings.
        limits: Of every solve.
        baseline: Rule the others are compared with.
        n_workers: Solves at once; 0 means the cores there are.
        executor: Where to solve instead of on this machine.
        executor_name: Its name, for the record.
        solu_files: Lists of known optima.
        n_tree_instances: Instances whose trees are recorded, after the timed solves.
        n_agreement_instances: Instances along whose trees learned policies are compared with strong branching.
        retry_failures: Whether crashed and killed solves are done again.
        shift: Shift of the geometric means, in seconds and in counts.
        command: The command line, for the record.
        target: ``module:function`` that solves a job.
    """

    instances: tuple[InstanceFile, ...]
    policies: tuple[PolicySpec, ...]
    seeds: tuple[int, ...] = (0,)
    settings: tuple[str, ...] = ("paper",)
    limits: ResourceLimits
    baseline: str = BASELINE_RULE
    n_workers: int = 0
    executor: Executor | None = None
    executor_name: str = "local"
    solu_files: tuple[Path, ...] = ()
    n_tree_instances: int = 0
    n_agreement_instances: int = 0
    retry_failures: bool = False
    shift: float = 1.0
    command: str = ""
    target: str = SCIP_SOLVER

    def __post_init__(self) -> None:
        """Refuse values that have no meaning."""
        for name in ("n_tree_instances", "n_agreement_instances"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} = {getattr(self, name)} must be zero or more")
        if not 0 < self.shift < float("inf"):
            raise InputError(f"shift {self.shift} must be positive; 1 is usual")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What came out; a table in a notebook.

    Args:
        report: Rows, comparison, tables and page.
        unrecorded: One line for each tree or agreement that was asked for and could not be recorded.
    """

    report: Report
    unrecorded: tuple[str, ...] = ()

    @property
    def records(self) -> tuple[SolveRecord, ...]:
        """All rows, in the order of the plan."""
        return self.report.sources.records

    @property
    def disagreements(self) -> tuple[Disagreement, ...]:
        """Contradictions between optimal values."""
        return self.report.disagreements

    @property
    def tables(self) -> tuple[Table, ...]:
        """Every table with rows, the outcome first."""
        return self.report.tables

    def _repr_html_(self) -> str:
        alerts = "".join(f"<p><b>{escape(alert.title)}</b></p>" for alert in self.report.page.alerts)
        return f"<p>{escape(self.report.page.lead)}</p>{alerts}{to_html(self.tables[0])}"

    @property
    def exit_code(self) -> int:
        """3 if optimal values contradict each other, else 0."""
        return EXIT_DISAGREED if self.disagreements else EXIT_AGREED

    @property
    def figures(self) -> dict[str, float | int | None]:
        """All numbers as one flat object, for ``--json``."""
        return flat_figures(self.report.page.summary)


def plan_request(request: EvaluationRequest) -> tuple[SolveJob, ...]:
    """List the solves of a request.

    Raises:
        InputError: If something is empty, repeated or unknown.
    """
    policies = request.policies
    if request.baseline not in (policy.name for policy in policies):
        policies = (PolicySpec(name=request.baseline), *policies)
    return build_plan(
        request.instances, policies, seeds=request.seeds, settings=request.settings, limits=request.limits
    )


def n_done(request: EvaluationRequest, folder: Path) -> int:
    """Count the solves of a request that a folder holds already; crashed ones too, even if they are to be retried."""
    store = RowStore(folder / ROWS_FOLDER)
    return sum(job in store for job in plan_request(request))


def evaluate(
    request: EvaluationRequest,
    folder: Path,
    on_row: Callable[[SolveJob, SolveRecord], None] = lambda job, record: None,
) -> Evaluation:
    """Do a request's solves, as far as ``folder`` does not hold them yet, and write everything into it.

    Writes ``rows/``, ``results.parquet``, ``evaluation.json``, ``summary.json``, ``tables/``, ``figures/``,
    ``report.html``, ``report.md``, ``report.svg`` and, if asked for, recorded trees and agreement. An interrupt leaves
    rows and ``results.parquet``.

    Args:
        request: What to compare.
        folder: Where everything goes; the same folder resumes.
        on_row: Called with each new row.

    Raises:
        InputError: If the request makes no sense, a list of optima cannot be read, or the folder cannot be written to.
    """
    jobs = plan_request(request)
    optima = known_optima([instance.path for instance in request.instances], request.solu_files)
    with exclusive(folder, work=LOCKED_WORK):
        for part in (".", "tables", "figures", TREES_FOLDER, AGREEMENT_FOLDER):
            remove_partial_files(folder / part)
        store = RowStore(folder / ROWS_FOLDER)
        write_conditions(folder, _conditions(request))
        write_optima(folder, optima)
        runner = RunnerOptions(
            n_workers=request.n_workers,
            target=request.target,
            executor=request.executor,
            retry_failures=request.retry_failures,
        )
        try:
            run_plan(jobs, store, runner, on_row)
        finally:
            write_results(folder / RESULTS_FILE, store.read(jobs))
        unrecorded = _record(jobs, request, folder)
        return Evaluation(report=publish(folder), unrecorded=unrecorded)


def publish(folder: Path) -> Report:
    """Write summary, tables, pictures and page of the rows in a folder; return the comparison.

    Raises:
        InputError: If there are no rows, or a file is damaged.
    """
    report = make_report(read_sources([folder], recursive=False))
    write_summary(folder / SUMMARY_FILE, report.page.summary, report.options, report.disagreements)
    for table in report.tables:
        for suffix, text in (("md", to_markdown(table)), ("csv", to_csv(table)), ("tex", to_latex(table))):
            write_durably(folder / "tables" / f"{table.name}.{suffix}", text.encode())
    for picture in report.pictures:
        write_durably(folder / "figures" / f"{picture.name}.svg", picture.document.encode())
    report.write(folder / REPORT_FILE)
    return report


def _conditions(request: EvaluationRequest) -> Conditions:
    limits = request.limits
    return Conditions(
        time_limit_seconds=limits.time_limit_seconds,
        node_limit=limits.node_limit,
        memory_limit_mib=limits.memory_limit_mib,
        baseline=request.baseline,
        n_workers=request.n_workers or available_cores(),
        executor=request.executor_name,
        solu_files=tuple(str(path) for path in request.solu_files),
        time_shift_seconds=request.shift,
        count_shift=request.shift,
        command=request.command,
    )


def _record(jobs: Sequence[SolveJob], request: EvaluationRequest, folder: Path) -> tuple[str, ...]:
    """Make the recordings that were asked for, of the first settings and seed; return what failed."""
    again = [job for job in jobs if job.seed == request.seeds[0] and job.settings == request.settings[0]]

    def of_first(n: int) -> list[SolveJob]:
        wanted = {instance.path for instance in request.instances[:n]}
        return [job for job in again if job.instance.path in wanted]

    return (
        *record_trees(of_first(request.n_tree_instances), folder, baseline=request.baseline),
        *record_agreements(of_first(request.n_agreement_instances), folder),
    )
