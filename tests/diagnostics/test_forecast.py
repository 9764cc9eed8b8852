import math

import numpy as np
import pytest

from gnn_branching.diagnostics.measures.forecast import Law, back_test, forecast, pl_star_steps


def test_exact_laws_are_recovered() -> None:
    epochs = np.arange(30)
    exponential = (0.5 + 2.0 * np.exp(-0.1 * epochs)).tolist()
    found = forecast(exponential, 0.5 + 2.0 * math.exp(-6.0), floor=0.5)
    assert found.law is Law.EXPONENTIAL
    np.testing.assert_allclose([found.epoch, found.low, found.high], 60.0, rtol=1e-6)
    hyperbolic = (1.0 / (0.3 + 0.05 * epochs)).tolist()
    found = forecast(hyperbolic, 1.0 / (0.3 + 0.05 * 100))
    assert found.law is Law.HYPERBOLIC
    np.testing.assert_allclose([found.epoch, found.low, found.high], 100.0, rtol=1e-6)
    power = (2.0 * (1.0 + epochs) ** -0.7).tolist()
    found = forecast(power, 2.0 * 201.0**-0.7)
    assert found.law is Law.POWER
    np.testing.assert_allclose([found.epoch, found.low, found.high], 200.0, rtol=1e-6)


def test_rising_loss_never_arrives() -> None:
    found = forecast(np.linspace(1.0, 2.0, 12).tolist(), 0.5)
    assert found.epoch == found.high == math.inf


def test_interval_covers_most_noisy_runs() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(40):
        losses = np.exp(-0.05 * np.arange(60) + 0.05 * rng.standard_normal(60))
        found = forecast(losses[:30].tolist(), math.exp(-2.5), seed=1)
        inside += found.low <= 50.0 <= found.high
    assert inside >= 25


def test_back_test_of_a_lawful_and_of_a_lawless_run() -> None:
    lawful = np.exp(-0.05 * np.arange(60)).tolist()
    found = back_test(lawful)
    assert found.n_forecasts == 10
    np.testing.assert_allclose(found.median_relative_error, 0.0, atol=1e-6)
    bent = np.concatenate([np.exp(-0.3 * np.arange(20)), np.exp(-6.0 - 0.01 * np.arange(40))]).tolist()
    assert back_test(bent).median_relative_error > 0.2
    assert back_test(bent).median_signed_error < -0.2
    assert back_test(np.ones(30).tolist()).n_forecasts == 0


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="3 epochs seen"):
        forecast([3.0, 2.0, 1.0], 0.5)
    with pytest.raises(ValueError, match=r"above the floor 0\.5"):
        forecast([3.0, 2.0, 1.0, 0.9, 0.8, 0.7], 0.5, floor=0.5)


def test_pl_star_steps_is_met_by_gradient_descent_on_a_quadratic() -> None:
    mu, rate, loss = 0.5, 0.4, 1.0
    steps = math.ceil(pl_star_steps(loss, 1e-3, rate, mu))
    for _ in range(steps):
        loss *= (1.0 - rate * mu) ** 2
    assert loss <= 1e-3
    assert pl_star_steps(1e-4, 1e-3, rate, mu) == 0.0
    assert pl_star_steps(1.0, 1e-3, rate, 0.0) == math.inf
