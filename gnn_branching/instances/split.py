"""Which instances are for training, validation and test: none in two of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path

from gnn_branching.config import InstancesConfig
from gnn_branching.contracts import InputError, InstanceFile
from gnn_branching.execution.protocol import Executor
from gnn_branching.instances.family import get_family
from gnn_branching.instances.files import content_sha256, list_instances
from gnn_branching.instances.generate import SPLITS, generate_instances
from gnn_branching.instances.generators import choose_generator, known_instances
from gnn_branching.instances.manifest import write_manifest
from gnn_branching.provenance import file_sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceSplits:
    """Instances by purpose.

    Args:
        train: For training.
        valid: For choosing among trained policies.
        test: For reporting.

    Raises:
        InputError: If an instance, by the hash of its bytes, is in two of them.
    """

    train: tuple[InstanceFile, ...]
    valid: tuple[InstanceFile, ...]
    test: tuple[InstanceFile, ...]

    def __post_init__(self) -> None:
        """Refuse to test on what was trained on."""
        hashes = [(file.sha256, split, file.path) for split in SPLITS for file in self.of(split)]
        check_disjoint(hashes)

    def of(self, split: str) -> tuple[InstanceFile, ...]:
        """Return the instances of ``train``, ``valid`` or ``test``."""
        found: tuple[InstanceFile, ...] = getattr(self, split)
        return found


def check_disjoint(hashes: Sequence[tuple[str, str, str]]) -> None:
    """Check that no content is in two splits.

    Args:
        hashes: Content hash, split and path of each instance.

    Raises:
        InputError: If one is; the message names both files.
    """
    seen: dict[str, tuple[str, str]] = {}
    for digest, split, path in hashes:
        first_split, first_path = seen.setdefault(digest, (split, path))
        if first_split != split:
            raise InputError(f"{first_path} ({first_split}) and {path} ({split}) are the same instance; remove one")


def prepare_splits(
    config: InstancesConfig,
    seed: int,
    folder: Path,
    executor: Executor,
    on_instance: Callable[[str, int], None] = lambda split, n_done: None,
) -> InstanceSplits:
    """Return the instances a configuration asks for, generating those that are missing.

    Args:
        config: Which instances.
        seed: Root of their seeds, and of the split of a user's folder.
        folder: Where they, or the manifests that list a user's files, go: one subfolder per split.
        executor: Runs the generators.
        on_instance: Called with the split and how many of its instances are done.

    Raises:
        InputError: If an instance is in two splits, or cannot be made or read.
    """
    counts = dict(zip(SPLITS, (config.n_train, config.n_valid, config.n_test), strict=True))
    if config.folder is not None:
        splits = split_folder(config.folder, tuple(counts.values()), seed)
        for split in SPLITS:
            write_manifest(folder / split, splits.of(split))
        return splits
    made: dict[str, tuple[InstanceFile, ...]] = {}
    known = [instance for split in SPLITS for instance in known_instances(folder / split)]
    generator = choose_generator(get_family(config.family), known)
    for split, count in counts.items():
        found: list[InstanceFile] = []
        for size, n_instances in _shares(config.sizes, count).items():
            manifest = generate_instances(
                config.family,
                size,
                n_instances,
                folder / split,
                executor=executor,
                seed=seed,
                split=split,
                compressed=True,
                generator=generator,
                on_instance=partial(_report, on_instance, split, len(found)),
            )
            found += manifest.instances
        made[split] = tuple(found)
    return InstanceSplits(**made)


def _report(on_instance: Callable[[str, int], None], split: str, n_before: int, n_done: int) -> None:
    on_instance(split, n_before + n_done)


def split_folder(folder: Path, proportions: tuple[int, ...], seed: int) -> InstanceSplits:
    """Split a user's files by instance.

    Subfolders ``train``, ``valid`` and ``test`` are taken as they are. Otherwise the files are ordered by a hash of the
    seed and their content, and cut in proportion; of files with the same content, compressed or not, the first counts.

    Args:
        folder: Where the files are.
        proportions: Of training, validation and test instances.
        seed: Another seed gives another split.

    Raises:
        InputError: If there are too few files, or subfolders share an instance.
    """
    if (folder / "train").is_dir():
        return _ready_made(folder)
    by_content: dict[str, Path] = {}
    for path in list_instances(folder):
        by_content.setdefault(content_sha256(path), path)
    if len(by_content) < len(SPLITS):
        raise InputError(
            f"{folder} holds {len(by_content)} different instances (.lp, .mps or these with .gz); "
            f"a split by instance needs at least {len(SPLITS)}"
        )
    order = sorted(by_content, key=lambda content: hashlib.sha256(f"{seed} {content}".encode()).digest())
    cuts = _cuts(len(order), proportions)
    parts = [order[start:end] for start, end in zip([0, *cuts], [*cuts, len(order)], strict=True)]
    files = [tuple(_describe(by_content[content], folder.name) for content in part) for part in parts]
    return InstanceSplits(train=files[0], valid=files[1], test=files[2])


def _ready_made(folder: Path) -> InstanceSplits:
    found = {split: list_instances(folder / split) for split in SPLITS}
    for split, paths in found.items():
        if not paths:
            raise InputError(f"{folder / split} holds no instances; add some, or put all files into {folder} itself")
    check_disjoint([(content_sha256(path), split, str(path)) for split in SPLITS for path in found[split]])
    files = {split: tuple(_describe(path, folder.name) for path in paths) for split, paths in found.items()}
    return InstanceSplits(**files)


def _describe(path: Path, family: str) -> InstanceFile:
    return InstanceFile(path=str(path), family=family, size="", seed=None, sha256=file_sha256(path))


def _cuts(n_instances: int, proportions: tuple[int, ...]) -> list[int]:
    """Return where to cut, with at least one instance in every part."""
    total = sum(proportions)
    cuts = [round(n_instances * part / total) for part in accumulate(proportions[:-1])]
    for position in range(len(cuts)):
        earliest = 1 + (cuts[position - 1] if position else 0)
        latest = n_instances - (len(cuts) - position)
        cuts[position] = min(max(cuts[position], earliest), latest)
    return cuts


def _shares(sizes: Sequence[str], count: int) -> dict[str, int]:
    """Return equal parts of ``count`` per size; the first sizes take what is left over."""
    return {size: count // len(sizes) + (position < count % len(sizes)) for position, size in enumerate(sizes)}
