from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnn_branching.evaluation.statistics.estimators import (
    cluster_weights,
    mean_instance_deviation_percent,
    paired_ratio,
    shifted_geometric_mean,
)

values = st.lists(st.floats(min_value=1e-3, max_value=1e6), min_size=1, max_size=30)


def test_shifted_geometric_mean_closed_form() -> None:
    assert shifted_geometric_mean(np.array([1.0, 3.0, 7.0]), 1.0) == pytest.approx(3.0, rel=1e-14)
    assert shifted_geometric_mean(np.array([2.0, 8.0]), 0.0) == pytest.approx(4.0, rel=1e-14)
    assert math.isnan(shifted_geometric_mean(np.array([]), 1.0))
    with pytest.raises(ValueError, match="not above minus the shift"):
        shifted_geometric_mean(np.array([0.0, 1.0]), 0.0)


@given(values, st.floats(min_value=0.0, max_value=100.0))
def test_shifted_geometric_mean_lies_between_geometric_and_arithmetic(numbers: list[float], shift: float) -> None:
    array = np.array(numbers)
    mean = shifted_geometric_mean(array, shift)
    tolerance = 1e-6 * (array.max() + shift)
    assert shifted_geometric_mean(array, 0.0) - tolerance <= mean <= array.mean() + tolerance


@given(values, st.floats(min_value=0.01, max_value=100.0))
@settings(deadline=None, max_examples=30)
def test_proportional_times_give_their_factor_without_spread(numbers: list[float], factor: float) -> None:
    base = np.array(numbers)
    instances = np.arange(base.size) // 2
    estimate = paired_ratio(factor * base, base, instances, shift=0.0, n_resamples=50)
    assert estimate.value == pytest.approx(factor, rel=1e-9)
    if base.size > 1:
        assert (estimate.low, estimate.high) == pytest.approx((factor, factor), rel=1e-9)


def test_ratio_is_the_quotient_of_the_two_means_a_table_shows() -> None:
    rng = np.random.default_rng(1)
    candidate, base = rng.lognormal(size=(2, 12))
    estimate = paired_ratio(candidate, base, np.arange(12) // 3, shift=1.0, n_resamples=200)
    expected = shifted_geometric_mean(candidate, 1.0) / shifted_geometric_mean(base, 1.0)
    assert estimate.value == pytest.approx(expected, rel=1e-14)
    assert estimate.low < estimate.value < estimate.high
    assert (estimate.n_pairs, estimate.n_instances) == (12, 4)


def test_swapping_the_methods_inverts_the_ratio_and_keeps_p() -> None:
    rng = np.random.default_rng(2)
    candidate, base = rng.lognormal(size=(2, 30))
    instances = np.arange(30) // 3
    forth = paired_ratio(candidate, base, instances, shift=1.0)
    back = paired_ratio(base, candidate, instances, shift=1.0)
    assert forth.value * back.value == pytest.approx(1.0, rel=1e-12)
    assert (forth.low * back.high, forth.high * back.low) == pytest.approx((1.0, 1.0), rel=1e-3)
    assert forth.p == pytest.approx(back.p, rel=1e-12)


def test_nothing_one_pair_and_one_instance() -> None:
    empty = np.array([], dtype=np.float64)
    assert math.isnan(paired_ratio(empty, empty, np.array([], dtype=np.int64), shift=1.0).value)
    single = paired_ratio(np.array([2.0]), np.array([4.0]), np.array([0]), shift=0.0)
    assert single.value == pytest.approx(0.5, rel=1e-14)
    assert math.isnan(single.low)
    assert math.isnan(single.p)
    one = paired_ratio(np.array([2.0, 3.0, 4.0]), np.ones(3), np.zeros(3, dtype=np.int64), shift=0.0)
    assert one.low < one.value < one.high
    assert math.isnan(one.p), "seeds of one instance say nothing about another instance"


def test_wilcoxon_counts_instances_not_seeds() -> None:
    base = np.full(50, 10.0)
    instances = np.arange(50) // 10
    estimate = paired_ratio(base / 2, base, instances, shift=0.0, n_resamples=10)
    assert estimate.p == pytest.approx(2 / 2**5, rel=1e-12), "five instances, all faster: 2 of 32 sign patterns"
    assert paired_ratio(base, base, instances, shift=0.0, n_resamples=10).p == 1.0


def test_weights_draw_as_many_instances_and_pairs_as_there_are() -> None:
    instances = np.array([0, 0, 0, 1, 1, 2])
    weights = cluster_weights((0, 0, 0, 1, 1, 2), 4000, 6)
    sizes = np.bincount(instances)
    copies = np.stack([weights[:, instances == i].sum(axis=1) for i in range(3)], axis=1) / sizes
    np.testing.assert_array_equal(copies.sum(axis=1), 3.0)
    np.testing.assert_array_equal(copies, np.round(copies))
    np.testing.assert_allclose(weights.mean(axis=0), 1.0, rtol=0, atol=0.08)


def test_weights_match_a_plain_two_stage_bootstrap() -> None:
    """The slow twin: draw instances, then pairs, one by one; the means' spread must agree."""
    rng = np.random.default_rng(7)
    instances = np.repeat(np.arange(6), 4)
    data = rng.normal(size=6)[instances] + rng.normal(size=24)
    weights = cluster_weights(tuple(instances.tolist()), 6000, 7)
    fast = weights @ data / weights.sum(axis=1)
    slow = np.empty(6000)
    groups = data.reshape(6, 4)
    for i in range(slow.size):
        slow[i] = np.mean([rng.choice(groups[j], 4) for j in rng.integers(6, size=6)])
    np.testing.assert_allclose(fast.mean(), slow.mean(), rtol=0, atol=0.03)
    np.testing.assert_allclose(fast.std(), slow.std(), rtol=0.05, atol=0)


@pytest.mark.parametrize(("n_instances", "spread"), [(8, 0.3), (20, 0.3), (20, 0.0)])
def test_interval_covers_the_true_ratio(n_instances: int, spread: float) -> None:
    """Simulate experiments with a known ratio, instance effects and noise between seeds; count the hits."""
    rng = np.random.default_rng(8)
    truth, n_seeds, n_experiments = 0.7, 3, 500
    instances = np.repeat(np.arange(n_instances), n_seeds)
    hits = 0
    for experiment in range(n_experiments):
        base = rng.lognormal(2.0, 1.0, n_instances)[instances] * rng.lognormal(0.0, 0.2, instances.size)
        effect = np.exp(np.log(truth) + rng.normal(0.0, spread, n_instances))[instances]
        candidate = base * effect * rng.lognormal(0.0, 0.2, instances.size)
        estimate = paired_ratio(candidate, base, instances, shift=0.0, n_resamples=400, seed=experiment)
        hits += estimate.low <= truth <= estimate.high
    assert 0.93 <= hits / n_experiments <= 0.995


def test_no_difference_is_rarely_called_one() -> None:
    rng = np.random.default_rng(9)
    instances = np.repeat(np.arange(12), 3)
    false_alarms = 0
    for _ in range(400):
        base, candidate = rng.lognormal(1.0, 0.5, size=(2, 36))
        false_alarms += paired_ratio(candidate, base, instances, shift=1.0, n_resamples=20).p < 0.05
    assert false_alarms / 400 <= 0.08


def test_deviation_is_per_instance_and_relative() -> None:
    times = np.array([1.0, 3.0, 10.0, 10.0, 5.0])
    instances = np.array([0, 0, 1, 1, 2])
    expected = 100 * (math.sqrt(2.0) / 2.0 + 0.0) / 2
    assert mean_instance_deviation_percent(times, instances) == pytest.approx(expected, rel=1e-12)
    assert math.isnan(mean_instance_deviation_percent(times[-1:], instances[-1:]))
