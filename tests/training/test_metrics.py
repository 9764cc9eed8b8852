"""Accuracy against a slow twin; ties and few candidates count as the protocol says."""

import numpy as np
import pytest
import torch

from gnn_branching.contracts import FEATURE_SCHEMA, BranchingState, CandidateSet, FloatArray
from gnn_branching.dataset.data import collate
from gnn_branching.dataset.source import seen_as
from gnn_branching.dataset.synthetic import random_source
from gnn_branching.subproblem import View
from gnn_branching.training.losses import cross_entropy
from gnn_branching.training.metrics import TOP, accuracy_from_hits, best_ranks, n_hits, policy_accuracy
from gnn_branching.training.validation import validate

from .toys import FractionNetwork, labelled


def slow_hit(logits: list[float], scores: list[float], k: int) -> bool:
    first = sorted(range(len(scores)), key=lambda i: -logits[i])[: min(k, len(scores))]
    return any(scores[i] == max(scores) for i in first)


def test_equals_the_slow_twin() -> None:
    source = random_source(40, seed=6)
    batch = collate([source[i] for i in range(40)])
    logits = torch.randn(batch.scores.shape[0], generator=torch.Generator().manual_seed(1)).round(decimals=1)
    sizes = batch.n_candidates.tolist()
    pairs = list(zip(logits.split(sizes), batch.scores.split(sizes), strict=True))
    slow = [sum(slow_hit(z.tolist(), s.tolist(), k) for z, s in pairs) for k in TOP]
    assert n_hits(best_ranks(logits, batch)).tolist() == slow


def test_ties_and_clamping() -> None:
    batch = labelled([1.0, 3.0, 3.0], [2.0], [5.0, 4.0])
    logits = torch.tensor([2.0, 0.0, 1.0, 0.0, 0.0, 1.0])
    assert best_ranks(logits, batch).tolist() == [1, 0, 1]
    accuracy = accuracy_from_hits(n_hits(best_ranks(logits, batch)), 3)
    assert accuracy.acc_1 == pytest.approx(1 / 3)
    assert (accuracy.acc_3, accuracy.acc_10) == (1.0, 1.0)


def test_equal_logits_keep_the_order_of_candidates() -> None:
    assert best_ranks(torch.zeros(4), labelled([0.0, 0.0, 1.0, 0.0])).tolist() == [2]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_logit_that_is_no_number_is_refused(bad: float) -> None:
    with pytest.raises(FloatingPointError, match="a logit is NaN or infinite"):
        best_ranks(torch.tensor([0.0, bad]), labelled([1.0, 2.0]))


class Fraction:
    name = "fraction"
    feature_schema = FEATURE_SCHEMA
    candidate_set = CandidateSet.LP

    def scores(self, state: BranchingState) -> FloatArray:
        return state.variable_features[state.candidates, 9].astype(np.float32).astype(np.float64)


class Broken(Fraction):
    def scores(self, state: BranchingState) -> FloatArray:
        return np.full(state.n_candidates, np.nan)


def test_a_policy_is_measured_like_a_network() -> None:
    source = seen_as(random_source(30, seed=2), View())
    batches = [collate([source[i] for i in range(start, start + 10)]) for start in (0, 10, 20)]
    network = FractionNetwork(1.0)
    validation = validate(network, batches, cross_entropy)
    assert policy_accuracy(Fraction(), source) == validation.accuracy
    assert validation.n_samples == 30
    with pytest.raises(FloatingPointError, match="policy fraction scored a candidate NaN"):
        policy_accuracy(Broken(), source)


def test_validation_does_not_depend_on_batches_and_keeps_the_mode() -> None:
    source = seen_as(random_source(12, seed=2), View())
    samples = [source[i] for i in range(12)]
    network = FractionNetwork(2.0).train()
    whole = validate(network, [collate(samples)], cross_entropy)
    single = validate(network, [collate([sample]) for sample in samples], cross_entropy)
    assert whole.accuracy == single.accuracy
    assert whole.loss == pytest.approx(single.loss, rel=1e-6)
    assert network.training
