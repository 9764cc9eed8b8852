"""Where samples come from: random access behind a protocol, so that batching knows no file format."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Protocol, runtime_checkable

from gnn_branching.config import Graph, Search
from gnn_branching.contracts import InputError, Sample
from gnn_branching.subproblem import subproblem


@runtime_checkable
class SampleSource(Protocol):
    """Random access to samples; reading one must not keep it alive."""

    def __len__(self) -> int:
        """Return the number of samples."""
        ...

    def __getitem__(self, index: int, /) -> Sample:
        """Return sample ``index``, 0 <= index < len."""
        ...


class MemorySource:
    """Samples held in memory.

    Args:
        samples: The samples, in the order of their indices.
    """

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = tuple(samples)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        return self._samples[index]


class SubsetSource:
    """Some samples of another source, by index.

    Args:
        source: The whole.
        indices: Which samples, in their new order.
    """

    def __init__(self, source: SampleSource, indices: Sequence[int]) -> None:
        self._source = source
        self._indices = tuple(indices)

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> Sample:
        return self._source[self._indices[index]]


class ConcatSource:
    """Several sources, one after the other.

    Args:
        sources: The parts; empty ones are allowed.
    """

    def __init__(self, sources: Sequence[SampleSource]) -> None:
        self._sources = tuple(sources)
        self._starts = [0, *accumulate(len(source) for source in self._sources)]

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        part = bisect_right(self._starts, index) - 1
        return self._sources[part][index - self._starts[part]]


class SeenSource:
    """Another source's samples, each as a network is to see it.

    Args:
        source: Samples of whole tree nodes.
        graph: What is seen of the LP's graph.
        search: Whether the search's features are seen.
    """

    def __init__(self, source: SampleSource, graph: Graph, search: Search = "none") -> None:
        self._source = source
        self.graph, self.search = graph, search

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Sample:
        sample = self._source[index]
        state = subproblem(sample.state) if self.graph == "subproblem" else sample.state
        if self.search == "none":
            state = replace(state, search_features=None)
        elif state.search_features is None:
            raise InputError(
                "a network with model.search needs samples with collection.search_features, and these have none; "
                "collect again, or give --set model.search=none"
            )
        return replace(sample, state=state)


def seen_as(source: SampleSource, graph: Graph, search: Search = "none") -> SampleSource:
    """Return the samples as a network is to see them, whether or not they are so already.

    Raises:
        InputError: If the samples are seen differently already.
    """
    if isinstance(source, SeenSource):
        found, wanted = (source.graph, source.search), (graph, search)
        if found != wanted:
            raise InputError(
                f"samples seen as {found} cannot train a network that sees {wanted}; give whole tree nodes"
            )
        return source
    return SeenSource(source, graph, search)
