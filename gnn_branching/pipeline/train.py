"""From samples to a policy folder and its figures, whatever the kind of the policy."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from gnn_branching.config import ExperimentConfig
from gnn_branching.contracts import InputError
from gnn_branching.libraries import require
from gnn_branching.pipeline.budget import Budget, fit_to_budget
from gnn_branching.pipeline.experiment import read_experiment, run_name
from gnn_branching.pipeline.verdict import VERDICT_SECONDS, judge
from gnn_branching.policy.card import PolicyCard, Verdict
from gnn_branching.policy.kind import FitRequest, get_kind
from gnn_branching.run_folder import RunFolder, run_folder

if TYPE_CHECKING:
    from gnn_branching.dataset.source import SampleSource
    from gnn_branching.execution.protocol import Executor
    from gnn_branching.solver.problem import Problems

REPORTED = ("acc_1", "acc_3", "acc_5", "acc_10")


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What came of a training; a table in a notebook.

    Args:
        policy: The policy's folder, for :func:`~gnn_branching.policy.load.load_policy`.
        figures: Figures by name.
        card: The saved policy's, with its verdict; None in all but the first of several processes.
    """

    policy: Path
    figures: Mapping[str, float]
    card: PolicyCard | None = None

    @property
    def verdict(self) -> Verdict | None:
        """How the policy did against SCIP's default rule on instances held back; None if it was not tried."""
        return None if self.card is None else self.card.verdict

    def _repr_html_(self) -> str:
        from gnn_branching.evaluation.report.tables import Column, Table, number, to_html, words

        title = f"Policy {self.policy}" + ("" if self.verdict is None else f": {self.verdict}")
        columns = (Column(key="figure", title="", is_number=False), Column(key="value", title="value"))
        rows = tuple((words(name), number(value, digits=4)) for name, value in self.figures.items())
        return to_html(Table(name="training", title=title, columns=columns, rows=rows))


def train_policy(
    config: ExperimentConfig | str | Path | None = None,
    out: RunFolder | str | Path | None = None,
    *,
    instances: Problems | None = None,
    datasets: Sequence[str | Path] = (),
    overrides: Sequence[str] = (),
    budget: Budget | str | None = None,
    executor: Executor | None = None,
    workers: int = 0,
    measure_rate: bool = False,
    verdict_seconds: float | None = None,
) -> Training:
    """Collect what is missing, fit a policy, measure it, save it, and judge it by solves; goes on where it stopped.

    Examples:
        >>> train_policy(instances="models/", budget="30m", out="runs/mine")  # doctest: +SKIP
        >>> train_policy("configs/set-cover.toml", "runs/set-cover")  # doctest: +SKIP

    Args:
        config: A configuration, TOML or as :func:`~gnn_branching.pipeline.experiment.read_experiment` gives it; needed
            only without ``instances``.
        out: Folder for instances, samples, checkpoints and the policy; ``runs/NAME`` by default.
        instances: Folder of problem files, or PySCIPOpt models, instead of a generated family; twenty are enough to
            start.
        datasets: Train on these samples, and collect none.
        overrides: Of the configuration, ``section.key=value``.
        budget: Time for all of it, such as ``"30m"``: as many samples are taken as it allows.
        executor: Where samples are collected; this machine's cores by default.
        workers: Of this machine, if there is no executor; 0 means the cores there are.
        measure_rate: Whether to measure a learning rate, once, instead of taking the configuration's.
        verdict_seconds: Time for solves of held-back instances at the end; by default what the budget allows, or ten
            minutes without one; 0 for none.

    Raises:
        InputError: If a library, a dataset or samples are missing, or the folder holds another training.
    """
    start, seconds = perf_counter(), inf
    folder = run_folder(out, run_name(None if isinstance(config, ExperimentConfig) else config, instances))
    if instances is not None:
        from gnn_branching.solver.problem import problem_folder

        instances = problem_folder(instances, folder.models)
    if not isinstance(config, ExperimentConfig):
        config = read_experiment(config, overrides, instances=instances)
    elif instances is not None or overrides:
        raise InputError("instances and overrides belong to a configuration's file; an ExperimentConfig has its own")
    check_libraries(config)
    if executor is None and not datasets:  # samples that are there need no workers
        from gnn_branching.pipeline.samples import collection_executor

        executor = collection_executor(folder=folder, workers=workers)
    if budget is not None:
        limit = Budget.of(budget)
        if datasets:
            raise InputError("a budget says how many samples to take, and a dataset to take none; give one of them")
        config = fit_to_budget(config, folder, limit, executor)
        verdict_seconds = limit.verdict_seconds if verdict_seconds is None else verdict_seconds
        seconds = limit.seconds - verdict_seconds
    return _train(
        config,
        folder,
        [Path(dataset) for dataset in datasets],
        executor=executor,
        measure_rate=measure_rate,
        end=start + seconds,
        verdict_seconds=VERDICT_SECONDS if verdict_seconds is None else verdict_seconds,
    )


def _train(
    config: ExperimentConfig,
    folder: RunFolder,
    datasets: Sequence[Path],
    *,
    executor: Executor | None,
    measure_rate: bool,
    end: float,
    verdict_seconds: float,
) -> Training:
    from gnn_branching.dataset.ranges import feature_ranges
    from gnn_branching.dataset.selection import select_samples
    from gnn_branching.policy.save import write_policy

    kind = get_kind(config.model.kind)
    for given in datasets:
        if not given.is_dir():
            raise InputError(f"--dataset {given} does not exist; make one with gnn-branching collect")
    if not datasets:
        _collect(config, folder, executor)
    samples = select_samples(datasets or [folder.dataset], config.collection)
    for notice in samples.notices:
        print(notice, file=sys.stderr)
    request = FitRequest(
        config=config,
        folder=folder,
        train=samples.train,
        valid=samples.valid,
        measure_rate=measure_rate,
        seconds=None if end == inf else end - perf_counter(),
    )
    fitted = kind.fit(request)
    figures = dict(fitted.figures)
    if not fitted.is_first_process:
        return Training(policy=folder.policy, figures=figures)
    save = partial(
        write_policy, folder.policy, fitted, trained_on=samples.trained_on, ranges=feature_ranges(samples.train)
    )
    save(metrics=figures)
    if "valid_acc_1" not in figures:
        figures |= _accuracy(folder, samples.valid, "valid")
    figures |= _accuracy(folder, samples.test, "test")
    card = save(metrics=figures)
    verdict = judge(config, folder, card, seconds=verdict_seconds) if verdict_seconds else None
    if verdict is not None:
        card = save(metrics=figures, verdict=verdict)
    return Training(policy=folder.policy, figures=figures, card=card)


def check_libraries(config: ExperimentConfig) -> None:
    """Refuse, before hours of collecting, a training for which a library is missing.

    Raises:
        InputError: If one is; the message says what to install.
    """
    require("train")
    get_kind(config.model.kind).require_libraries()


def _collect(config: ExperimentConfig, folder: RunFolder, executor: Executor | None) -> None:
    """Collect, but not in every process of a training that ``torchrun`` or SLURM started."""
    from gnn_branching.pipeline.samples import collect
    from gnn_branching.training.loop import launched_from_outside

    if launched_from_outside():
        raise InputError("each of several processes would collect; run gnn-branching collect, then give --dataset")
    collect(config, folder, executor)


def _accuracy(folder: RunFolder, source: SampleSource, split: str) -> dict[str, float]:
    """Measure the policy as it was saved, not as it was trained."""
    from gnn_branching.policy import load_policy
    from gnn_branching.training.metrics import policy_accuracy

    accuracy = policy_accuracy(load_policy(folder.policy), source)
    return {f"{split}_{name}": getattr(accuracy, name) for name in REPORTED}
