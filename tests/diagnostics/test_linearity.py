import math

import numpy as np
import torch

from gnn_branching.diagnostics.measures.finding import Verdict
from gnn_branching.diagnostics.measures.linearity import (
    Regime,
    kernel_change,
    linearisation_error,
    linearity,
    target_alignment,
)
from gnn_branching.diagnostics.measures.probe import LossKind, Probe
from gnn_branching.diagnostics.measures.tangent_kernel import tangent_kernel
from tests.diagnostics.problems import linear_square_problem, problem


def measure(probe: Probe, move: float) -> tuple[Regime, Verdict]:
    start = probe.parameters()
    step = torch.randn(len(start), dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    end = start + move * step
    found = linearity(probe, start, end, tangent_kernel(probe, start), tangent_kernel(probe, end))
    return found.regime, found.finding().verdict


def test_linear_model_is_lazy_however_far_it_moves() -> None:
    matrix = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert measure(linear_square_problem(matrix, torch.ones(4)), 100.0) == (Regime.LAZY, Verdict.HOLDS)


def test_network_leaves_the_lazy_regime_as_it_moves() -> None:
    probe = problem(LossKind.CROSS_ENTROPY, n_hidden=8)
    assert measure(probe, 1e-4) == (Regime.LAZY, Verdict.HOLDS)
    assert measure(probe, 1.0) == (Regime.FEATURE_LEARNING, Verdict.VIOLATED)


def test_no_move_is_not_applicable() -> None:
    assert measure(problem(LossKind.SQUARE), 0.0)[1] is Verdict.NOT_APPLICABLE


def test_error_is_second_order_and_ignores_constants_per_sample() -> None:
    probe = problem(LossKind.CROSS_ENTROPY)
    start = probe.parameters()
    step = torch.randn(len(start), dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    ratio = linearisation_error(probe, start, start + 1e-3 * step) / linearisation_error(
        probe, start, start + 1e-4 * step
    )
    np.testing.assert_allclose(ratio, 10.0, rtol=0.05)
    bias = torch.zeros_like(start)
    bias[-1] = 1.0
    assert math.isnan(linearisation_error(probe, start, start + 0.0 * bias))


def test_alignment_and_change_of_known_kernels() -> None:
    targets = torch.tensor([1.0, -1.0], dtype=torch.float64)
    np.testing.assert_allclose(target_alignment(torch.outer(targets, targets), targets), 1.0, rtol=1e-12)
    np.testing.assert_allclose(target_alignment(torch.ones(2, 2).double(), targets), 0.0, atol=1e-12)
    np.testing.assert_allclose(kernel_change(torch.eye(3), 3.0 * torch.eye(3)), 2.0, rtol=1e-6)
