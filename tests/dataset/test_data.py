"""Batches are what PyTorch Geometric would make, faster; the cast loses no tie."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch

from gnn_branching.contracts import InputError, Sample
from gnn_branching.dataset.data import BranchingData, collate, to_data
from gnn_branching.dataset.synthetic import random_sample, random_source
from gnn_branching.model.incidence import edge_index


def samples(n: int) -> list[Sample]:
    source = random_source(n, seed=3)
    return [source[i] for i in range(n)]


def test_equals_the_generic_collation() -> None:
    parts = samples(7)
    ours = collate(parts)
    generic = Batch.from_data_list([to_data(part) for part in parts], exclude_keys=["indptr"])
    assert set(ours.keys()) - {"indptr"} == set(generic.keys()) - {"batch", "ptr"}
    for key, tensor in ours.to_dict().items():
        if key != "indptr" and isinstance(tensor, torch.Tensor):
            assert torch.equal(tensor, generic[key]), key
            assert tensor.dtype == generic[key].dtype
    assert ours.num_nodes == generic.num_nodes
    degrees = torch.cat([to_data(part).indptr.diff() for part in parts])
    assert torch.equal(ours.indptr.diff(), degrees)
    assert ours.indptr[0] == 0
    with pytest.raises(TypeError, match="use gnn_branching"):
        Batch.from_data_list([to_data(part) for part in parts])


def test_indices_point_into_each_sample_s_own_graph() -> None:
    parts = samples(5)
    batch = collate(parts)
    for i, part in enumerate(parts):
        row_start, variable_start = int(batch.n_rows[:i].sum()), int(batch.n_variables[:i].sum())
        rows, variables = edge_index(batch.indptr, batch.indices)
        inside = (rows >= row_start) & (rows < row_start + part.state.n_rows)
        assert np.array_equal((rows[inside] - row_start).numpy(), part.state.edges.rows)
        assert np.array_equal((variables[inside] - variable_start).numpy(), part.state.edges.indices)
        first = int(batch.n_candidates[:i].sum())
        chosen = batch.candidates[first : first + part.state.n_candidates] - variable_start
        assert np.array_equal(chosen.numpy(), part.state.candidates)


def test_the_cast_rounds_to_nearest() -> None:
    sample = random_sample(0)
    data = to_data(sample)
    for tensor, array in (
        (data.row_features, sample.state.row_features),
        (data.variable_features, sample.state.variable_features),
        (data.edge_values, sample.state.edges.values),
    ):
        assert tensor.dtype == torch.float32
        np.testing.assert_allclose(tensor.numpy(), array, rtol=2**-24, atol=0)


def with_scores(sample: Sample, scores: list[float]) -> Sample:
    return Sample(state=sample.state, scores=np.array(scores), origin=sample.origin)


def test_scores_that_float32_would_tie_stay_apart() -> None:
    sample = with_scores(random_sample(0, n_candidates=3), [1.0, 1.0 + 1e-8, 0.5])
    assert to_data(sample).is_best.tolist() == [False, True, False]
    tied = with_scores(random_sample(0, n_candidates=3), [2.0, 1.0, 2.0])
    assert to_data(tied).is_best.tolist() == [True, False, True]


def test_moving_keeps_the_type() -> None:
    moved = collate(samples(3)).to("cpu")
    assert isinstance(moved, BranchingData)
    assert moved.n_samples == 3


def test_refuses_what_cannot_be_learned_from() -> None:
    with pytest.raises(InputError, match="batch of 0 samples"):
        collate([])
    with pytest.raises(InputError, match="synthetic-5, tree node 1, has no candidate"):
        collate([random_sample(4), random_sample(5, n_candidates=0)])


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e39])
@pytest.mark.parametrize("name", ["row", "variable", "edge"])
def test_refuses_features_that_are_not_finite_as_float32(name: str, value: float) -> None:
    sample = random_sample(0)
    if name == "edge":
        values = sample.state.edges.values.copy()
        values[1] = value
        sample = replace(sample, state=replace(sample.state, edges=replace(sample.state.edges, values=values)))
    else:
        getattr(sample.state, f"{name}_features").flat[1] = value
    with pytest.raises(InputError, match=f"a {name} feature is NaN, infinite or beyond"):
        to_data(sample)
