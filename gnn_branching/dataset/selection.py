"""The samples that an experiment trains on: the first so many of one or several collected datasets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gnn_branching.config import CollectionConfig
from gnn_branching.contracts import CandidateSet, InputError
from gnn_branching.dataset.source import ConcatSource, SampleSource, SubsetSource
from gnn_branching.shards import ShardReader, open_dataset
from gnn_branching.shards.description import SPLITS
from gnn_branching.shards.reader import describe_location


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedSamples:
    """Training, validation and test samples, no instance in two of them.

    Args:
        train: Training samples, dataset after dataset, each in episode order.
        valid: Validation samples.
        test: Test samples.
        trained_on: Per dataset its training samples, ``n_samples``, and the ``recipe`` they are a function of.
        notices: Where a dataset holds more or fewer samples than asked for, one line each.
    """

    train: SampleSource
    valid: SampleSource
    test: SampleSource
    trained_on: tuple[Mapping[str, object], ...]
    notices: tuple[str, ...]


def select_samples(datasets: Sequence[Path], config: CollectionConfig) -> SelectedSamples:
    """Open datasets, and take the first ``n_train_samples`` of each one, likewise of the other splits.

    A dataset may lack validation and test samples if another one has them, as the rounds of DAgger may.

    Raises:
        InputError: If a dataset is missing, has other candidates than ``config.candidates`` or, of several, shares an
            instance of its training samples with another one's validation or test samples; if a split is empty.
    """
    recipes = {dataset: describe_location(dataset).recipe for dataset in datasets}
    for dataset, recipe in recipes.items():
        _require_candidates(dataset, recipe, config.candidates)
    notices: list[str] = []
    splits: dict[str, SampleSource] = {}
    readers = {split: _open_split(datasets, split) for split in SPLITS}
    if len(datasets) > 1:
        _require_apart(readers)
    for split in SPLITS:
        n_wanted = int(getattr(config, f"n_{split}_samples"))
        parts: list[SampleSource] = []
        for dataset, reader in readers[split].items():
            if len(reader) != n_wanted:
                notices.append(_notice(dataset, split, len(reader), n_wanted))
            parts.append(SubsetSource(reader, range(n_wanted)) if len(reader) > n_wanted else reader)
        splits[split] = parts[0] if len(parts) == 1 else ConcatSource(parts)
    trained_on = tuple(
        {"n_samples": min(len(reader), config.n_train_samples), "recipe": recipes[dataset]}
        for dataset, reader in readers["train"].items()
    )
    return SelectedSamples(
        train=splits["train"],
        valid=splits["valid"],
        test=splits["test"],
        trained_on=trained_on,
        notices=tuple(notices),
    )


def _open_split(datasets: Sequence[Path], split: str) -> dict[Path, ShardReader]:
    """Open a split of every dataset that has it; all must have training samples, and one of them the others."""
    having = [dataset for dataset in datasets if split == "train" or (dataset / split).is_dir()]
    if not having:
        names = ", ".join(map(str, datasets))
        raise InputError(f"no {split} samples in {names}; collect that split, or add a --dataset that has it")
    return {dataset: open_dataset(dataset, split) for dataset in having}


def _require_candidates(dataset: Path, recipe: Mapping[str, object], wanted: CandidateSet) -> None:
    collection = recipe.get("collection")
    found = collection.get("candidates", wanted) if isinstance(collection, dict) else wanted
    if found != wanted:
        raise InputError(
            f"dataset {dataset} has {found!s} candidates, the configuration says {wanted!s}, and a policy must "
            f"branch on those it was trained on; give --set collection.candidates={found!s}"
        )


def _require_apart(readers: dict[str, dict[Path, ShardReader]]) -> None:
    """Refuse an instance that is trained on in one dataset, and validated or tested on in another."""
    seen: dict[str, Path] = {}
    for dataset, reader in readers["train"].items():
        seen |= dict.fromkeys(_instances(reader), dataset)
    for split in ("valid", "test"):
        for dataset, reader in readers[split].items():
            shared = _instances(reader) & seen.keys()
            if shared:
                name = min(shared)
                raise InputError(
                    f"instance {name[:12]}… is a {split} instance of {dataset}, and trained on in {seen[name]}; "
                    "collect both with the same seed and instance counts, or leave one out"
                )


def _instances(reader: ShardReader) -> set[str]:
    """Return the hashes of the instances behind a split."""
    return {reader.origin(index).instance_sha256 for index in range(len(reader))}


def _notice(dataset: Path, split: str, n_found: int, n_wanted: int) -> str:
    key = f"collection.n_{split}_samples = {n_wanted}"
    if n_found > n_wanted:
        return f"{dataset}: the first {n_wanted} of {n_found} {split} samples ({key})"
    return f"{dataset}: holds only {n_found} {split} samples, all are used ({key})"
