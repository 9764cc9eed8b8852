"""Extreme curvature of the loss by Lanczos, and its trace by random signs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, eigsh
from torch import Tensor

from gnn_branching.diagnostics.measures.finding import Finding, at_most
from gnn_branching.diagnostics.measures.probe import LossKind, Probe
from gnn_branching.diagnostics.measures.products import (
    gauss_newton_product,
    hessian_difference,
    hessian_product,
    output_hessian_product,
    outputs_of,
    symmetric_operator,
)

Product = Callable[[Tensor], Tensor]
"""Multiplies a symmetric matrix by a vector."""
LANCZOS_TOLERANCE = 1e-8
"""Relative accuracy asked of the eigensolver."""
RESIDUAL_TOLERANCE = 0.1
"""Relative residual of an eigenpair up to which advice may rest on it: the eigenvalue is at most so far off."""
N_FAST_RESTARTS = 30
"""Lanczos restarts with differences of gradients: across kinks they are no matrix, and it might never converge."""
FEW_VECTORS = 8
"""Lanczos vectors when one leading eigenvalue is asked for roughly: half the products of SciPy's default."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TopEigenpair:
    """Largest eigenvalue of a symmetric matrix, and its vector.

    Args:
        value: Largest (algebraic) eigenvalue; NaN if Lanczos did not converge.
        vector: float64, (n_parameters,), of unit length; a warm start for the next measurement.
        residual: ``‖H v − λ v‖ / |λ|`` by an exact product, whatever product Lanczos was given; NaN if unknown.
    """

    value: float
    vector: Tensor
    residual: float = math.nan

    @property
    def is_reliable(self) -> bool:
        """Whether the exact product confirms the pair, to ``RESIDUAL_TOLERANCE``."""
        return self.residual <= RESIDUAL_TOLERANCE


def hessian_top(
    probe: Probe,
    parameters: Tensor,
    *,
    start: Tensor | None = None,
    tolerance: float = LANCZOS_TOLERANCE,
    n_vectors: int | None = None,
    exact: bool = True,
    may_repeat: bool = True,
) -> TopEigenpair:
    """Return the largest eigenvalue of the loss's Hessian (its sharpness).

    Args:
        probe: The network on its batch.
        parameters: Where to measure.
        start: Starting vector; a fixed pseudo-random one if None.
        tolerance: Relative accuracy.
        n_vectors: Lanczos vectors kept, at least 2: fewer products, slower convergence; SciPy's default if None.
        exact: Double backward from the start; otherwise only where it does not confirm what differences of gradients
            gave.
        may_repeat: Whether it may come to that, which can take ten times as long; otherwise the pair stays unreliable.
    """
    return _checked(
        lambda v: hessian_product(probe, parameters, v.to(parameters.device)).cpu(),
        None if exact else lambda v: hessian_difference(probe, parameters, v.to(parameters.device)).cpu(),
        start if start is not None else _fixed_vector(len(parameters)),
        tolerance,
        n_vectors,
        may_repeat=may_repeat,
    )


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
    root = inverse_diagonal.sqrt()
    return _checked(
        lambda v: root * hessian_product(probe, parameters, root * v),
        None if exact else lambda v: root * hessian_difference(probe, parameters, root * v),
        _fixed_vector(len(parameters)),
        tolerance,
        n_vectors,
    )


def _checked(
    exact: Product,
    fast: Product | None,
    start: Tensor,
    tolerance: float,
    n_vectors: int | None,
    *,
    may_repeat: bool = True,
) -> TopEigenpair:
    """Run Lanczos with the fast product if there is one, and again with the exact one unless that confirms the pair."""
    if fast is not None:
        found = largest(fast, len(start), start, tolerance, n_vectors=n_vectors, n_restarts=N_FAST_RESTARTS)
        top = verified(found, exact)
        if top.is_reliable or not may_repeat:
            return top
    return verified(largest(exact, len(start), start, tolerance, n_vectors=n_vectors), exact)


def verified(top: TopEigenpair, product: Product) -> TopEigenpair:
    """Return a pair with its Rayleigh quotient and residual by an exact product; one that is no number stays as it is.

    The quotient never exceeds the largest eigenvalue, so that a wrong vector can only understate it, and the residual
    tells.
    """
    if not math.isfinite(top.value):
        return top
    image = product(top.vector)
    value = float(top.vector @ image)
    rest = float((image - value * top.vector).norm())
    return replace(top, value=value, residual=rest / abs(value) if value else (math.inf if rest else 0.0))


def largest(
    product: Product,
    size: int,
    start: Tensor | None,
    tolerance: float,
    *,
    n_vectors: int | None = None,
    n_restarts: int | None = None,
) -> TopEigenpair:
    """Run Lanczos for the largest algebraic eigenvalue of a symmetric product."""
    guess: NDArray[np.float64] = (_fixed_vector(size) if start is None else start.detach().double()).numpy()
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


def warm_top(product: Product, start: Tensor, n_products: int, also: Tensor | None = None) -> TopEigenpair:
    """Improve a leading vector by few products: Rayleigh-Ritz on ``v, Hv, H²v, …``, made orthogonal.

    The value is a Ritz value: a lower bound of the largest, up to what the product itself is off, and some eigenvalue,
    if not the largest, lies within ``residual · value`` of it. A product that is no symmetric matrix, as differences
    across a kink are none, shows in the residual.

    Args:
        product: Multiplies a symmetric matrix by a vector.
        start: Any vector but 0; that of the last measurement.
        n_products: Times the product is taken, at least once.
        also: Another direction to look in, such as the gradient: from an eigenvector alone there is no way to another.
    """
    vectors: list[Tensor] = []
    for first in (start, also):
        _append_orthogonal(vectors, first)
    images: list[Tensor] = []
    while len(images) < min(n_products, len(start), len(vectors)):
        images.append(product(vectors[len(images)]))
        _append_orthogonal(vectors, images[-1])
    basis, moved = torch.stack(vectors[: len(images)]), torch.stack(images)
    small = basis @ moved.T
    values, weights = torch.linalg.eigh((small + small.T) / 2.0)
    value, best = float(values[-1]), weights[:, -1]
    vector = best @ basis
    rest_norm = float((best @ moved - value * vector).norm())
    residual = rest_norm / abs(value) if value else (math.inf if rest_norm else 0.0)
    return TopEigenpair(value=value, vector=vector / vector.norm(), residual=residual)


def _append_orthogonal(vectors: list[Tensor], vector: Tensor | None) -> None:
    """Append what of a vector is orthogonal to the others, of unit length, unless nothing is."""
    if vector is None:
        return
    rest = vector
    for _ in range(2 if vectors else 0):  # twice is enough (Kahan, Parlett)
        basis = torch.stack(vectors)
        rest = rest - basis.T @ (basis @ rest)
    if float(rest.norm()) > LANCZOS_TOLERANCE * float(vector.norm()):
        vectors.append(rest / rest.norm())


def _fixed_vector(size: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).standard_normal(size))


def hessian_trace(
    probe: Probe, parameters: Tensor, *, n_vectors: int, seed: int, exact: bool = True
) -> tuple[float, float]:
    """Return Hutchinson's estimate of ``tr H`` and its standard error over ``n_vectors`` random sign vectors.

    Unless ``exact``, the first draw is also taken exactly, and all are if both disagree.
    """
    multiply = hessian_product if exact else hessian_difference
    generator = torch.Generator().manual_seed(seed)
    draws = []
    for _ in range(n_vectors):
        signs = torch.randint(0, 2, parameters.shape, generator=generator).double() * 2 - 1
        draws.append(float(signs @ multiply(probe, parameters, signs)))
        if not exact and len(draws) == 1:
            told = float(signs @ hessian_product(probe, parameters, signs))
            if abs(draws[0] - told) > RESIDUAL_TOLERANCE * abs(told):
                return hessian_trace(probe, parameters, n_vectors=n_vectors, seed=seed)
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
