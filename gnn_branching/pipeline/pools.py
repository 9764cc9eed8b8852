"""Instances to search settings on, and others to prove them on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gnn_branching.config import InstancesConfig
from gnn_branching.contracts import InputError, InstanceFile
from gnn_branching.pipeline.budget import OWN_MODELS
from gnn_branching.run_folder import RunFolder

if TYPE_CHECKING:
    from gnn_branching.policy.card import PolicyCard

N_SEARCHED, N_PROVEN = 24, 24
"""Generated instances to search on, and to prove on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pools:
    """Instances by what they serve.

    Args:
        search: To search on.
        proof: To prove on; none of them is in ``search``, nor was any trained on.
    """

    search: tuple[InstanceFile, ...]
    proof: tuple[InstanceFile, ...]


def pools_for(
    policy: str, folder: RunFolder, *, family: str | None, size: str | None, instances: Path | None, seed: int = 0
) -> Pools:
    """Return the instances for a policy: generated ones, or those of a folder, cut as for its training.

    Raises:
        InputError: If neither or both are given, or there are too few.
    """
    from gnn_branching.instances import prepare_splits
    from gnn_branching.pipeline.samples import collection_executor

    if (family is None) == (instances is None):
        raise InputError("give either --family NAME or --instances FOLDER")
    if instances is not None and size is not None:
        raise InputError(f"--size {size} goes with --family; --instances has no sizes")
    wanted = InstancesConfig(
        family=family or "", sizes=(size or "easy",), n_train=N_SEARCHED, n_valid=1, n_test=N_PROVEN
    )
    if instances is not None:
        wanted, seed = InstancesConfig(folder=instances, **OWN_MODELS["instances"]), 0
        trained = _trained_on(policy, instances)
        if trained is not None:
            wanted, seed = trained
    splits = prepare_splits(wanted, seed, folder.instances, collection_executor(folder=folder))
    return Pools(search=(*splits.train, *splits.valid), proof=splits.test)


def _trained_on(policy: str, instances: Path) -> tuple[InstancesConfig, int] | None:
    """Return how a folder was cut for a policy's training, if it is the folder that it was trained on."""
    from gnn_branching.config import parse_config
    from gnn_branching.evaluation.solves.competitors import parse_policy

    if not parse_policy(policy).is_learned:
        return None
    config = parse_config(card_of(policy).experiment, source=f"the card of {policy}")
    folder = config.instances.folder
    if folder is None or folder.resolve() != instances.resolve():
        return None
    return config.instances, config.seed


def card_of(policy: str) -> PolicyCard:
    """Return a policy's card."""
    from gnn_branching.policy.card import read_card
    from gnn_branching.policy.load import find_folder

    return read_card(find_folder(policy))
