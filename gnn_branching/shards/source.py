"""Where shards lie: a folder, memory-mapped, or any fsspec URL."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import fsspec
import pyarrow as pa

from gnn_branching.contracts import InputError
from gnn_branching.shards.description import episode_name, episode_numbers
from gnn_branching.shards.episode import Episode


class EpisodeSource(Protocol):
    """Where the shards of one split are."""

    def name(self, episode: int) -> str:
        """Return how to call an episode's file in messages."""
        ...

    def open(self, episode: int) -> Episode:
        """Open an episode's file; raises InputError if it is missing or damaged."""
        ...

    def list(self) -> list[int]:
        """Return the numbers of the episodes there are."""
        ...


@dataclass(frozen=True, slots=True)
class LocalSource:
    """Shards in a folder, memory-mapped."""

    folder: Path

    def name(self, episode: int) -> str:
        """Return the file's path."""
        return str(self.folder / episode_name(episode))

    def open(self, episode: int) -> Episode:
        """Map the file into memory."""
        return open_episode(self.folder / episode_name(episode))

    def list(self) -> list[int]:
        """List the folder; empty if there is none."""
        return episode_numbers([path.name for path in self.folder.iterdir()]) if self.folder.is_dir() else []


@dataclass(frozen=True, slots=True)
class RemoteSource:
    """Shards behind an fsspec URL, each fetched whole."""

    url: str

    def name(self, episode: int) -> str:
        """Return the file's URL."""
        return f"{self.url}/{episode_name(episode)}"

    def open(self, episode: int) -> Episode:
        """Fetch the file."""
        return Episode(memoryview(fetch(self.name(episode))), self.name(episode))

    def list(self) -> list[int]:
        """List the folder; empty if there is none."""
        filesystem, path = fsspec.core.url_to_fs(self.url)
        if not filesystem.isdir(path):
            return []
        return episode_numbers([name.rpartition("/")[2] for name in filesystem.ls(path, detail=False)])


def open_episode(path: Path) -> Episode:
    """Map an episode's file into memory.

    Raises:
        InputError: If it is missing, truncated or corrupt.
    """
    try:
        with pa.memory_map(str(path)) as stream:
            content = stream.read_buffer()  # stays mapped when the file is closed
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else "it cannot be read"
        raise InputError(f"shard {path} cannot be opened: {reason}; collect again to restore it") from None
    if not content.size:
        raise InputError(f"shard {path} is empty; delete it and collect again")
    return Episode(memoryview(content), str(path))


def fetch(url: str) -> bytes:
    """Fetch a file through fsspec.

    Raises:
        InputError: If it cannot be fetched.
    """
    try:
        filesystem, path = fsspec.core.url_to_fs(url)
        content: bytes = filesystem.cat_file(path)
    except (OSError, ValueError, ImportError) as error:
        raise InputError(f"cannot read {url}: {str(error) or type(error).__name__}") from None
    return content


def is_url(location: str | Path) -> bool:
    """Say whether a location is a URL and no path."""
    return isinstance(location, str) and "://" in location


def make_source(location: str | Path, split: str) -> EpisodeSource:
    """Return where the shards of a split of the dataset at ``location`` are."""
    if is_url(location):
        return RemoteSource(f"{str(location).rstrip('/')}/{split}")
    return LocalSource(Path(location) / split)
