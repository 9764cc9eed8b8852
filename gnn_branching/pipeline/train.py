"""From samples to a policy folder and its figures, whatever the kind of the policy."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gnn_branching.config import ExperimentConfig
from gnn_branching.contracts import InputError
from gnn_branching.libraries import require
from gnn_branching.pipeline.verdict import VERDICT_SECONDS, judge
from gnn_branching.policy.card import PolicyCard
from gnn_branching.policy.kind import FitRequest, get_kind
from gnn_branching.run_folder import RunFolder

if TYPE_CHECKING:
    from gnn_branching.dataset.source import SampleSource
    from gnn_branching.execution.protocol import Executor

REPORTED = ("acc_1", "acc_3", "acc_5", "acc_10")


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What came of a training.

    Args:
        figures: Figures by name.
        card: The saved policy's, with its verdict; None in all but the first of several processes.
    """

    figures: Mapping[str, float]
    card: PolicyCard | None = None


def train_policy(
    config: ExperimentConfig,
    folder: RunFolder,
    *,
    datasets: Sequence[Path] = (),
    executor: Executor | None = None,
    measure_rate: bool = False,
    verdict_seconds: float = VERDICT_SECONDS,
) -> Training:
    """Collect what is missing, fit a policy, measure it, save it, and judge it by solves; goes on where it stopped.

    Args:
        config: The experiment, as :func:`~gnn_branching.pipeline.experiment.read_experiment` gives it.
        folder: Gets instances, samples, checkpoints and the policy.
        datasets: Train on these samples, and collect none.
        executor: Where samples are collected; this machine's cores by default.
        measure_rate: Whether to measure a learning rate, once, instead of taking the configuration's.
        verdict_seconds: Time for solves of held-back instances at the end; 0 for none.

    Raises:
        InputError: If a library, a dataset or samples are missing, or the folder holds another training.
    """
    from gnn_branching.dataset.ranges import feature_ranges
    from gnn_branching.dataset.selection import select_samples
    from gnn_branching.policy.save import write_policy

    check_libraries(config)
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
        config=config, folder=folder, train=samples.train, valid=samples.valid, measure_rate=measure_rate
    )
    fitted = kind.fit(request)
    figures = dict(fitted.figures)
    if not fitted.is_first_process:
        return Training(figures=figures)
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
    return Training(figures=figures, card=card)


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
