"""The whole of ``evaluate``: plan, solve, compare, write everything down."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gnn_branching.contracts import InstanceFile, SolveRecord
from gnn_branching.durable import write_durably
from gnn_branching.evaluation.agreement import Disagreement
from gnn_branching.evaluation.comparison import GroupComparison, compare
from gnn_branching.evaluation.guard import SCIP_SOLVER, GuardedSolve
from gnn_branching.evaluation.page import render_page
from gnn_branching.evaluation.pairing import ComparisonOptions
from gnn_branching.evaluation.plan import (
    BASELINE_RULE,
    PolicySpec,
    ResourceLimits,
    SolveJob,
    build_plan,
    with_recording,
)
from gnn_branching.evaluation.report import (
    REPORT_FILE,
    comparison_options,
    comparison_pictures,
    disagreements_of,
    make_page,
)
from gnn_branching.evaluation.report_tables import all_tables
from gnn_branching.evaluation.results import RESULTS_FILE, write_results
from gnn_branching.evaluation.runner import RunnerOptions, run_plan
from gnn_branching.evaluation.sources import (
    AGREEMENT_FILE,
    Conditions,
    TreeEntry,
    read_sources,
    write_conditions,
    write_tree_index,
)
from gnn_branching.evaluation.store import RowStore
from gnn_branching.evaluation.summary import SUMMARY_FILE, flat_figures, summary_lines, write_summary
from gnn_branching.evaluation.tables import Table, to_csv, to_latex, to_markdown
from gnn_branching.execution.protocol import Executor
from gnn_branching.provenance import available_cores

TREE_RECORDER = "gnn_branching.evaluation.solving:record_tree"
AGREEMENT_RECORDER = "gnn_branching.evaluation.solving:record_agreement"

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
        time_shift_seconds: Shift of the means of times.
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
    time_shift_seconds: float = 1.0
    target: str = SCIP_SOLVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What came out.

    Args:
        records: All rows, in the order of the plan.
        groups: The comparison by family and size.
        options: How it was condensed.
        disagreements: Contradictions between optimal values.
        tables: Every table with rows, the outcome first.
    """

    records: tuple[SolveRecord, ...]
    groups: tuple[GroupComparison, ...]
    options: ComparisonOptions
    disagreements: tuple[Disagreement, ...]
    tables: tuple[Table, ...]

    @property
    def exit_code(self) -> int:
        """3 if optimal values contradict each other, else 0."""
        return EXIT_DISAGREED if self.disagreements else EXIT_AGREED

    @property
    def figures(self) -> dict[str, float | int | None]:
        """All numbers as one flat object, for ``--json``."""
        return flat_figures(summary_lines(self.groups, self.options))


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


def evaluate(
    request: EvaluationRequest,
    folder: Path,
    on_row: Callable[[SolveJob, SolveRecord], None] = lambda job, record: None,
) -> Evaluation:
    """Do a request's solves, as far as ``folder`` does not hold them yet, and write everything into it.

    Writes ``rows/``, ``results.parquet``, ``evaluation.json``, ``summary.json``, ``tables/``, ``figures/``,
    ``report.html`` and, if asked for, recorded trees and agreement. An interrupt leaves rows and ``results.parquet``.

    Args:
        request: What to compare.
        folder: Where everything goes; the same folder resumes.
        on_row: Called with each new row.

    Raises:
        InputError: If the request makes no sense or the folder cannot be written to.
    """
    jobs = plan_request(request)
    store = RowStore(folder / "rows")
    write_conditions(folder, _conditions(request))
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
    _record_trees(jobs, request, folder)
    _record_agreement(jobs, request, folder)
    return publish(folder)


def publish(folder: Path) -> Evaluation:
    """Write summary, tables, pictures and page of the rows in a folder; return the comparison.

    Raises:
        InputError: If there are no rows, or a file is damaged.
    """
    sources = read_sources([folder], recursive=False)
    options = comparison_options(sources.records, sources.conditions)
    groups = compare(sources.records, options)
    disagreements = disagreements_of(sources)
    write_summary(folder / SUMMARY_FILE, groups, options, disagreements)
    tables = all_tables(sources.records, groups, options)
    for table in tables:
        for suffix, text in (("md", to_markdown(table)), ("csv", to_csv(table)), ("tex", to_latex(table))):
            write_durably(folder / "tables" / f"{table.name}.{suffix}", text.encode())
    for picture in comparison_pictures(sources.records, groups, options):
        write_durably(folder / "figures" / f"{picture.name}.svg", picture.document.encode())
    page = make_page(sources, groups, options, disagreements)
    write_durably(folder / REPORT_FILE, render_page(page).encode())
    return Evaluation(
        records=sources.records, groups=groups, options=options, disagreements=disagreements, tables=tables
    )


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
        time_shift_seconds=request.time_shift_seconds,
    )


def _record_trees(jobs: Sequence[SolveJob], request: EvaluationRequest, folder: Path) -> None:
    """Solve some jobs again with a recorder: learned rules and the baseline, first settings and seed."""
    entries: list[TreeEntry] = []
    for job in _again(jobs, request, n_instances=request.n_tree_instances):
        if job.policy.is_learned or job.policy.name == request.baseline:
            path = Path("trees") / f"{job.job_id}.jsonl"
            if _record(job, folder / path, target=TREE_RECORDER):
                entries.append(
                    TreeEntry(
                        instance=job.instance.path,
                        policy=job.policy.name,
                        settings=job.settings,
                        seed=job.seed,
                        path=str(path),
                    )
                )
    if entries:
        entries.sort(key=lambda entry: (entry.instance, entry.policy == request.baseline))
        write_tree_index(folder, entries)


def _record_agreement(jobs: Sequence[SolveJob], request: EvaluationRequest, folder: Path) -> None:
    parts: list[bytes] = []
    for job in _again(jobs, request, n_instances=request.n_agreement_instances):
        path = folder / "agreement" / f"{job.job_id}.jsonl"
        if job.policy.is_learned and _record(job, path, target=AGREEMENT_RECORDER):
            parts.append(path.read_bytes())
    if parts:
        write_durably(folder / AGREEMENT_FILE, b"".join(parts))


def _again(jobs: Sequence[SolveJob], request: EvaluationRequest, *, n_instances: int) -> Iterator[SolveJob]:
    wanted = {instance.path for instance in request.instances[:n_instances]}
    for job in jobs:
        if job.instance.path in wanted and job.seed == request.seeds[0] and job.settings == request.settings[0]:
            yield job


def _record(job: SolveJob, path: Path, *, target: str) -> bool:
    """Make a recording unless it is there; return whether it is there now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        GuardedSolve(target=target)(with_recording(job, path))
    return path.exists()
