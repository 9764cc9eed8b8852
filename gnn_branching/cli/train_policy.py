"""``train-policy``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from gnn_branching.config import ExperimentConfig, to_mapping
from gnn_branching.contracts import InputError
from gnn_branching.seeding import derive_seed

N_PROBE_SAMPLES = 32
"""Samples on which convergence is watched while training."""

if TYPE_CHECKING:
    from gnn_branching.model.network import BipartiteGCNN
    from gnn_branching.training.metrics import Accuracy


def train_policy(
    config: Path | None = None,
    *,
    instances: Path | None = None,
    dataset: Annotated[list[Path] | None, Parameter(negative="")] = None,
    out: Path | None = None,
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
    """
    overrides = [*(set_ or []), *([] if seed is None else [f"seed={seed}"])]
    experiment = read_experiment(config, overrides, instances=instances)
    folder = RunFolder(path=out or Path("runs") / (config.stem if config else str(instances and instances.name)))
    for given in dataset or ():
        if not given.is_dir():
            raise InputError(f"--dataset {given} does not exist; make one with gnn-branching collect")
    if not dataset:
        collect_samples(experiment, folder, collection_executor(executor, workers, ray_address, folder.path))
    figures = _train(experiment, folder, dataset or [folder.dataset])
    print(" ".join(f"{name} {value:.4g}" for name, value in figures.items()))
    print(f"Policy: {folder.policy}")
    write_json(json, figures)


def _train(config: ExperimentConfig, folder: RunFolder, datasets: Sequence[Path]) -> dict[str, float]:
    """Train on datasets, save the policy, and return its figures."""
    from gnn_branching.dataset.selection import select_samples
    from gnn_branching.diagnostics.tracker import ConvergenceTracker, probe_samples
    from gnn_branching.policy import load_policy
    from gnn_branching.policy.save import save_policy
    from gnn_branching.training.loop import train
    from gnn_branching.training.metrics import policy_accuracy

    samples = select_samples(datasets, config.collection)
    for notice in samples.notices:
        print(notice, file=sys.stderr)
    network = _initial_network(config)
    write_json(folder.config, to_mapping(config))
    tracker = ConvergenceTracker(probe_samples(samples.train, N_PROBE_SAMPLES), config.training.loss)
    result = train(
        network,
        samples.train,
        samples.valid,
        config.training,
        seed=config.seed,
        run_folder=folder.path,
        callbacks=(tracker,),
    )
    figures = {
        "best_epoch": float(result.best_epoch),
        "valid_loss": result.best_valid_loss,
        "valid_acc_1": result.best.acc_1,
        "valid_acc_5": result.best.acc_5,
        "train_seconds": result.wall_seconds,
        "n_train_samples": float(len(samples.train)),
    }
    save_policy(folder.policy, network, config=to_mapping(config), metrics=figures)
    figures |= _test_figures(policy_accuracy(load_policy(str(folder.policy)), samples.test))
    save_policy(folder.policy, network, config=to_mapping(config), metrics=figures)
    return figures


def _initial_network(config: ExperimentConfig) -> BipartiteGCNN:
    """Return the network before training; its weights depend on the seed alone."""
    import torch

    from gnn_branching.model.network import BipartiteGCNN

    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(config.seed, "initial weights"))
        return BipartiteGCNN(config.model)


def _test_figures(accuracy: Accuracy) -> dict[str, float]:
    return {f"test_{name}": getattr(accuracy, name) for name in ("acc_1", "acc_3", "acc_5", "acc_10")}
