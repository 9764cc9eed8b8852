import math
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from torch import nn

from gnn_branching.config import TrainingConfig
from gnn_branching.diagnostics.measures import products
from gnn_branching.diagnostics.measures.curvature import (
    TopEigenpair,
    gauss_newton_bound,
    gauss_newton_from_kernel,
    gauss_newton_top,
    hessian_top,
    hessian_trace,
    largest,
    preconditioned_top,
    verified,
)
from gnn_branching.diagnostics.measures.finding import Verdict
from gnn_branching.diagnostics.measures.imitation import imitation_probe
from gnn_branching.diagnostics.measures.probe import LossKind, Probe, make_probe
from gnn_branching.diagnostics.measures.products import outputs_of
from gnn_branching.diagnostics.measures.tangent_kernel import kernel_spectrum, tangent_kernel
from gnn_branching.shards import open_dataset
from gnn_branching.training.loop import train
from tests.diagnostics.problems import dense_hessian, dense_jacobian, problem
from tests.training.toys import gcnn

AUCTIONS = Path(__file__).parents[1] / "data" / "auction"


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


@pytest.fixture(scope="module")
def trained_probe() -> Probe:
    """A network of width 64, trained on real samples: many of its units are close to their kinks."""
    source = open_dataset(AUCTIONS, "train")
    config = TrainingConfig(
        loss="tie-aware", schedule="one-cycle", learning_rate=4e-3, n_epochs=4, batch_size=16, n_batches_per_epoch=0,
        n_threads=1,
    )  # fmt: skip
    network = gcnn(hidden_size=64)
    with TemporaryDirectory() as folder:
        train(network, source, source, config, seed=0, run_folder=Path(folder), display="none")
    return imitation_probe(network, [source[i] for i in (0, 48)], "tie-aware")


@pytest.mark.slow
def test_sharpness_of_a_trained_network_is_that_of_double_backward(
    trained_probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the step meets, the exact product has the last word; kinks in it gave 8 to 400 times the value."""
    parameters = trained_probe.parameters()
    exact = hessian_top(trained_probe, parameters, tolerance=1e-3, n_vectors=8)
    assert exact.residual < 0.05
    for step in (products.DIFFERENCE_STEP, 3e-6):
        monkeypatch.setattr(products, "DIFFERENCE_STEP", step)
        fast = hessian_top(trained_probe, parameters, tolerance=1e-3, n_vectors=8, exact=False)
        assert fast.is_reliable
        np.testing.assert_allclose(fast.value, exact.value, rtol=5e-3)


def test_a_wrong_pair_is_found_out() -> None:
    matrix = torch.diag(torch.linspace(1.0, 5.0, 40, dtype=torch.float64))
    right, wrong = (TopEigenpair(value=5.0, vector=torch.eye(40, dtype=torch.float64)[i]) for i in (39, 0))
    assert verified(right, lambda v: matrix @ v).is_reliable
    mixed = TopEigenpair(value=99.0, vector=(right.vector + wrong.vector) / math.sqrt(2.0))
    found = verified(mixed, lambda v: matrix @ v)
    np.testing.assert_allclose((found.value, found.residual), (3.0, 2.0 / 3.0), rtol=1e-12)
    assert not found.is_reliable


def test_kinks_within_the_step_do_not_reach_the_sharpness(monkeypatch: pytest.MonkeyPatch) -> None:
    """The unit nearest its kink puts it within any fixed step: the difference is wrong, and the result is not."""
    features = torch.linspace(-1.0, 1.0, 24, dtype=torch.float64).reshape(12, 2)
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 1)).double()
    probe = make_probe(
        module, [partial(_flat_outputs, features=features)], torch.ones(12), torch.ones(12), LossKind.SQUARE
    )
    parameters = probe.parameters()
    monkeypatch.setattr(products, "DIFFERENCE_STEP", 1e-3)
    difference = largest(
        partial(products.hessian_difference, probe, parameters), len(parameters), None, 1e-3, n_vectors=8
    )
    exact = float(torch.linalg.eigvalsh(dense_hessian(probe, parameters))[-1])
    assert abs(difference.value - exact) > 1e-4 * exact
    found = hessian_top(probe, parameters, tolerance=1e-6, exact=False)
    assert found.is_reliable
    np.testing.assert_allclose(found.value, exact, rtol=1e-2)


def _flat_outputs(module: nn.Module, features: torch.Tensor) -> torch.Tensor:
    outputs: torch.Tensor = module(features)[:, 0]
    return outputs


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
