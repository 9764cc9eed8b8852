"""Extreme curvature of the loss by Lanczos, and its trace by random signs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, eigsh
from torch import Tensor

from gnn_branching.diagnostics.finding import Finding, at_most
from gnn_branching.diagnostics.probe import LossKind, Probe
from gnn_branching.diagnostics.products import (
    gauss_newton_product,
    hessian_difference,
    hessian_product,
    output_hessian_product,
    outputs_of,
    symmetric_operator,
)

LANCZOS_TOLERANCE = 1e-8
"""Relative accuracy asked of the eigensolver."""
FEW_VECTORS = 8
"""Lanczos vectors when one leading eigenvalue is asked for roughly: half the products of SciPy's default."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TopEigenpair:
    """Largest eigenvalue of a symmetric matrix, and its vector.

    Args:
        value: Largest (algebraic) eigenvalue; NaN if Lanczos did not converge.
        vector: float64, (n_parameters,), of unit length; a warm start for the next measurement.
    """

    value: float
    vector: Tensor


def hessian_top(
    probe: Probe,
    parameters: Tensor,
    *,
    start: Tensor | None = None,
    tolerance: float = LANCZOS_TOLERANCE,
    n_vectors: int | None = None,
    exact: bool = True,
) -> TopEigenpair:
    """Return the largest eigenvalue of the loss's Hessian (its sharpness).

    Args:
        probe: The network on its batch.
        parameters: Where to measure.
        start: Starting vector; a fixed pseudo-random one if None.
        tolerance: Relative accuracy.
        n_vectors: Lanczos vectors kept, at least 2: fewer products, slower convergence; SciPy's default if None.
        exact: Double backward, rather than differences of gradients.
    """
    multiply = hessian_product if exact else hessian_difference
    return largest(lambda v: multiply(probe, parameters, v), len(parameters), start, tolerance, n_vectors=n_vectors)


def gauss_newton_top(
    probe: Probe, parameters: Tensor, *, start: Tensor | None = None, tolerance: float = LANCZOS_TOLERANCE
) -> TopEigenpair:
    """Return the largest eigenvalue of the generalised Gauss-Newton matrix."""
    return largest(lambda v: gauss_newton_product(probe, parameters, v), len(parameters), start, tolerance)


def gauss_newton_from_kernel(probe: Probe, parameters: Tensor, kernel: Tensor) -> float:
    """Return the largest Gauss-Newton eigenvalue from a dense tangent kernel: ``JᵀSJ`` shares it with ``S^½ K S^½``."""
    if probe.loss_kind is LossKind.SQUARE:
        return _top_of(kernel)
    outputs, bent = outputs_of(probe, parameters), kernel.clone()
    start = 0
    for size in probe.group_sizes.tolist():
        own = slice(start, start + size)
        unit = kernel.new_zeros(len(kernel), size)
        unit[own] = torch.eye(size, dtype=kernel.dtype)
        values, vectors = torch.linalg.eigh(output_hessian_product(probe, outputs, unit)[own])
        root = (vectors * values.clamp_min(0.0).sqrt()) @ vectors.T
        bent[own] = root @ bent[own]
        bent[:, own] = bent[:, own] @ root
        start += size
    return _top_of(bent)


def _top_of(matrix: Tensor) -> float:
    return largest(lambda v: matrix @ v, len(matrix), None, LANCZOS_TOLERANCE).value


def preconditioned_top(
    probe: Probe,
    parameters: Tensor,
    inverse_diagonal: Tensor,
    *,
    tolerance: float = LANCZOS_TOLERANCE,
    n_vectors: int | None = None,
    exact: bool = True,
) -> TopEigenpair:
    """Return the largest eigenvalue of ``D^½ H D^½`` for a positive diagonal ``D`` (Adam: ``1/(√v + ε)``).

    Cohen et al., "Adaptive gradient methods at the edge of stability" (2022): Adam is stable below
    ``2 (1 + β1) / ((1 − β1) · value)``.
    """
    root, multiply = inverse_diagonal.sqrt(), hessian_product if exact else hessian_difference
    size = len(parameters)
    return largest(lambda v: root * multiply(probe, parameters, root * v), size, None, tolerance, n_vectors=n_vectors)


def largest(
    product: Callable[[Tensor], Tensor],
    size: int,
    start: Tensor | None,
    tolerance: float,
    *,
    n_vectors: int | None = None,
    n_restarts: int | None = None,
) -> TopEigenpair:
    """Run Lanczos for the largest algebraic eigenvalue of a symmetric product."""
    guess: NDArray[np.float64] = (
        np.random.default_rng(0).standard_normal(size) if start is None else start.detach().double().numpy()
    )
    if size == 1:
        return TopEigenpair(value=float(product(torch.ones(1, dtype=torch.float64))), vector=torch.ones(1).double())
    operator = symmetric_operator(product, size)
    try:
        values, vectors = eigsh(operator, k=1, which="LA", v0=guess, tol=tolerance, ncv=n_vectors, maxiter=n_restarts)
    except ArpackError as error:
        unit = torch.from_numpy(guess / np.linalg.norm(guess))
        if isinstance(error, ArpackNoConvergence):
            return TopEigenpair(value=math.nan, vector=unit)
        if product(unit).any():
            raise
        return TopEigenpair(value=0.0, vector=unit)  # the matrix is zero
    return TopEigenpair(value=float(values[0]), vector=torch.from_numpy(vectors[:, 0].copy()))


def hessian_trace(
    probe: Probe, parameters: Tensor, *, n_vectors: int, seed: int, exact: bool = True
) -> tuple[float, float]:
    """Return Hutchinson's estimate of ``tr H`` and its standard error over ``n_vectors`` random sign vectors."""
    multiply = hessian_product if exact else hessian_difference
    generator = torch.Generator().manual_seed(seed)
    draws = []
    for _ in range(n_vectors):
        signs = torch.randint(0, 2, parameters.shape, generator=generator).double() * 2 - 1
        draws.append(float(signs @ multiply(probe, parameters, signs)))
    error = float(np.std(draws, ddof=1) / math.sqrt(n_vectors)) if n_vectors > 1 else math.nan
    return float(np.mean(draws)), error


def gauss_newton_bound(probe: Probe, gauss_newton_lambda_max: float, kernel_lambda_max: float) -> Finding:
    """Check ``λmax(GGN) ≤ λmax(K⊥)/(2n)``: the softmax Hessian is at most ½ I; for the square loss both are equal."""
    square = probe.loss_kind is LossKind.SQUARE
    bound = kernel_lambda_max * (1.0 if square else 0.5 * probe.loss_scale)
    return at_most(
        "gauss_newton_lambda_max",
        gauss_newton_lambda_max,
        bound,
        "λmax of the Gauss-Newton matrix against λmax of the tangent kernel times the largest output curvature",
        slack=1e-6 * abs(bound),
    )
