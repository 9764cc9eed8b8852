"""Products against dense autograd, curvlinops and, on the bipartite network, against its reference twin."""

import numpy as np
import pytest
import torch

from gnn_branching.config import ModelConfig
from gnn_branching.dataset.data import collate
from gnn_branching.dataset.synthetic import random_source
from gnn_branching.diagnostics.measures.curvature import gauss_newton_top, hessian_top
from gnn_branching.diagnostics.measures.imitation import imitation_probe, twice_differentiable
from gnn_branching.diagnostics.measures.probe import LossKind, Probe
from gnn_branching.diagnostics.measures.products import (
    gauss_newton_product,
    gradient,
    hessian_difference,
    hessian_product,
    jacobian,
    jacobian_product,
    output_hessian_product,
    outputs_of,
    sample_gradients,
)
from gnn_branching.diagnostics.measures.tangent_kernel import tangent_kernel
from gnn_branching.model.network import BipartiteGCNN
from tests.diagnostics.problems import dense_hessian, dense_jacobian, problem, total_loss

CLOSE = {"rtol": 1e-6, "atol": 1e-9}


@pytest.mark.parametrize("kind", LossKind)
@pytest.mark.parametrize("blocks", [1, 4])
def test_products_equal_dense_autograd(kind: LossKind, blocks: int) -> None:
    probe = problem(kind, blocks=blocks)
    parameters = probe.parameters()
    direction = torch.randn(len(parameters), dtype=torch.float64)
    rows, hessian = dense_jacobian(probe, parameters), dense_hessian(probe, parameters)
    slope = torch.autograd.functional.jacobian(lambda w: total_loss(probe, w), parameters)
    torch.testing.assert_close(jacobian(probe, parameters), rows, **CLOSE)
    torch.testing.assert_close(gradient(probe, parameters), slope, **CLOSE)
    torch.testing.assert_close(jacobian_product(probe, parameters, direction), rows @ direction, **CLOSE)
    torch.testing.assert_close(hessian_product(probe, parameters, direction), hessian @ direction, **CLOSE)
    difference = hessian_difference(probe, parameters, direction)
    torch.testing.assert_close(difference, hessian @ direction, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", LossKind)
def test_gauss_newton_equals_dense(kind: LossKind) -> None:
    probe = problem(kind, blocks=4)
    parameters = probe.parameters()
    rows, outputs = dense_jacobian(probe, parameters), outputs_of(probe, parameters)
    curvature = torch.autograd.functional.hessian(probe.loss, outputs)
    direction = torch.randn(len(parameters), dtype=torch.float64)
    torch.testing.assert_close(
        gauss_newton_product(probe, parameters, direction), rows.T @ curvature @ rows @ direction, **CLOSE
    )
    torch.testing.assert_close(
        output_hessian_product(probe, outputs, torch.eye(probe.n_outputs, dtype=torch.float64)), curvature, **CLOSE
    )


def test_sample_gradients_average_to_the_gradient() -> None:
    probe = problem(LossKind.CROSS_ENTROPY, blocks=4)
    parameters = probe.parameters()
    torch.testing.assert_close(sample_gradients(probe, parameters).mean(0), gradient(probe, parameters), **CLOSE)


def test_curvature_and_kernel_equal_curvlinops() -> None:
    """An implementation by others; requirements-oracle.txt says how to install it."""
    curvlinops = pytest.importorskip("curvlinops", exc_type=ImportError)
    inputs, labels = torch.randn(6, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 1, 0, 2])
    torch.manual_seed(3)
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3)).double()
    probe = _classifier_probe(module, inputs, labels)
    parameters, trainable, data = probe.parameters(), list(module.parameters()), [(inputs, labels)]
    identity = torch.eye(len(parameters), dtype=torch.float64)
    for operator, product, top in (
        (curvlinops.HessianLinearOperator, hessian_product, hessian_top),
        (curvlinops.GGNLinearOperator, gauss_newton_product, gauss_newton_top),
    ):
        oracle = operator(module, torch.nn.CrossEntropyLoss(), trainable, data, check_deterministic=False) @ identity
        ours = torch.stack([product(probe, parameters, row) for row in identity])
        torch.testing.assert_close(ours, oracle, **CLOSE)
        torch.testing.assert_close(top(probe, parameters).value, float(torch.linalg.eigvalsh(oracle)[-1]), **CLOSE)
    rows = curvlinops.JacobianLinearOperator(module, trainable, data, check_deterministic=False) @ identity
    centred = (rows.view(6, 3, -1) - rows.view(6, 3, -1).mean(dim=1, keepdim=True)).view(18, -1)
    torch.testing.assert_close(tangent_kernel(probe, parameters), centred @ centred.T, **CLOSE)


def _classifier_probe(module: torch.nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> Probe:
    from gnn_branching.diagnostics.measures.probe import make_probe

    targets = torch.nn.functional.one_hot(labels, 3).double().flatten()
    return make_probe(module, [lambda m: m(inputs).flatten()], targets, torch.full((len(inputs),), 3))


@pytest.fixture
def fused_and_reference() -> tuple[Probe, Probe]:
    samples = [sample for sample in random_source(5, seed=1) if sample.state.n_candidates > 1]
    torch.manual_seed(0)
    module = BipartiteGCNN(ModelConfig(hidden_size=8))
    module.fit_prenorm([collate(samples)])
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return imitation_probe(module, samples, "tie-aware"), imitation_probe(
        twice_differentiable(module), samples, "tie-aware"
    )


def test_fused_network_and_its_twin_agree(fused_and_reference: tuple[Probe, Probe]) -> None:
    fused, reference = fused_and_reference
    assert fused.is_fused
    assert not reference.is_fused
    parameters = fused.parameters()
    direction = torch.randn(len(parameters), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(jacobian(fused, parameters), jacobian(reference, parameters), rtol=1e-8, atol=1e-10)
    exact = hessian_product(reference, parameters, direction)
    torch.testing.assert_close(hessian_product(fused, parameters, direction), exact, rtol=1e-8, atol=1e-10)
    error = float((hessian_difference(fused, parameters, direction) - exact).norm() / exact.norm())
    np.testing.assert_allclose(error, 0.0, atol=1e-5)
    pushed = jacobian_product(fused, parameters, direction)
    torch.testing.assert_close(pushed, jacobian(reference, parameters) @ direction, rtol=1e-8, atol=1e-9)
