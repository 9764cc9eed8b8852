"""``gnn-branching evaluate`` and ``gnn-branching report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console

from gnn_branching.cli.experiment import ExecutorName, RayAddress
from gnn_branching.cli.output import JsonPath, Seed, Workers, write_json
from gnn_branching.cli.progress import counting
from gnn_branching.contracts import InputError, InstanceFile, SolveRecord

if TYPE_CHECKING:
    from gnn_branching.evaluation.plan import SolveJob

EVALUATION_MODULES = ("gnn_branching.instances",)


def evaluate(
    policies: list[str],
    /,
    *,
    family: str | None = None,
    size: Annotated[list[str] | None, Parameter(negative="")] = None,
    instances: Path | None = None,
    n: Annotated[int, Parameter(name="--n")] = 20,
    seeds: int = 5,
    settings: Annotated[list[str] | None, Parameter(negative="")] = None,
    baseline: str = "relpscost",
    time_limit: float = 3600.0,
    node_limit: int = 0,
    memory_limit: int = 8192,
    out: Path | None = None,
    solu: Annotated[list[Path] | None, Parameter(negative="")] = None,
    trees: int = 0,
    agreement: int = 0,
    retry_failures: Annotated[bool, Parameter(negative="")] = False,
    executor: ExecutorName = "local",
    ray_address: RayAddress = None,
    workers: Workers = None,
    seed: Seed = 0,
    json: JsonPath = None,
) -> int:
    """Compare policies with SCIP's rules, paired on the same instances and seeds; run it again to continue.

    Writes `results.parquet`, `summary.json`, tables, figures and `report.html`. Exits with 3 if optimal values
    contradict each other.

    Example: `evaluate runs/set-cover/policy pscost --family set-cover --size easy --size medium`

    Parameters
    ----------
    policies
        Names or folders of policies (`label=folder`, `folder@preset`), and SCIP's rules by name (`pscost`, ...).
    family
        Generated family to solve.
    size
        Its sizes; may be repeated. `easy` by default.
    instances
        Folder of problem files, or a text file that lists them, instead of a family.
    n
        Instances per size.
    seeds
        SCIP seeds per instance.
    settings
        `paper`, `default`, or a parameter file; may be repeated. `paper` by default.
    baseline
        The rule that all others are compared with; added if it is not among them.
    time_limit
        Seconds per solve.
    node_limit
        Tree nodes per solve; 0 for none.
    memory_limit
        MiB per solve.
    out
        Folder for everything; the same folder resumes. `runs/evaluation` by default.
    solu
        Files with known optima (`.solu`); may be repeated.
    trees
        Record the trees of this many instances, for the report.
    agreement
        Compare policies with strong branching along the trees of this many instances.
    retry_failures
        Do crashed and killed solves again.
    """
    from gnn_branching.evaluation.evaluate import EvaluationRequest, plan_request
    from gnn_branching.evaluation.evaluate import evaluate as run_evaluation
    from gnn_branching.evaluation.plan import ResourceLimits
    from gnn_branching.evaluation.policies import parse_policy
    from gnn_branching.evaluation.tables import to_terminal
    from gnn_branching.execution import make_executor

    if n < 1 or seeds < 1:
        raise InputError(f"--n {n} and --seeds {seeds} must be 1 or more")
    folder = out or Path("runs/evaluation")
    request = EvaluationRequest(
        policies=tuple(parse_policy(policy) for policy in policies),
        instances=_instances(family, size or ["easy"], instances, n=n, folder=folder, seed=seed, workers=workers),
        seeds=tuple(range(seed, seed + seeds)),
        settings=tuple(settings or ["paper"]),
        limits=ResourceLimits(time_limit_seconds=time_limit, node_limit=node_limit, memory_limit_mib=memory_limit),
        baseline=baseline,
        n_workers=workers or 0,
        executor=None
        if executor == "local"
        else make_executor(executor, workers=workers or 0, ray_address=ray_address, slurm_folder=folder / "slurm"),
        executor_name=executor,
        solu_files=tuple(solu or ()),
        n_tree_instances=trees,
        n_agreement_instances=agreement,
        retry_failures=retry_failures,
    )
    done = 0
    with counting("solves", len(plan_request(request))) as show:

        def on_row(job: SolveJob, record: SolveRecord) -> None:
            nonlocal done
            done += 1
            show(done)

        evaluation = run_evaluation(request, folder, on_row)
    console = Console()
    for table in evaluation.tables:
        console.print(to_terminal(table))
    for disagreement in evaluation.disagreements:
        Console(stderr=True).print(f"[bold red]DISAGREEMENT[/] {disagreement}")
    print(f"Report: {folder / 'report.html'}")
    write_json(json, evaluation.figures)
    return evaluation.exit_code


def report(folder: Path, *more: Path, out: Path | None = None) -> int:
    """Write one self-contained HTML page from what is there: evaluation, training, diagnostics.

    Exits with 3 if optimal values contradict each other.

    Example: `gnn-branching report runs/demo`

    Parameters
    ----------
    folder
        Folder of an evaluation or a training run; subfolders are looked into.
    more
        Further folders for the same page.
    out
        The page; `report.html` in the first folder by default.
    """
    from gnn_branching.evaluation.report import write_report

    for place in (folder, *more):
        if not place.is_dir():
            raise InputError(f"folder {place} does not exist; give the folder of an evaluation or a training run")
    target = out or folder / "report.html"
    disagreements = write_report([folder, *more], target)
    print(target)
    return 3 if disagreements else 0


def _instances(
    family: str | None,
    sizes: list[str],
    place: Path | None,
    *,
    n: int,
    folder: Path,
    seed: int,
    workers: int | None,
) -> tuple[InstanceFile, ...]:
    """Return the instances to solve: generated test instances, a folder's files, or those that a file lists."""
    from gnn_branching.evaluation.plan import instance_files
    from gnn_branching.execution import make_executor
    from gnn_branching.instances import generate_instances, list_instances

    if (family is None) == (place is None):
        raise InputError("give either --family NAME or --instances FOLDER")
    if place is not None:
        if place.is_dir():
            return instance_files(list_instances(place), family=place.resolve().name)
        if not place.is_file():
            raise InputError(f"--instances {place} does not exist; give a folder, or a text file with one path a line")
        lines = [line.strip() for line in place.read_text().splitlines()]
        paths = [place.parent / line for line in lines if line and not line.startswith("#")]
        return instance_files(paths, family=place.stem)
    assert family is not None
    executor = make_executor("local", workers=workers or 0, preload=EVALUATION_MODULES)
    found: list[InstanceFile] = []
    for size in sizes:
        with counting(f"{family} {size}", n) as show:
            manifest = generate_instances(
                family,
                size,
                n,
                folder / "instances",
                executor=executor,
                seed=seed,
                split="test",
                compressed=True,
                on_instance=show,
            )
        found += manifest.instances
    return tuple(found)
