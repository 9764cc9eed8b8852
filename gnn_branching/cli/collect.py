"""``gnn-branching collect``."""

from __future__ import annotations

from pathlib import Path

from gnn_branching.cli.options import ExecutorName, Overrides, RayAddress
from gnn_branching.cli.output import JsonPath, Workers, write_figures
from gnn_branching.run_folder import RunFolder


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
    from gnn_branching import pipeline
    from gnn_branching.pipeline.samples import collection_executor

    folder = RunFolder(path=out)
    jobs = collection_executor(executor, folder=folder, workers=workers, ray_address=ray_address)
    description = pipeline.collect(pipeline.read_experiment(config, set_ or (), instances=instances), folder, jobs)
    counts = {f"n_{name}_samples": split.n_samples for name, split in description.splits.items()}
    print(
        ", ".join(f"{count} {name.split('_')[1]}" for name, count in counts.items()) + f" samples in {folder.dataset}"
    )
    write_figures(json, counts | {"dataset": str(folder.dataset)})
