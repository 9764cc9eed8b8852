"""What is too far from the candidates makes no difference to their scores, nor to the gradient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gnn_branching.config import Aggregation, ModelConfig
from gnn_branching.contracts import Sample
from gnn_branching.dataset.data import collate, to_data
from gnn_branching.dataset.source import MemorySource, NearSource, near_candidates
from gnn_branching.dataset.synthetic import random_sample
from gnn_branching.model.network import BipartiteGCNN, Implementation
from gnn_branching.receptive_field import receptive_field
from tests.training.toys import gcnn

N_SAMPLES = 6


def sparse_sample(seed: int) -> Sample:
    """Return a sample most of which is far from its three candidates; some of its rows and variables have no edge."""
    return random_sample(seed, n_rows=60, n_variables=80, n_edges=110, n_candidates=3)


def scores_and_gradient(network: BipartiteGCNN, samples: list[Sample]) -> tuple[torch.Tensor, torch.Tensor]:
    scores = network.score(collate(samples))
    gradient = torch.autograd.grad(scores.square().sum(), list(network.parameters()))
    return scores.detach(), torch.cat([part.flatten() for part in gradient])


@pytest.mark.parametrize("implementation", ["fused", "reference"])
@pytest.mark.parametrize("aggregation", ["sum", "mean"])
@pytest.mark.parametrize("n_rounds", [1, 2])
def test_scores_and_gradients_stay(implementation: Implementation, aggregation: Aggregation, n_rounds: int) -> None:
    network = BipartiteGCNN(ModelConfig(hidden_size=8, n_rounds=n_rounds, aggregation=aggregation), implementation)
    whole = [sparse_sample(seed) for seed in range(N_SAMPLES)]
    network.fit_prenorm([collate(whole)])
    near = [replace(sample, state=receptive_field(sample.state, n_rounds)) for sample in whole]
    for before, after in zip(whole, near, strict=True):
        assert after.state.n_rows < before.state.n_rows
        assert after.state.n_edges < before.state.n_edges
    for found, expected in zip(scores_and_gradient(network, near), scores_and_gradient(network, whole), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("seed", range(N_SAMPLES))
def test_whatever_is_left_matters(seed: int) -> None:
    state = receptive_field(sparse_sample(seed).state, 1)
    touched = set(state.edges.rows[np.isin(state.edges.indices, state.candidates)])
    assert touched == set(range(state.n_rows))
    assert set(state.edges.indices) | set(state.candidates) == set(range(state.n_variables))
    assert receptive_field(state, 1) is state
    assert receptive_field(state, 5) is state


def test_a_candidate_without_rows_stays() -> None:
    state = sparse_sample(0).state
    lonely = np.setdiff1d(np.arange(state.n_variables), state.edges.indices)[:1]
    state = replace(state, candidates=lonely, candidate_features=None, search_features=None)
    alone = receptive_field(state, 1)
    assert (alone.n_rows, alone.n_variables, alone.n_edges, alone.candidates.tolist()) == (0, 1, 0, [0])
    network = gcnn()
    network.fit_prenorm([collate([sparse_sample(0)])])
    scores = [
        network.score(to_data(replace(sparse_sample(0), state=seen, scores=np.ones(1)))) for seen in (state, alone)
    ]
    torch.testing.assert_close(*scores)


def test_a_network_that_says_nothing_sees_everything() -> None:
    source = MemorySource([sparse_sample(0)])
    assert near_candidates(source, torch.nn.Linear(1, 1)) is source
    near = near_candidates(source, gcnn())
    assert isinstance(near, NearSource)
    assert len(near) == 1
    assert near[0].state.n_rows < source[0].state.n_rows
