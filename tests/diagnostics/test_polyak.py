import math

import numpy as np
import pytest
import torch

from gnn_branching.diagnostics.measures.finding import Verdict
from gnn_branching.diagnostics.measures.polyak import (
    LocalRatio,
    descent_step,
    local_ratio,
    pl_ball,
    pl_star_relaxed,
    sandwich,
    segment_smoothness,
    target_entropy,
)
from gnn_branching.diagnostics.measures.probe import LossKind
from gnn_branching.diagnostics.measures.products import gradient, outputs_of
from gnn_branching.diagnostics.measures.tangent_kernel import kernel_spectrum, tangent_kernel
from tests.diagnostics.problems import linear_square_problem, problem


def test_sandwich_in_a_thousand_random_cases() -> None:
    for case in range(1000):
        probe = problem(LossKind.SQUARE, seed=case, n_hidden=1 + case % 6)
        parameters = probe.parameters()
        spectrum = kernel_spectrum(probe, parameters, tangent_kernel(probe, parameters))
        low, high = sandwich(probe, local_ratio(probe, parameters), spectrum)
        assert low.verdict is high.verdict is Verdict.HOLDS, case


def test_sandwich_is_violated_by_a_wrong_ratio_and_silent_on_cross_entropy() -> None:
    probe = problem(LossKind.SQUARE)
    parameters = probe.parameters()
    spectrum = kernel_spectrum(probe, parameters, tangent_kernel(probe, parameters))
    wrong = LocalRatio(loss=1e-9, floor=0.0, gradient_norm=1e3)
    assert sandwich(probe, wrong, spectrum)[1].verdict is Verdict.VIOLATED
    soft = problem(LossKind.CROSS_ENTROPY)
    assert all(f.verdict is Verdict.NOT_APPLICABLE for f in sandwich(soft, local_ratio(soft, parameters), spectrum))


def test_ratio_against_its_definition() -> None:
    probe = problem(LossKind.CROSS_ENTROPY)
    ratio = local_ratio(probe, probe.parameters())
    entropy = -sum(float((y * y.log()).sum()) for y in probe.targets.split([3, 1, 5, 2])) / 4
    np.testing.assert_allclose(target_entropy(probe), entropy, rtol=1e-12)
    np.testing.assert_allclose(ratio.mu, ratio.gradient_norm**2 / (2 * (ratio.loss - entropy)), rtol=1e-12)
    assert math.isnan(LocalRatio(loss=0.5, floor=0.5, gradient_norm=0.0).mu)


def test_descent_bound_holds_below_one_over_beta_only() -> None:
    probe = problem(LossKind.SQUARE)
    point = probe.parameters()
    ratio, slope = local_ratio(probe, point), gradient(probe, point)
    for factor, expected in ((0.2, Verdict.HOLDS), (3.0, Verdict.NOT_APPLICABLE)):
        rate = factor / segment_smoothness(probe, point, point, n_points=1)
        end = point - rate * slope
        smoothness = segment_smoothness(probe, point, end)
        after = float(probe.loss(outputs_of(probe, end)))
        assert descent_step(ratio, after, rate, smoothness).verdict is expected
    assert descent_step(ratio, ratio.loss, 0.1, 1.0).verdict is Verdict.VIOLATED


def test_relaxed_inequality() -> None:
    ratio = LocalRatio(loss=1.0, floor=0.0, gradient_norm=1.0)
    assert pl_star_relaxed(ratio, 0.4, 0.1).verdict is Verdict.HOLDS
    assert pl_star_relaxed(ratio, 0.6, 0.1).verdict is Verdict.VIOLATED
    assert pl_star_relaxed(ratio, 0.6, 2.0).verdict is Verdict.NOT_APPLICABLE


def test_ball_of_a_linear_problem() -> None:
    matrix = torch.randn(4, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    probe = linear_square_problem(matrix, torch.ones(4))
    values = torch.linalg.eigvalsh(matrix @ matrix.T)
    beta, mu = float(values[-1]), float(values[0])
    point, start = probe.parameters(), probe.parameters()
    first = local_ratio(probe, point)
    for _ in range(200):
        point = point - gradient(probe, point) / beta
    moved = float((point - start).norm())
    assert pl_ball(first.loss, beta, mu, moved, path_checked=True).verdict is Verdict.HOLDS
    assert pl_ball(first.loss, beta, 1e3 * mu, 1e3 * moved, path_checked=True).verdict is Verdict.VIOLATED
    assert pl_ball(first.loss, beta, mu, moved, path_checked=False).verdict is Verdict.NOT_APPLICABLE
    assert pl_ball(first.loss, beta, 0.0, moved, path_checked=True).verdict is Verdict.NOT_APPLICABLE
    np.testing.assert_allclose(local_ratio(probe, point).loss, 0.0, atol=(1 - mu / beta) ** 200 * first.loss)


@pytest.mark.parametrize("learning_rate_factor", [1.0])
def test_linear_rate(learning_rate_factor: float) -> None:
    matrix = torch.randn(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    probe = linear_square_problem(matrix, torch.ones(3))
    values = torch.linalg.eigvalsh(matrix @ matrix.T)
    point, losses = probe.parameters(), []
    for _ in range(30):
        losses.append(local_ratio(probe, point).loss)
        point = point - learning_rate_factor / float(values[-1]) * gradient(probe, point)
    bound = losses[0] * (1 - float(values[0] / values[-1])) ** np.arange(30)
    assert (np.array(losses) <= bound * (1 + 1e-9)).all()
