"""The order of samples: deterministic, fair, resumable, and shared out without loss."""

import gc
import tracemalloc

import numpy as np
import pytest
import torch

from gnn_branching.contracts import InputError, Sample
from gnn_branching.dataset.data import BranchingData
from gnn_branching.dataset.loader import (
    BatchStream,
    FixedOrder,
    Share,
    ShuffledOrder,
    ordered_batches,
    training_batches,
)
from gnn_branching.dataset.source import MemorySource, SampleSource, SubsetSource
from gnn_branching.dataset.synthetic import random_sample, random_source


def indices(order: ShuffledOrder | FixedOrder, step: int, share: Share | None = None) -> list[int]:
    return [order.index(place) for place in order.places(step, share or Share())]


def equal(a: BranchingData, b: BranchingData) -> bool:
    return all(torch.equal(value, b[key]) for key, value in a.to_dict().items() if isinstance(value, torch.Tensor))


def test_sources_keep_the_protocol() -> None:
    source = random_source(4)
    assert isinstance(source, SampleSource)
    subset = SubsetSource(source, [3, 1])
    assert len(subset) == 2
    assert subset[0] is source[3]


def test_every_pass_has_every_sample_once_in_another_order() -> None:
    order = ShuffledOrder(10, 5, seed=1)
    passes = [indices(order, 2 * i) + indices(order, 2 * i + 1) for i in range(3)]
    assert all(sorted(one) == list(range(10)) for one in passes)
    assert passes[0] != passes[1] != passes[2]


def test_batches_are_whole_where_passes_are_not() -> None:
    order = ShuffledOrder(7, 4, seed=1)
    stream = [index for step in range(7) for index in indices(order, step)]
    assert order.n_batches_per_pass == 2
    assert np.bincount(stream).tolist() == [4] * 7


def test_order_depends_on_seed_and_step_alone() -> None:
    forwards, backwards = ShuffledOrder(10, 3, seed=2), ShuffledOrder(10, 3, seed=2)
    ahead = [indices(forwards, step) for step in range(9)]
    assert [indices(backwards, step) for step in reversed(range(9))] == ahead[::-1]
    assert [indices(ShuffledOrder(10, 3, seed=3), step) for step in range(9)] != ahead


@pytest.mark.parametrize("order", [ShuffledOrder(10, 6, seed=0), FixedOrder(10, 6)])
def test_shares_make_up_the_batch(order: ShuffledOrder | FixedOrder) -> None:
    for step in range(2):
        shares = [indices(order, step, Share(rank=rank, n_processes=3)) for rank in range(3)]
        assert sorted(index for share in shares for index in share) == sorted(indices(order, step))


def test_a_rank_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="rank 2 of 2 processes"):
        Share(rank=2, n_processes=2)


def test_no_samples_are_refused() -> None:
    with pytest.raises(InputError, match="0 training samples"):
        ShuffledOrder(0, 4, seed=0)


def test_a_stream_resumes_anywhere_and_repeats() -> None:
    source = random_source(9)
    whole = training_batches(source, batch_size=4, seed=5, n_batches=6)
    rest = training_batches(source, batch_size=4, seed=5, start=4, n_batches=2)
    batches = list(whole)
    assert len(whole) == len(batches) == 6
    assert all(equal(a, b) for a, b in zip(batches[4:], rest, strict=True))
    assert all(equal(a, b) for a, b in zip(batches, whole, strict=True))


def test_ordered_batches_hold_every_sample_once() -> None:
    sizes = [batch.n_samples for batch in ordered_batches(random_source(7), batch_size=3)]
    assert sizes == [3, 3, 1]


def test_a_process_without_a_sample_skips_the_batch() -> None:
    stream = BatchStream(random_source(5), FixedOrder(5, 4), start=0, stop=2, share=Share(rank=1, n_processes=2))
    assert [batch.n_samples for batch in stream] == [2]


def test_reading_ahead_changes_nothing() -> None:
    source = random_source(8)
    order = ShuffledOrder(8, 4, seed=0)
    here = BatchStream(source, order, start=0, stop=4)
    ahead = BatchStream(source, order, start=0, stop=4, n_workers=1)
    assert all(equal(a, b) for a, b in zip(here, ahead, strict=True))


class MadeOnDemand:
    """Large samples that exist only while somebody holds them."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Sample:
        return random_sample(index, n_rows=200, n_variables=200, n_edges=4000)


def peak_bytes(n_samples: int) -> int:
    gc.collect()
    tracemalloc.start()
    for _ in training_batches(MadeOnDemand(n_samples), batch_size=4, seed=0):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_dataset() -> None:
    peak_bytes(8)
    assert peak_bytes(80) < 1.5 * peak_bytes(16)


def test_memory_source_is_a_sequence() -> None:
    sample = random_sample(0)
    assert MemorySource([sample])[0] is sample
