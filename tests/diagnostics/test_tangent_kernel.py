import math

import numpy as np
import pytest
import torch

from gnn_branching.diagnostics.measures import tangent_kernel as module
from gnn_branching.diagnostics.measures.probe import LossKind
from gnn_branching.diagnostics.measures.products import outputs_of
from gnn_branching.diagnostics.measures.tangent_kernel import (
    kernel_spectrum,
    project,
    sample_kernel,
    spectrum_of,
    tangent_kernel,
)
from tests.diagnostics.problems import GROUPS, dense_jacobian, duplicated_square_problem, problem


@pytest.mark.parametrize("blocks", [1, 4])
def test_kernel_equals_dense_jacobian(blocks: int) -> None:
    for kind in LossKind:
        probe = problem(kind, blocks=blocks)
        parameters = probe.parameters()
        rows = dense_jacobian(probe, parameters)
        projector = torch.eye(probe.n_outputs, dtype=torch.float64)
        if kind is LossKind.CROSS_ENTROPY:
            projector -= torch.block_diag(*(torch.full((c, c), 1.0 / c) for c in GROUPS))
        torch.testing.assert_close(
            tangent_kernel(probe, parameters), projector @ rows @ rows.T @ projector, rtol=1e-6, atol=1e-9
        )


@pytest.mark.parametrize("seed", range(5))
def test_exactly_one_null_direction_per_sample(seed: int) -> None:
    probe = problem(LossKind.CROSS_ENTROPY, seed=seed, n_hidden=12)
    parameters = probe.parameters()
    kernel = tangent_kernel(probe, parameters)
    spectrum = kernel_spectrum(probe, parameters, kernel)
    assert len(spectrum.eigenvalues) - spectrum.rank == len(GROUPS)
    assert spectrum.n_excess_null == 0
    assert math.isfinite(spectrum.condition_number)
    for index in range(len(GROUPS)):
        constant = (probe.sample_index == index).double()
        np.testing.assert_allclose(kernel @ constant, 0.0, atol=1e-10 * spectrum.lambda_max)


def test_residual_is_orthogonal_to_the_forced_null_space() -> None:
    probe = problem(LossKind.CROSS_ENTROPY)
    residual = probe.residual(outputs_of(probe, probe.parameters()))
    torch.testing.assert_close(project(residual, probe.group_sizes), residual, rtol=0.0, atol=1e-12)


def test_contradictory_duplicate_is_found() -> None:
    probe = duplicated_square_problem()
    parameters = probe.parameters()
    spectrum = kernel_spectrum(probe, parameters, tangent_kernel(probe, parameters))
    residual = probe.residual(outputs_of(probe, parameters))
    assert spectrum.n_excess_null == 1
    assert spectrum.lambda_min == 0.0
    assert spectrum.condition_number == math.inf
    floor = 0.5 * spectrum.null_residual_share * float(residual.square().sum())
    np.testing.assert_allclose(floor, 0.25, rtol=1e-6)


def test_more_outputs_than_parameters_make_the_kernel_singular() -> None:
    probe = problem(LossKind.SQUARE, n_hidden=1)
    spectrum = kernel_spectrum(probe, probe.parameters(), tangent_kernel(probe, probe.parameters()))
    assert spectrum.rank <= len(probe.parameters()) < probe.n_outputs
    assert spectrum.n_excess_null == probe.n_outputs - spectrum.rank


def test_spectrum_of_known_matrices() -> None:
    spectrum = spectrum_of(torch.diag(torch.tensor([0.0, 1e-4, 1.0, 1.0]).double()), torch.ones(4).double())
    assert spectrum.rank == 3
    np.testing.assert_allclose(spectrum.null_residual_share, 0.25, rtol=1e-9)
    np.testing.assert_allclose(spectrum.low_residual_share, 0.25, rtol=1e-9)
    np.testing.assert_allclose(
        spectrum_of(torch.eye(7).double(), torch.ones(7).double()).effective_rank, 7.0, rtol=1e-9
    )


def test_sample_kernel_holds_gradient_products() -> None:
    probe = problem(LossKind.CROSS_ENTROPY, blocks=4)
    parameters = probe.parameters()
    rows, residual = dense_jacobian(probe, parameters), probe.residual(outputs_of(probe, parameters))
    pulled = torch.stack([rows[probe.sample_index == i].T @ residual[probe.sample_index == i] for i in range(4)])
    torch.testing.assert_close(sample_kernel(probe, parameters), pulled @ pulled.T, rtol=1e-6, atol=1e-10)


def test_too_large_a_jacobian_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "JACOBIAN_LIMIT_BYTES", 100)
    probe = problem(LossKind.SQUARE)
    with pytest.raises(ValueError, match="probe fewer samples"):
        tangent_kernel(probe, probe.parameters())
