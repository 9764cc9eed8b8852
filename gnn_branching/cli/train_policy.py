"""``train-policy``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from gnn_branching.cli.experiment import (
    ExecutorName,
    Overrides,
    RayAddress,
    RunFolder,
    collect_samples,
    collection_executor,
    read_experiment,
)
from gnn_branching.cli.output import JsonPath, Workers, write_json
from gnn_branching.config import ExperimentConfig, ModelKind
from gnn_branching.contracts import InputError

LearningRate = Annotated[
    Literal["auto"] | float | None,
    Parameter(help="Learning rate; `auto` measures one on the samples, once. Overrides the configuration's."),
]


def train_policy(
    config: Path | None = None,
    *,
    instances: Path | None = None,
    dataset: Annotated[list[Path] | None, Parameter(negative="")] = None,
    out: Path | None = None,
    lr: LearningRate = None,
    stop: Literal["patience", "pl-star"] | None = None,
    set_: Overrides = None,
    seed: Annotated[int | None, Parameter(help="Overrides the configuration's seed.")] = None,
    executor: ExecutorName = "local",
    ray_address: RayAddress = None,
    workers: Workers = None,
    json: JsonPath = None,
) -> None:
    """Train a policy: instances, samples, network, policy folder; run it again to continue.

    Example: `train-policy configs/set-cover.toml --out runs/set-cover`

    Parameters
    ----------
    config
        Configuration, TOML.
    instances
        Folder of `.lp`/`.mps`/`.gz` files instead of a generated family.
    dataset
        Train on these samples, and collect none; may be given several times. Of each, the first
        `collection.n_train_samples` are used (and `n_valid_samples`, `n_test_samples`).
    out
        Run folder; `runs/NAME` by default, after the configuration.
    stop
        `pl-star` also stops as soon as the PL* inequality asks for no more progress, or no longer holds while
        validation is flat; overrides `training.stop`.
    """
    given_values = {"seed": seed, "training.learning_rate": None if lr == "auto" else lr, "training.stop": stop}
    overrides = [*(set_ or []), *(f"{key}={value}" for key, value in given_values.items() if value is not None)]
    experiment = read_experiment(config, overrides, instances=instances)
    folder = RunFolder(path=out or Path("runs") / (config.stem if config else str(instances and instances.name)))
    if experiment.model.kind is not ModelKind.GCNN:
        from gnn_branching.training.baselines import require_libraries

        require_libraries(experiment.model.kind)
    for given in dataset or ():
        if not given.is_dir():
            raise InputError(f"--dataset {given} does not exist; make one with gnn-branching collect")
    if not dataset:
        _refuse_to_collect_twice()
        collect_samples(experiment, folder, collection_executor(executor, workers, ray_address, folder.path))
    figures = _fit(experiment, folder, dataset or [folder.dataset], measure_rate=lr == "auto")
    if "test_acc_1" not in figures:
        return  # one of several processes; the first one reports
    print(" ".join(f"{name} {value:.4g}" for name, value in figures.items()))
    print(f"Policy: {folder.policy}")
    write_json(json, figures)


def _refuse_to_collect_twice() -> None:
    """Refuse to collect in every process of a training that ``torchrun`` or SLURM started."""
    from gnn_branching.training.loop import launched_from_outside

    if launched_from_outside():
        raise InputError("each of several processes would collect; run gnn-branching collect, then give --dataset")


def _fit(
    config: ExperimentConfig, folder: RunFolder, datasets: Sequence[Path], *, measure_rate: bool
) -> dict[str, float]:
    """Select the samples, fit what the configuration asks for, and return its figures."""
    from gnn_branching.cli.fit import fit_baseline_policy, fit_network
    from gnn_branching.dataset.selection import select_samples

    samples = select_samples(datasets, config.collection)
    for notice in samples.notices:
        print(notice, file=sys.stderr)
    if config.model.kind is ModelKind.GCNN:
        return fit_network(config, folder, samples, measure_rate=measure_rate)
    return fit_baseline_policy(config, folder, samples)
