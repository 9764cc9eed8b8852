"""What a dataset folder says of itself: ``dataset.json``, beside one folder of shards per split."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, ValidationError

from gnn_branching.contracts import InputError
from gnn_branching.durable import write_durably

SPLITS = ("train", "valid", "test")
DESCRIPTION_NAME = "dataset.json"
DATASET_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeEntry:
    """One committed episode that holds samples of the dataset.

    Args:
        episode: Its number.
        n_samples: The samples of it that belong to the dataset; in the last episode, perhaps not all the file's.
    """

    episode: int
    n_samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitDescription:
    """One finished split.

    Args:
        n_samples: Samples, over all episodes.
        n_episodes: Episodes that were needed, those without samples included.
        n_failed_episodes: Episodes among them that were set aside.
        episodes: Those with samples, in order.
    """

    n_samples: int
    n_episodes: int
    n_failed_episodes: int
    episodes: tuple[EpisodeEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetDescription:
    """Content of ``dataset.json``.

    Args:
        version: Version of this file's form.
        recipe: What the samples are a function of: the seed, the instances and the settings, as plain values.
        provenance: Versions and machine of the collection.
        splits: Finished splits by name.
    """

    version: int = DATASET_VERSION
    recipe: Mapping[str, object] = field(default_factory=dict)
    provenance: Mapping[str, object] = field(default_factory=dict)
    splits: Mapping[str, SplitDescription] = field(default_factory=dict)

    __pydantic_config__ = ConfigDict(extra="forbid")


def write_description(dataset: Path, description: DatasetDescription) -> None:
    """Write ``dataset.json`` in one step."""
    text = json.dumps(asdict(description), indent=1, sort_keys=True)
    write_durably(dataset / DESCRIPTION_NAME, (text + "\n").encode())


def parse_description(content: bytes, name: str) -> DatasetDescription:
    """Read the content of a ``dataset.json``; ``name`` names it in errors.

    Raises:
        InputError: If it is damaged or of another version.
    """
    try:
        version = json.loads(content)["version"]
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{name} is damaged: no JSON object with a version; collect again to restore it") from None
    if version != DATASET_VERSION:
        raise InputError(f"{name} has version {version}, this release reads {DATASET_VERSION}")
    try:
        return TypeAdapter(DatasetDescription).validate_json(content)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise InputError(f"{name} is damaged at {'.'.join(map(str, problem['loc']))}: {problem['msg']}") from None


def episode_name(episode: int) -> str:
    """Return the file name of an episode."""
    return f"episode-{episode:06d}.arrow"


def episode_path(dataset: Path, split: str, episode: int) -> Path:
    """Return where an episode's shard lies in a dataset folder."""
    return dataset / split / episode_name(episode)


def episode_numbers(names: Sequence[str]) -> list[int]:
    """Return the numbers of the episodes among file names, ascending."""
    stems = [name.removeprefix("episode-").removesuffix(".arrow") for name in names if episode_like(name)]
    return sorted(int(stem) for stem in stems)


def episode_like(name: str) -> bool:
    """Say whether a file name is an episode's."""
    return name.startswith("episode-") and name.endswith(".arrow") and name[8:-6].isdigit()
