import math

import numpy as np
import torch

from gnn_branching.diagnostics.measures.finding import Verdict
from gnn_branching.diagnostics.measures.interpolation import (
    decreasing_distance,
    finite_tangents,
    gauss_length,
    interpolate,
    largest_rise,
    monotone,
)
from gnn_branching.diagnostics.measures.probe import LossKind
from tests.diagnostics.problems import problem


def test_half_circle_has_gauss_length_pi() -> None:
    alphas = np.linspace(0.0, 1.0, 200)
    circle = np.stack([np.cos(np.pi * alphas), np.sin(np.pi * alphas)], axis=1)
    np.testing.assert_allclose(gauss_length(finite_tangents(circle, alphas)), math.pi, atol=1e-4)


def test_polygon_turns_at_its_corners_and_rest_is_skipped() -> None:
    corner = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    np.testing.assert_allclose(gauss_length(np.diff(corner, axis=0)), math.pi / 2, rtol=1e-9)
    assert gauss_length(np.zeros((5, 3))) == 0.0


def test_rise_in_the_last_interval_is_not_missed() -> None:
    assert largest_rise(np.array([3.0, 2.0, 1.0, 1.5])) == 0.5
    assert largest_rise(np.array([3.0, 2.0, 1.0])) == 0.0


def test_path_hits_both_ends_and_ignores_constants() -> None:
    probe = problem(LossKind.CROSS_ENTROPY)
    start = probe.parameters()
    end = start + torch.randn(len(start), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    path = interpolate(probe, start, end, n_points=7)
    np.testing.assert_allclose(path.losses[0], float(probe.loss(probe.outputs(start))), rtol=1e-12)
    np.testing.assert_allclose(path.losses[-1], float(probe.loss(probe.outputs(end))), rtol=1e-12)
    np.testing.assert_allclose(path.distance, float((end - start).norm()), rtol=1e-12)
    weights = torch.ones(len(start), dtype=torch.bool)
    weights[12:16] = weights[-1] = False
    np.testing.assert_allclose(path.distance_without_biases, float((end - start)[weights].norm()), rtol=1e-12)
    assert len(path.sample_turnings()) == len(path.sample_gauss_lengths()) == probe.n_samples
    shifted = end.clone()
    shifted[-1] += 5.0
    np.testing.assert_allclose(interpolate(probe, start, shifted, n_points=7).outputs[-1], path.outputs[-1], atol=1e-9)


def test_monotone_verdicts() -> None:
    probe = problem(LossKind.SQUARE)
    good = probe.parameters()
    far = good + 30.0 * torch.ones_like(good)
    assert monotone(interpolate(probe, good, good)).verdict is Verdict.HOLDS
    verdicts = {monotone(interpolate(probe, a, b)).verdict for a, b in ((far, good), (good, far))}
    assert Verdict.VIOLATED in verdicts


def test_distance_is_claimed_below_half_pi_only() -> None:
    alphas = np.linspace(0.0, 1.0, 100)

    def arc(angle: float) -> tuple[np.ndarray, float]:
        path = np.stack([np.cos(angle * alphas), np.sin(angle * alphas)], axis=1)
        return path, gauss_length(finite_tangents(path, alphas))

    assert decreasing_distance(*arc(1.5)).verdict is Verdict.HOLDS
    assert decreasing_distance(*arc(4.0)).verdict is Verdict.NOT_APPLICABLE
    assert decreasing_distance(arc(4.0)[0], 1.0).verdict is Verdict.VIOLATED
