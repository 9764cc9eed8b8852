"""From what a user names to instances, and from instances to a comparison, showing progress on standard error."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gnn_branching.config import BASELINE_RULE
from gnn_branching.contracts import InputError, InstanceFile, SolveRecord
from gnn_branching.counting import counting
from gnn_branching.evaluation import evaluate as evaluation
from gnn_branching.evaluation.solves.competitors import parse_competitors
from gnn_branching.evaluation.solves.instance_choice import read_instances
from gnn_branching.evaluation.solves.plan import HIGHS, ResourceLimits, SolveJob
from gnn_branching.execution import make_executor
from gnn_branching.instances import generate_instances, get_family
from gnn_branching.libraries import require
from gnn_branching.policy.load import load_policy, say_unseen_settings
from gnn_branching.run_folder import RunFolder, run_folder

if TYPE_CHECKING:
    from gnn_branching.execution.protocol import Executor
    from gnn_branching.solver.problem import Problems

GENERATOR_MODULES = ("gnn_branching.instances",)


def choose_instances(
    families: Sequence[str],
    sizes: Sequence[str],
    place: Path | None,
    *,
    n: int,
    folder: Path,
    seed: int = 0,
    workers: int = 0,
) -> tuple[InstanceFile, ...]:
    """Return the instances to solve: test instances of families, which no training has seen, or a user's files.

    Args:
        families: Registered families; empty if a place is given.
        sizes: Their sizes; ``easy`` if empty.
        place: A folder of problem files, one problem file, or a text file that lists some; None for families.
        n: Instances per family and size.
        folder: Gets ``instances/``, with those that are generated.
        seed: Root of the instances' seeds.
        workers: Processes that generate; 0 means the cores there are.

    Raises:
        InputError: If both or neither are given, or there is no such family, size or file.
    """
    if (not families) == (place is None):
        raise InputError("give either --family NAME or --instances FOLDER")
    if place is not None:
        if sizes:
            raise InputError(f"--size {sizes[0]} goes with --family; --instances has no sizes")
        return read_instances(place)
    kinds = [(family, size) for family in families for size in sizes or ["easy"]]
    for family, size in kinds:
        get_family(family).arguments(size)  # refuses what is unknown before anything is written
    executor = make_executor("local", workers=workers, preload=GENERATOR_MODULES)
    found: list[InstanceFile] = []
    for family, size in kinds:
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


def evaluate(
    policies: str | Path | Sequence[str | Path],
    out: RunFolder | str | Path | None = None,
    *,
    family: str | Sequence[str] = (),
    size: str | Sequence[str] = (),
    instances: Problems | None = None,
    n: int = 20,
    seeds: int = 5,
    settings: str | Sequence[str] = (),
    baseline: str = BASELINE_RULE,
    limits: ResourceLimits | None = None,
    shift: float = 1.0,
    solu: Sequence[str | Path] = (),
    trees: int = 0,
    agreement: int = 0,
    retry_failures: bool = False,
    executor: Executor | None = None,
    executor_name: str = "local",
    workers: int = 0,
    seed: int = 0,
    command: str = "",
) -> evaluation.Evaluation:
    """Compare policies with SCIP's rules, paired on the same instances and seeds; goes on where it stopped.

    Examples:
        >>> evaluate("runs/mine/policy", instances="models/", settings="default")  # doctest: +SKIP
        >>> evaluate(["set-cover", "pscost", "highs"], family="set-cover", n=4, seeds=1)  # doctest: +SKIP

    Args:
        policies: Policies by name or folder, SCIP's rules by name, ``highs``; as ``evaluate --help`` says.
        out: Gets rows, tables, figures and ``report.html``; ``runs/evaluation`` by default.
        family: Generated families to solve.
        size: Their sizes; ``easy`` by default.
        instances: Instead of a family: a folder of problem files, one problem file, a text file that lists some, or
            PySCIPOpt models.
        n: Generated instances per family and size.
        seeds: SCIP seeds per instance.
        settings: ``recipe``, ``paper``, ``default``, or parameter files.
        baseline: The rule that all others are compared with; added if it is not among them.
        limits: Of every solve; an hour and 8 GiB by default.
        shift: Shift of the geometric means: seconds for times, units for counts.
        solu: Lists of known optima to check against.
        trees: Instances whose branch-and-bound trees are recorded.
        agreement: Instances on which policies are compared with strong branching along their own trees.
        retry_failures: Whether crashed and killed solves are done again.
        executor: Where solves run; this machine's cores by default.
        executor_name: Its name, for the record.
        workers: Solves at once; 0 means the cores there are.
        seed: Root of the generated instances' seeds, and the first of SCIP's.
        command: What was typed, for the record.

    Raises:
        InputError: If the request makes no sense, a list of optima cannot be read, or the folder cannot be written to.
    """
    if n < 1 or seeds < 1:
        raise InputError(f"--n {n} and --seeds {seeds} must be 1 or more")
    folder = run_folder(out, "evaluation")
    competitors = parse_competitors(_listed(policies), _listed(settings))
    for notice in competitors.notices:
        print(notice, file=sys.stderr)
    for spec in competitors.specs:
        if spec.is_learned:
            card = load_policy(spec.source).card  # refuses what no solve could use
            say_unseen_settings(spec.source, card, () if spec.recipe else competitors.settings)
        elif spec.scip_rule == HIGHS:
            require("highs")
    place = None
    if instances is not None:
        from gnn_branching.solver.problem import problem_folder

        place = problem_folder(instances, folder.models)
    request = evaluation.EvaluationRequest(
        policies=competitors.specs,
        instances=choose_instances(
            _listed(family), _listed(size), place, n=n, folder=folder.path, seed=seed, workers=workers
        ),
        seeds=tuple(range(seed, seed + seeds)),
        settings=competitors.settings,
        limits=limits or ResourceLimits(),
        baseline=baseline,
        n_workers=workers,
        executor=executor,
        executor_name=executor_name,
        solu_files=tuple(map(Path, solu)),
        n_tree_instances=trees,
        n_agreement_instances=agreement,
        retry_failures=retry_failures,
        shift=shift,
        command=command,
    )
    return _counted(request, folder.path)


def _listed(given: str | Path | Sequence[str | Path]) -> Sequence[str]:
    return [str(given)] if isinstance(given, str | Path) else [str(one) for one in given]


def _counted(request: evaluation.EvaluationRequest, folder: Path) -> evaluation.Evaluation:
    """Do a request with a bar that counts its solves."""
    n_jobs, done = len(evaluation.plan_request(request)), evaluation.n_done(request, folder)
    with counting("solves", n_jobs) as show:
        show(done)

        def on_row(job: SolveJob, record: SolveRecord) -> None:
            nonlocal done
            done += 1
            show(done)

        return evaluation.evaluate(request, folder, on_row)
