import math

import numpy as np
import pytest
import torch

from gnn_branching.diagnostics.curvature import (
    gauss_newton_bound,
    gauss_newton_from_kernel,
    gauss_newton_top,
    hessian_top,
    hessian_trace,
    largest,
    preconditioned_top,
)
from gnn_branching.diagnostics.finding import Verdict
from gnn_branching.diagnostics.probe import LossKind
from gnn_branching.diagnostics.products import outputs_of
from gnn_branching.diagnostics.tangent_kernel import kernel_spectrum, tangent_kernel
from tests.diagnostics.problems import dense_hessian, dense_jacobian, problem


@pytest.mark.parametrize("kind", LossKind)
@pytest.mark.parametrize("seed", range(3))
def test_lanczos_equals_dense_eigenvalues(kind: LossKind, seed: int) -> None:
    probe = problem(kind, seed=seed, blocks=4)
    parameters = probe.parameters()
    hessian = dense_hessian(probe, parameters)
    top = hessian_top(probe, parameters)
    np.testing.assert_allclose(top.value, torch.linalg.eigvalsh(hessian)[-1], rtol=1e-6, atol=1e-10)
    np.testing.assert_allclose(float(top.vector @ hessian @ top.vector), top.value, rtol=1e-6, atol=1e-10)
    rows = dense_jacobian(probe, parameters)
    curvature = torch.autograd.functional.hessian(probe.loss, outputs_of(probe, parameters))
    expected = float(torch.linalg.eigvalsh(rows.T @ curvature @ rows)[-1])
    np.testing.assert_allclose(gauss_newton_top(probe, parameters).value, expected, rtol=1e-6, atol=1e-10)
    kernel = tangent_kernel(probe, parameters)
    np.testing.assert_allclose(gauss_newton_from_kernel(probe, parameters, kernel), expected, rtol=1e-6, atol=1e-10)


def test_differences_of_gradients_give_the_same_sharpness() -> None:
    probe = problem(LossKind.CROSS_ENTROPY)
    exact, fast = (hessian_top(probe, probe.parameters(), exact=exact) for exact in (True, False))
    np.testing.assert_allclose(fast.value, exact.value, rtol=1e-5)
    warm = hessian_top(probe, probe.parameters(), start=fast.vector, tolerance=1e-2, n_vectors=4, exact=False)
    np.testing.assert_allclose(warm.value, exact.value, rtol=1e-2)


def test_preconditioned_equals_dense() -> None:
    probe = problem(LossKind.CROSS_ENTROPY)
    parameters = probe.parameters()
    diagonal = torch.rand(len(parameters), dtype=torch.float64) + 0.1
    root = diagonal.sqrt()
    expected = torch.linalg.eigvalsh(root[:, None] * dense_hessian(probe, parameters) * root)[-1]
    np.testing.assert_allclose(preconditioned_top(probe, parameters, diagonal).value, expected, rtol=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_gauss_newton_bound_holds_at_random_points(seed: int) -> None:
    for kind in LossKind:
        probe = problem(kind, seed=seed)
        parameters = probe.parameters()
        spectrum = kernel_spectrum(probe, parameters, tangent_kernel(probe, parameters))
        found = gauss_newton_bound(probe, gauss_newton_top(probe, parameters).value, spectrum.lambda_max)
        assert found.verdict is Verdict.HOLDS


def test_gauss_newton_bound_can_be_violated() -> None:
    probe = problem(LossKind.CROSS_ENTROPY)
    assert gauss_newton_bound(probe, 1.0, 2.0 * probe.n_samples * 0.99).verdict is Verdict.VIOLATED
    assert gauss_newton_bound(probe, math.nan, 1.0).verdict is Verdict.VIOLATED


def test_trace_within_its_error() -> None:
    probe = problem(LossKind.CROSS_ENTROPY)
    value, error = hessian_trace(probe, probe.parameters(), n_vectors=400, seed=0)
    exact = float(torch.trace(dense_hessian(probe, probe.parameters())))
    assert abs(value - exact) <= 4.0 * error


def test_one_parameter_and_no_convergence() -> None:
    assert largest(lambda v: 3.0 * v, 1, None, 1e-8).value == 3.0
    matrix = torch.diag(torch.linspace(1.0, 1.0 + 1e-9, 60, dtype=torch.float64))
    assert math.isnan(largest(lambda v: matrix @ v, 60, None, 1e-15, n_restarts=1).value)
