"""Batches in a shuffled order that is a function of the step alone, so that a stream resumes anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch.utils.data import DataLoader, Dataset

from gnn_branching.contracts import IndexArray, InputError
from gnn_branching.dataset.data import BranchingData, collate
from gnn_branching.dataset.source import SampleSource
from gnn_branching.seeding import generator


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Which part of every batch a process takes.

    Args:
        rank: This process, 0 <= rank < n_processes.
        n_processes: How many share the work.
    """

    rank: int = 0
    n_processes: int = 1

    def __post_init__(self) -> None:
        """Refuse a rank that does not exist."""
        if not 0 <= self.rank < self.n_processes:
            raise ValueError(f"rank {self.rank} of {self.n_processes} processes")


class ShuffledOrder:
    """The infinite training stream: pass after pass over the data, each in an order of its own.

    Step ``t`` takes places ``[t · batch_size, (t + 1) · batch_size)`` of the stream, so every sample is seen equally
    often, no batch is smaller than the others, and the position of an interrupted training is one number.

    Args:
        n_samples: Samples in one pass.
        batch_size: Samples per step, over all processes.
        seed: Of the shuffling; pass ``p`` draws from the stream ``("shuffle", p)``.

    Raises:
        InputError: If there is no sample.
    """

    def __init__(self, n_samples: int, batch_size: int, seed: int) -> None:
        if n_samples < 1:
            raise InputError("0 training samples; collect at least 1")
        self.n_samples = n_samples
        self.batch_size = batch_size
        self.seed = seed
        self._cached: tuple[int, IndexArray] | None = None

    @property
    def n_batches_per_pass(self) -> int:
        """Steps that cover the data once, rounded up."""
        return -(-self.n_samples // self.batch_size)

    def places(self, step: int, share: Share) -> range:
        """Return the places in the stream of a step, (batch_size / n_processes,): every ``n_processes``-th."""
        return range(step * self.batch_size + share.rank, (step + 1) * self.batch_size, share.n_processes)

    def index(self, place: int) -> int:
        """Return the sample at a place of the stream."""
        return int(self._permutation(place // self.n_samples)[place % self.n_samples])

    def _permutation(self, number: int) -> IndexArray:
        if self._cached is None or self._cached[0] != number:
            order = generator(self.seed, "shuffle", number).permutation(self.n_samples)
            self._cached = (number, order.astype(np.int64))
        return self._cached[1]


class FixedOrder:
    """The validation stream: every sample once, in the order of the source; the last batch may be smaller.

    Args:
        n_samples: Samples in all.
        batch_size: Samples per batch, over all processes.
    """

    def __init__(self, n_samples: int, batch_size: int) -> None:
        self.n_samples = n_samples
        self.batch_size = batch_size

    @property
    def n_batches(self) -> int:
        """Batches that cover the data, rounded up."""
        return -(-self.n_samples // self.batch_size)

    def places(self, step: int, share: Share) -> range:
        """Return the places of a batch; none if it has fewer samples than there are processes."""
        end = min((step + 1) * self.batch_size, self.n_samples)
        return range(step * self.batch_size + share.rank, end, share.n_processes)

    def index(self, place: int) -> int:
        """Return the sample at a place, which is the place itself."""
        return place


class _Batches(Dataset[BranchingData | None]):
    """Batch number to batch; reads samples only when asked."""

    def __init__(self, source: SampleSource, order: ShuffledOrder | FixedOrder, share: Share) -> None:
        self._source = source
        self._order = order
        self._share = share

    def __getitem__(self, step: int) -> BranchingData | None:
        samples = [self._source[self._order.index(place)] for place in self._order.places(step, self._share)]
        return collate(samples) if samples else None


class BatchStream:
    """Iterate over a range of batches, any number of times; memory holds the current batches only.

    Args:
        source: The samples.
        order: Which samples make which batch.
        start: First batch.
        stop: One past the last batch.
        share: This process's part of every batch.
        n_workers: Processes that read ahead; 0 reads in this process. The batches are the same.
        pin_memory: Whether to hand out page-locked tensors, for copies to a GPU.
    """

    def __init__(
        self,
        source: SampleSource,
        order: ShuffledOrder | FixedOrder,
        *,
        start: int,
        stop: int,
        share: Share | None = None,
        n_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        self._steps = range(start, stop)
        self._loader: DataLoader[BranchingData | None] = DataLoader(
            _Batches(source, order, share or Share()),
            batch_size=None,
            sampler=self._steps,
            num_workers=n_workers,
            pin_memory=pin_memory,
        )

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[BranchingData]:
        """Yield the batches in order; a batch in which this process has no sample is skipped."""
        return (batch for batch in self._loader if batch is not None)


def training_batches(
    source: SampleSource, *, batch_size: int, seed: int, start: int = 0, n_batches: int | None = None
) -> BatchStream:
    """Return shuffled batches from step ``start`` on; by default those of one pass."""
    order = ShuffledOrder(len(source), batch_size, seed)
    stop = start + (order.n_batches_per_pass if n_batches is None else n_batches)
    return BatchStream(source, order, start=start, stop=stop)


def ordered_batches(source: SampleSource, *, batch_size: int) -> BatchStream:
    """Return every sample once, in order."""
    order = FixedOrder(len(source), batch_size)
    return BatchStream(source, order, start=0, stop=order.n_batches)
