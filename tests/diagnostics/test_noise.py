import math

import numpy as np
import pytest

from gnn_branching.diagnostics.measures.noise import noise_scale, noise_scale_of
from gnn_branching.diagnostics.measures.probe import LossKind
from tests.diagnostics.problems import problem


def test_noise_scale_of_known_gradients() -> None:
    rng = np.random.default_rng(0)
    mean, spread, dimension = np.full(50, 0.3), 0.5, 50
    true = spread**2 * dimension / float(mean @ mean)
    inside, values = 0, []
    for _ in range(60):
        slopes = mean + spread * rng.standard_normal((32, dimension))
        found = noise_scale_of(slopes @ slopes.T)
        values.append(found.value)
        inside += found.low <= true <= found.high
    np.testing.assert_allclose(np.median(values), true, rtol=0.1)
    assert inside >= 50


def test_pure_noise_has_no_upper_end() -> None:
    slopes = np.random.default_rng(1).standard_normal((16, 200))
    found = noise_scale_of(slopes @ slopes.T)
    assert found.high == math.inf
    np.testing.assert_allclose(found.covariance_trace, 200.0, rtol=0.1)


def test_equal_gradients_have_no_noise() -> None:
    found = noise_scale_of(np.ones((5, 5)))
    np.testing.assert_allclose([found.value, found.low], 0.0, atol=1e-12)


def test_without_gradients_there_is_neither_noise_nor_an_upper_end() -> None:
    found = noise_scale_of(np.zeros((5, 5)))
    assert (found.low, found.high) == (0.0, math.inf)


def test_one_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="1 samples: a noise scale needs at least two"):
        noise_scale_of(np.ones((1, 1)))


def test_on_a_probe() -> None:
    probe = problem(LossKind.CROSS_ENTROPY)
    found = noise_scale(probe, probe.parameters())
    assert found.n_samples == 4
    assert found.covariance_trace > 0
