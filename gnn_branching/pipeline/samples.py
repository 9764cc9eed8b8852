"""From instances to samples; goes on where it stopped."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from math import inf
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from gnn_branching.config import ExperimentConfig
from gnn_branching.contracts import BarrenError
from gnn_branching.counting import counting
from gnn_branching.run_folder import RunFolder

if TYPE_CHECKING:
    from gnn_branching.collection.job import LoadPolicy
    from gnn_branching.collection.ledger import CollectionProgress
    from gnn_branching.execution.protocol import Executor
    from gnn_branching.shards import DatasetDescription

MOST_KIN = 60
"""Models of a folder that are looked at before it is taken for one family."""
SAMPLER_MODULES = ("gnn_branching.solver.sampling",)


def collection_executor(
    name: str = "local", *, folder: RunFolder, workers: int | None = None, ray_address: str | None = None
) -> Executor:
    """Return the executor that generates and collects: ``local``, ``ray`` or ``slurm``."""
    from gnn_branching.execution import make_executor

    return make_executor(
        name, workers=workers or 0, preload=SAMPLER_MODULES, ray_address=ray_address, slurm_folder=folder.slurm
    )


def collect(
    config: ExperimentConfig, folder: RunFolder, executor: Executor | None = None, *, seconds: float = inf
) -> DatasetDescription:
    """Generate and collect what is missing, showing progress on standard error.

    Args:
        config: Which instances, and how samples are taken.
        folder: Gets ``instances/`` and ``dataset/``.
        executor: Where the jobs run; this machine's cores by default.
        seconds: Time after which to give up, with what there is kept.

    Raises:
        BarrenError: If the models give too few samples, or too slowly.
        InputError: If the folder was begun with Ecole, which is missing, or holds samples of another configuration.
    """
    from gnn_branching.collection import CollectionDisplay, collect_dataset
    from gnn_branching.config import SCIP_RULES
    from gnn_branching.instances import list_instances, prepare_splits
    from gnn_branching.instances.kinship import check_kinship
    from gnn_branching.solver.settings import NAMED_SETTINGS, file_parameters

    if config.collection.settings not in NAMED_SETTINGS:
        file_parameters(config.collection.settings)
    if notice := labelling_notice(config, folder):
        print(notice, file=sys.stderr)
    executor = executor or collection_executor(folder=folder)
    wanted = config.instances
    if wanted.folder is not None and not folder.instances.exists():
        check_kinship(_some(list_instances(wanted.folder)))
    done: dict[str, int] = {}
    with counting("instances", wanted.n_train + wanted.n_valid + wanted.n_test) as show:

        def on_instance(split: str, n_done: int) -> None:
            done[split] = n_done
            show(sum(done.values()))

        splits = prepare_splits(wanted, config.seed, folder.instances, executor, on_instance)
    loader: LoadPolicy | None = None
    if config.collection.exploration not in SCIP_RULES:
        from gnn_branching.policy import load_policy as loader
    end = perf_counter() + seconds
    with CollectionDisplay() as display:

        def on_progress(progress: CollectionProgress) -> None:
            display.update(progress)
            if perf_counter() > end:
                raise BarrenError(
                    f"{progress.n_samples} {progress.split} samples from {progress.n_episodes} solves in "
                    f"{seconds:.0f} s are too few to learn from; take a larger budget, or harder models"
                )

        return collect_dataset(config, splits, folder.dataset, executor, load_policy=loader, on_progress=on_progress)


def labelling_notice(config: ExperimentConfig, folder: RunFolder) -> str:
    """Return a line on who labels, where that is not Ecole for want of it; empty otherwise.

    Raises:
        InputError: If Ecole began the folder's samples, and is missing: known now, rather than by every episode.
    """
    from gnn_branching.collection.recipe import SCIP, choose_labeller

    labeller = choose_labeller(config.collection, folder.dataset)
    if config.collection.strong_branching_iteration_limit or not labeller.startswith(SCIP):
        return ""
    return f"without Ecole: SCIP's own strong branching labels ({labeller}), with the same scores"


def _some(paths: Sequence[Path]) -> Sequence[Path]:
    """Return at most ``MOST_KIN`` paths, evenly spread."""
    step = max(1, -(-len(paths) // MOST_KIN))
    return paths[::step]
