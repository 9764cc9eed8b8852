"""Where samples come from: random access behind a protocol, so that batching knows no file format."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import partial
from itertools import accumulate
from typing import Protocol, runtime_checkable

from gnn_branching.contracts import BranchingState, InputError, Sample
from gnn_branching.receptive_field import receptive_field
from gnn_branching.subproblem import View

KEPT_BYTES = 1 << 30
"""Memory for samples that a training keeps."""


@runtime_checkable
class SampleSource(Protocol):
    """Random access to samples."""

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


class ChangedSource:
    """Another source's samples, the state of each changed when it is read.

    Args:
        source: The samples.
        change: Maps a state to the one that takes its place.
    """

    def __init__(self, source: SampleSource, change: Callable[[BranchingState], BranchingState]) -> None:
        self._source, self._change = source, change

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Sample:
        sample = self._source[index]
        return replace(sample, state=self._change(sample.state))


class SeenSource(ChangedSource):
    """Another source's samples, each as a network is to see it.

    Args:
        source: Samples of whole tree nodes.
        view: What is seen of them.
    """

    def __init__(self, source: SampleSource, view: View) -> None:
        super().__init__(source, view)
        self.view = view


class NearSource(ChangedSource):
    """Another source's samples without what is too far from their candidates to matter to a network.

    Args:
        source: Samples as the network sees them.
        n_rounds: Its rounds of message passing.
    """

    def __init__(self, source: SampleSource, n_rounds: int) -> None:
        super().__init__(source, partial(receptive_field, n_rounds=n_rounds))


class KeptSource:
    """Another source's samples, kept in memory once they were read, as long as they fit.

    Which are kept is decided when they are first read, and stays so: a training reads them all again and again, so that
    whatever is dropped for another is missed just as soon. Pickled, it starts with none.

    Args:
        source: The samples.
        most_bytes: How much memory their arrays may take.
    """

    def __init__(self, source: SampleSource, most_bytes: int = KEPT_BYTES) -> None:
        self._source, self._most_bytes = source, most_bytes
        self._kept: dict[int, Sample] = {}
        self._n_bytes = 0

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Sample:
        sample = self._kept.get(index)
        if sample is None:
            sample = self._source[index]
            n_bytes = _n_bytes(sample)
            if self._n_bytes + n_bytes <= self._most_bytes:
                self._kept[index] = sample
                self._n_bytes += n_bytes
        return sample

    def __reduce__(self) -> tuple[type[KeptSource], tuple[SampleSource, int]]:
        return KeptSource, (self._source, self._most_bytes)


def _n_bytes(sample: Sample) -> int:
    """Return the memory of a sample's arrays, as if it shared none with others."""
    parts = (getattr(sample.state, part.name) for part in fields(sample.state))
    return int(sample.scores.nbytes + sum(getattr(part, "nbytes", 0) for part in parts))


def seen_as(source: SampleSource, view: View) -> SeenSource:
    """Return the samples as a network is to see them, whether or not they are so already.

    Raises:
        InputError: If the samples are seen differently already.
    """
    if not isinstance(source, SeenSource):
        return SeenSource(source, view)
    if source.view != view:
        raise InputError(
            f"samples seen as {source.view} cannot train a network that sees {view}; give whole tree nodes"
        )
    return source


def near_candidates(source: SampleSource, network: object) -> SampleSource:
    """Return samples without what cannot reach a network's scores; whole ones if it has no ``n_rounds`` to tell by.

    Prenorm layers must be fitted: they look at every row and every variable.
    """
    n_rounds: int | None = getattr(network, "n_rounds", None)
    return source if n_rounds is None else NearSource(source, n_rounds)
