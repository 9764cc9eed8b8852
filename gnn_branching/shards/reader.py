"""A split of a dataset as a sequence of samples."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, overload

import fsspec
import numpy as np

from gnn_branching.contracts import InputError, Sample, SampleOrigin
from gnn_branching.edges import Edges
from gnn_branching.shards.description import (
    DESCRIPTION_NAME,
    DatasetDescription,
    EpisodeEntry,
    parse_description,
)
from gnn_branching.shards.episode import Episode
from gnn_branching.shards.source import EpisodeSource, fetch, is_url, make_source

N_OPEN_EPISODES = 512
"""Episodes kept open, each a memory map, or its bytes if the dataset is remote."""
STRUCTURE_CACHE_BYTES = 256 << 20
"""Decoded LP structures kept, the largest part of a sample and shared within an episode."""

OnCorrupt = Literal["refuse", "skip"]


class ShardReader(Sequence[Sample]):
    """Samples of one split, in episode order; ``reader[i]`` decodes one, and checks its bytes first.

    Local files are memory-mapped; remote ones are fetched whole when first needed. Edges are decoded once per LP
    structure and shared, read-only, by its samples. Instances can be pickled and forked; they open files anew.

    Args:
        source: The files.
        entries: Episodes and how many samples of each belong to the split.
        skipped: Corrupt episodes that were left out, one line each.
    """

    def __init__(self, source: EpisodeSource, entries: Sequence[EpisodeEntry], skipped: Sequence[str] = ()) -> None:
        self._source = source
        self._episodes = [entry.episode for entry in entries]
        self._starts = [0, *np.cumsum([entry.n_samples for entry in entries], dtype=int).tolist()]
        self.skipped = tuple(skipped)
        self._forget()

    def __len__(self) -> int:
        """Number of samples."""
        return int(self._starts[-1])

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        """Return a sample, or the list of those in a slice.

        Raises:
            IndexError: If there is no such sample.
            InputError: If its file is missing, truncated or corrupt.
        """
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        slot, position = self._locate(index)
        episode = self._open(slot)
        return episode.sample(position, lambda number: self._edges(slot, number))

    def origin(self, index: int) -> SampleOrigin:
        """Return where a sample came from, without decoding its graph."""
        slot, position = self._locate(index)
        return self._open(slot).origin(position)

    def __getstate__(self) -> dict[str, object]:
        """Leave maps and caches behind."""
        return {"source": self._source, "episodes": self._episodes, "starts": self._starts, "skipped": self.skipped}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Start with empty caches."""
        for name in ("_source", "_episodes", "_starts", "skipped"):
            setattr(self, name, state[name.removeprefix("_")])
        self._forget()

    def _forget(self) -> None:
        self._opened: OrderedDict[int, Episode] = OrderedDict()
        self._structures: OrderedDict[tuple[int, int], Edges] = OrderedDict()
        self._structure_bytes = 0

    def _locate(self, index: int) -> tuple[int, int]:
        chosen = index + len(self) if index < 0 else index
        if not 0 <= chosen < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        slot = bisect_right(self._starts, chosen) - 1
        return slot, chosen - self._starts[slot]

    def _edges(self, slot: int, number: int) -> Edges:
        edges = self._structures.pop((slot, number), None)
        if edges is None:
            edges = self._open(slot).edges(number)
            self._structure_bytes += 2 * edges.nbytes  # transposed, they are kept with them
        self._structures[slot, number] = edges
        while self._structure_bytes > STRUCTURE_CACHE_BYTES and len(self._structures) > 1:
            self._structure_bytes -= 2 * self._structures.popitem(last=False)[1].nbytes
        return edges

    def _open(self, slot: int) -> Episode:
        episode = self._opened.pop(slot, None)
        if episode is None:
            episode = self._source.open(self._episodes[slot])
            expected = self._starts[slot + 1] - self._starts[slot]
            if episode.n_samples < expected:
                raise InputError(
                    f"shard {self._source.name(self._episodes[slot])} has {episode.n_samples} samples, "
                    f"{DESCRIPTION_NAME} counts {expected}; collect again"
                )
        self._opened[slot] = episode
        if len(self._opened) > N_OPEN_EPISODES:
            self._opened.popitem(last=False)
        return episode


def open_dataset(location: str | Path, split: str, *, on_corrupt: OnCorrupt = "refuse") -> ShardReader:
    """Open one split of a dataset.

    Args:
        location: A folder, or a URL that fsspec understands, such as ``hf://datasets/…``, ``s3://…`` or ``memory://…``.
        split: ``train``, ``valid`` or ``test``.
        on_corrupt: ``refuse`` raises when a corrupt shard is read; ``skip`` checks all shards now, which reads them
            once, leaves the corrupt ones out and names them in ``skipped``.

    Returns:
        The samples that ``dataset.json`` counts; all that are there if it does not list the split (yet).

    Raises:
        InputError: If there is no such dataset or split, or its description is damaged.
    """
    source = make_source(location, split)
    described = describe_location(location).splits.get(split)
    entries: list[EpisodeEntry] = []
    skipped: list[str] = []
    if described is not None and on_corrupt == "refuse":
        return ShardReader(source, described.episodes)
    wanted = {entry.episode: entry.n_samples for entry in described.episodes} if described is not None else None
    for number in source.list() if wanted is None else wanted:
        try:
            episode = source.open(number)
            if on_corrupt == "skip":
                episode.verify()
        except InputError as error:
            if on_corrupt == "refuse":
                raise
            skipped.append(str(error))
            continue
        entries.append(EpisodeEntry(episode=number, n_samples=episode.n_samples if wanted is None else wanted[number]))
    if not entries and not skipped and described is None:
        raise InputError(f"there is no split {split!r} at {location}; collect it first, or name another")
    return ShardReader(source, entries, skipped)


def read_description(location: str | Path) -> DatasetDescription:
    """Read a dataset's ``dataset.json``.

    Raises:
        InputError: If it is missing or damaged.
    """
    description = describe_location(location)
    if not description.splits:
        raise InputError(f"{location} has no finished split in {DESCRIPTION_NAME}; finish the collection first")
    return description


def describe_location(location: str | Path) -> DatasetDescription:
    """Read a dataset's ``dataset.json``; an empty description if there is none yet.

    Raises:
        InputError: If the folder is missing or the file damaged.
    """
    if is_url(location):
        name = f"{str(location).rstrip('/')}/{DESCRIPTION_NAME}"
        filesystem, path = fsspec.core.url_to_fs(name)
        return parse_description(fetch(name), name) if filesystem.exists(path) else DatasetDescription()
    file = Path(location) / DESCRIPTION_NAME
    if not Path(location).is_dir():
        raise InputError(f"dataset {location} is no folder; collect it first, or name another")
    return parse_description(file.read_bytes(), str(file)) if file.exists() else DatasetDescription()
