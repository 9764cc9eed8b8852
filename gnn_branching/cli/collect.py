"""``gnn-branching collect``."""

from __future__ import annotations

from pathlib import Path

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


def collect(
    config: Path | None = None,
    *,
    instances: Path | None = None,
    out: Path,
    set_: Overrides = None,
    executor: ExecutorName = "local",
    ray_address: RayAddress = None,
    workers: Workers = None,
    json: JsonPath = None,
) -> None:
    """Collect strong-branching samples; run it again to continue.

    Every episode is committed whole: kill it at any moment, nothing that was committed is lost or doubled.

    Example: `gnn-branching collect configs/set-cover.toml --out runs/set-cover`

    Parameters
    ----------
    config
        Configuration, TOML.
    instances
        Folder of `.lp`/`.mps`/`.gz` files instead of a generated family.
    out
        Run folder: gets `instances/` and `dataset/`.
    """
    experiment = read_experiment(config, set_, instances=instances)
    folder = RunFolder(path=out)
    description = collect_samples(experiment, folder, collection_executor(executor, workers, ray_address, out))
    counts = {f"n_{name}_samples": split.n_samples for name, split in description.splits.items()}
    print(
        ", ".join(f"{count} {name.split('_')[1]}" for name, count in counts.items()) + f" samples in {folder.dataset}"
    )
    write_json(json, counts | {"dataset": str(folder.dataset)})
