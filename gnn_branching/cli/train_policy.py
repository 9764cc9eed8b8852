"""``train-policy``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from gnn_branching.cli.options import ExecutorName, Overrides, RayAddress
from gnn_branching.cli.output import JsonPath, Workers, write_figures
from gnn_branching.run_folder import RunFolder

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
    from gnn_branching import pipeline
    from gnn_branching.pipeline.samples import collection_executor

    given_values = {"seed": seed, "training.learning_rate": None if lr == "auto" else lr, "training.stop": stop}
    overrides = [*(set_ or []), *(f"{key}={value}" for key, value in given_values.items() if value is not None)]
    experiment = pipeline.read_experiment(config, overrides, instances=instances)
    folder = RunFolder(path=out or Path("runs") / (config.stem if config else str(instances and instances.name)))
    jobs = None  # samples that are there need no workers
    if not dataset:
        jobs = collection_executor(executor, folder=folder, workers=workers, ray_address=ray_address)
    figures = pipeline.train_policy(
        experiment,
        folder,
        datasets=dataset or (),
        executor=jobs,
        measure_rate=lr == "auto",
    )
    if "test_acc_1" not in figures:
        return  # one of several processes; the first one reports
    print(" ".join(f"{name} {value:.4g}" for name, value in figures.items()))
    print(f"Policy: {folder.policy}")
    write_figures(json, figures)
