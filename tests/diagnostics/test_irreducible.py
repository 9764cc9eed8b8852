import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from gnn_branching.config import ModelConfig
from gnn_branching.contracts import BranchingState, Sample
from gnn_branching.dataset.data import to_data
from gnn_branching.dataset.synthetic import random_sample
from gnn_branching.diagnostics.measures.finding import Verdict
from gnn_branching.diagnostics.measures.imitation import imitation_probe
from gnn_branching.diagnostics.measures.irreducible import candidate_colours, irreducible_loss, tie_targets
from gnn_branching.diagnostics.measures.products import gradient, outputs_of
from gnn_branching.edges import Edges
from gnn_branching.feature_schema import ROW_FEATURES, VARIABLE_FEATURES
from gnn_branching.model.network import BipartiteGCNN


def twins(*, coefficient: float = 1.0, edge_row: int = 1) -> Sample:
    """Variables 0 and 1 have equal features; each is in one of two equal rows."""
    base = random_sample(0, n_rows=2, n_variables=3, n_edges=3, n_candidates=3)
    variables = base.state.variable_features.copy()
    variables[1] = variables[0]
    rows = base.state.row_features.copy()
    rows[1] = rows[0]
    state = replace(
        base.state,
        row_features=rows,
        variable_features=variables,
        edges=Edges.from_pairs(
            np.array([0, 0, edge_row, 1]), np.array([0, 2, 1, 2]), np.array([1.0, 1.0, coefficient, 1.0]), 2
        ),
        candidates=np.array([0, 1, 2], dtype=np.int64),
    )
    return replace(base, state=state, scores=np.array([3.0, 1.0, 2.0]))


def n_colours(state: BranchingState, n_rounds: int | None = 1) -> int:
    return len(np.unique(candidate_colours(state, n_rounds=n_rounds)))


def test_symmetric_candidates_share_a_colour_until_an_edge_tells_them_apart() -> None:
    assert n_colours(twins().state) == 2
    assert n_colours(twins().state, None) == 2
    assert n_colours(twins(coefficient=2.0).state) == 3
    assert n_colours(twins(edge_row=0).state, 0) == 2


def test_random_candidates_are_all_distinguished() -> None:
    sample = random_sample(1)
    assert n_colours(sample.state) == sample.state.n_candidates


def test_a_second_round_sees_further() -> None:
    """A path of equal vertices: the second round sees the ends from further away."""
    n = 7
    base = random_sample(0, n_rows=n - 1, n_variables=n, n_edges=6, n_candidates=3)
    edges = np.array([(r, v) for r in range(n - 1) for v in (r, r + 1)], dtype=np.int64).T
    state = replace(
        base.state,
        row_features=np.ones((n - 1, len(ROW_FEATURES))),
        variable_features=np.ones((n, len(VARIABLE_FEATURES))),
        edges=Edges.from_pairs(*edges, np.ones(2 * (n - 1)), n - 1),
        candidates=np.arange(n, dtype=np.int64),
    )
    assert [n_colours(state, rounds) for rounds in (0, 1, 2, None)] == [1, 2, 3, 4]


def test_floor_of_known_classes() -> None:
    found = irreducible_loss([np.array([1.0, 0.0, 0.0])], [np.array([4, 4, 7])])
    np.testing.assert_allclose(found.floor, math.log(2), rtol=1e-12)
    assert found.tie_entropy == 0.0
    assert found.merged_share == 1.0
    assert found.tied_share == 0.0
    free = irreducible_loss([tie_targets(np.array([2.0, 2.0, 1.0]))], [np.arange(3)])
    np.testing.assert_allclose([free.floor, free.tie_entropy], math.log(2), rtol=1e-12)
    assert free.tied_share == 1.0
    with pytest.raises(ValueError, match="0 targets and 0 colourings"):
        irreducible_loss([], [])


def test_network_cannot_tell_them_apart_and_training_stops_at_the_floor() -> None:
    sample = twins()
    torch.manual_seed(0)
    network = BipartiteGCNN(ModelConfig(hidden_size=8))
    network.fit_prenorm([to_data(sample)])
    probe = imitation_probe(network, [sample], "cross-entropy")
    parameters = probe.parameters()
    logits = outputs_of(probe, parameters)
    np.testing.assert_allclose(float(logits[0]), float(logits[1]), rtol=0, atol=1e-12)
    floor = irreducible_loss([probe.targets.numpy()], [candidate_colours(sample.state)])
    for _ in range(150):
        parameters = parameters - 0.05 * gradient(probe, parameters)
        assert floor.finding(float(probe.loss(outputs_of(probe, parameters)))).verdict is Verdict.HOLDS
    np.testing.assert_allclose(float(probe.loss(outputs_of(probe, parameters))), floor.floor, atol=0.02)
    assert floor.finding(0.5 * floor.floor).verdict is Verdict.VIOLATED
