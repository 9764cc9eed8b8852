"""From what a user names to instances, and from instances to a comparison, showing progress on standard error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gnn_branching.contracts import InputError, InstanceFile, SolveRecord
from gnn_branching.counting import counting
from gnn_branching.evaluation import evaluate as evaluation
from gnn_branching.evaluation.solves.instance_choice import read_instances
from gnn_branching.evaluation.solves.plan import SolveJob
from gnn_branching.execution import make_executor
from gnn_branching.instances import generate_instances, get_family

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


def evaluate(request: evaluation.EvaluationRequest, folder: Path) -> evaluation.Evaluation:
    """Compare policies: :func:`gnn_branching.evaluation.evaluate.evaluate`, with a bar that counts what is done.

    Raises:
        InputError: If the request makes no sense, a list of optima cannot be read, or the folder cannot be written to.
    """
    n_jobs, done = len(evaluation.plan_request(request)), evaluation.n_done(request, folder)
    with counting("solves", n_jobs) as show:
        show(done)

        def on_row(job: SolveJob, record: SolveRecord) -> None:
            nonlocal done
            done += 1
            show(done)

        return evaluation.evaluate(request, folder, on_row)
