"""A run folder, and the steps that fill it: instances, dataset, training, policy; each goes on where it stopped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from gnn_branching.config import ExperimentConfig, load_config
from gnn_branching.contracts import InputError
from gnn_branching.execution.protocol import Executor

if TYPE_CHECKING:
    from gnn_branching.collection.job import LoadPolicy
    from gnn_branching.shards import DatasetDescription

ExecutorName = Annotated[
    Literal["local", "ray", "slurm"],
    Parameter(name="--executor", help="Where jobs run: processes of this machine, a Ray cluster, or SLURM."),
]
RayAddress = Annotated[str | None, Parameter(name="--ray-address", help="An existing Ray cluster's address.")]
Overrides = Annotated[
    list[str] | None,
    Parameter(name="--set", help="Override a value of the configuration: section.key=value.", negative=""),
]
SAMPLER_MODULES = ("gnn_branching.solver.sampling",)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """Where an experiment keeps its files.

    Args:
        path: The folder.
    """

    path: Path

    @property
    def instances(self) -> Path:
        """Generated instances, or the manifests of a user's."""
        return self.path / "instances"

    @property
    def dataset(self) -> Path:
        """Samples."""
        return self.path / "dataset"

    @property
    def config(self) -> Path:
        """The configuration that was run, as JSON."""
        return self.path / "config.json"

    @property
    def policy(self) -> Path:
        """The trained policy."""
        return self.path / "policy"


def read_experiment(config: Path | None, overrides: list[str] | None, *, instances: Path | None) -> ExperimentConfig:
    """Return a configuration, or the defaults for a folder of instances.

    Raises:
        InputError: If neither is given, or the configuration is wrong.
    """
    settings = list(overrides or [])
    if instances is not None:
        settings.append(f"instances.folder={str(instances)!r}")
    if config is None:
        if instances is None:
            raise InputError("give a configuration, such as configs/set-cover.toml, or --instances FOLDER")
        from gnn_branching.config import parse_overrides

        return parse_overrides(settings)
    return load_config(config, settings)


def collection_executor(name: str, workers: int | None, ray_address: str | None, out: Path) -> Executor:
    """Return the executor that generates and collects."""
    from gnn_branching.execution import make_executor

    return make_executor(
        name,
        workers=workers or 0,
        preload=SAMPLER_MODULES,
        ray_address=ray_address,
        slurm_folder=out / "slurm",
    )


def collect_samples(config: ExperimentConfig, folder: RunFolder, executor: Executor) -> DatasetDescription:
    """Generate and collect what is missing, showing progress."""
    from gnn_branching.cli.progress import counting
    from gnn_branching.collection import CollectionDisplay, collect_dataset
    from gnn_branching.instances import prepare_splits
    from gnn_branching.solver.ecole_module import load_ecole
    from gnn_branching.solver.settings import SCIP_RULES

    load_ecole()  # known to be missing now, rather than by every episode
    wanted = config.instances
    total = wanted.n_train + wanted.n_valid + wanted.n_test
    done: dict[str, int] = {}
    with counting("instances", total) as show:

        def on_instance(split: str, n_done: int) -> None:
            done[split] = n_done
            show(sum(done.values()))

        splits = prepare_splits(wanted, config.seed, folder.instances, executor, on_instance)
    loader: LoadPolicy | None = None
    if config.collection.exploration not in SCIP_RULES:
        from gnn_branching.policy import load_policy as loader
    with CollectionDisplay() as display:
        return collect_dataset(
            config,
            splits,
            folder.dataset,
            executor,
            load_policy=loader,
            on_progress=display.update,
        )
