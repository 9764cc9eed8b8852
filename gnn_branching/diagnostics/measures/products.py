"""Gradients, Jacobians and matrix-free curvature products of a probe.

Jacobian-vector and Hessian products use reverse mode twice: slower than forward mode by a small factor, and available
for every operation that has a double backward.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator
from torch import Tensor

from gnn_branching.diagnostics.measures.probe import LossKind, Probe, group_sum, log_softmax

ROWS_AT_ONCE = 64
"""Jacobian rows pulled back in one vectorised backward pass."""
DIFFERENCE_STEP = 3e-9
"""Length of a difference step relative to 1 + the parameters' norm.

A kink of a ReLU within the step adds its jump over the step's length, and of the millions of units on real samples
some are always close to theirs. On eight auctions 3e-8 gave 2844 for a sharpness of 6.37 before training, and 3e-10,
where 3e-9 did not, 102 for 41.5 after it: no step is safe, and whoever uses differences checks them
(:mod:`~.curvature`). Gradients being float64, rounding stays below 1e-5 of the product."""


def outputs_of(probe: Probe, parameters: Tensor) -> Tensor:
    """Return the probe's logits without a graph, (n_outputs,)."""
    with torch.no_grad():
        return probe.merged.outputs(parameters)


def pullback(probe: Probe, parameters: Tensor, cotangents: Tensor) -> Tensor:
    """Return ``cotangents @ J``, (k, n_parameters), for a (k, n_outputs) matrix."""
    if len(cotangents) == 1:
        probe = probe.merged
    result = parameters.new_zeros(cotangents.shape[0], parameters.shape[0])
    for block, where in enumerate(probe.block_slices):
        part = cotangents[:, where]
        rows = torch.nonzero(part.abs().sum(dim=1)).flatten()
        if len(rows):
            result[rows] += _block_pullback(probe, block, parameters, part[rows])
    return result


def _block_pullback(probe: Probe, block: int, parameters: Tensor, cotangents: Tensor) -> Tensor:
    point = parameters.detach().requires_grad_(True)
    outputs = probe.block_outputs(block, point)
    pulled: list[Tensor] = []
    for rows in torch.split(cotangents, ROWS_AT_ONCE):
        if probe.is_fused or len(rows) == 1:
            pulled.extend(torch.autograd.grad(outputs, point, row, retain_graph=True)[0][None] for row in rows)
        else:
            (many,) = torch.autograd.grad(outputs, point, rows, retain_graph=True, is_grads_batched=True)
            pulled.append(many)
    return torch.cat(pulled)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pulled:
    """Logits, and cotangents that may depend on them times the Jacobian: ``outputs``, (n_outputs,), and ``rows``."""

    outputs: Tensor
    rows: Tensor


def pulled_by_block(probe: Probe, parameters: Tensor, cotangents_of: Callable[[Tensor], Tensor]) -> Pulled:
    """Run one forward pass per block, and backward passes along cotangents that are told from the logits.

    Args:
        probe: The network on its batch.
        parameters: Where.
        cotangents_of: Maps all logits to a (k, n_outputs) matrix; rows that are 0 on a block cost nothing there.
    """
    points = [parameters.detach().requires_grad_(True) for _ in probe.blocks]
    parts = [probe.block_outputs(block, point) for block, point in enumerate(points)]
    outputs = torch.cat([part.detach() for part in parts])
    cotangents = cotangents_of(outputs)
    rows = parameters.new_zeros(len(cotangents), len(parameters))
    for point, part, where in zip(points, parts, probe.block_slices, strict=True):
        own = cotangents[:, where]
        for index in torch.nonzero(own.any(dim=1)).flatten().tolist():
            rows[index] += torch.autograd.grad(part, point, own[index], retain_graph=True)[0]
    return Pulled(outputs=outputs, rows=rows)


def jacobian(probe: Probe, parameters: Tensor) -> Tensor:
    """Return the Jacobian of the logits, (n_outputs, n_parameters), block by block."""
    rows = parameters.new_empty(probe.n_outputs, len(parameters))
    for block, where in enumerate(probe.block_slices):
        identity = torch.eye(probe.block_sizes[block], dtype=parameters.dtype, device=parameters.device)
        rows[where] = _block_pullback(probe, block, parameters, identity)
    return rows


def gradient(probe: Probe, parameters: Tensor) -> Tensor:
    """Return the gradient of the probe's loss, (n_parameters,)."""
    residual = probe.residual(outputs_of(probe, parameters))
    return probe.loss_scale * pullback(probe, parameters, residual[None])[0]


def sample_gradients(probe: Probe, parameters: Tensor) -> Tensor:
    """Return each sample's own loss gradient (unscaled), (n_samples, n_parameters); its mean is the mean loss's."""
    residual = probe.residual(outputs_of(probe, parameters))
    index = probe.sample_index
    cotangents = residual.new_zeros(probe.n_samples, probe.n_outputs)
    cotangents[index, torch.arange(probe.n_outputs, device=residual.device)] = residual
    return pullback(probe, parameters, cotangents)


def jacobian_product(probe: Probe, parameters: Tensor, direction: Tensor) -> Tensor:
    """Return ``J @ direction``, (n_outputs,)."""
    probe = probe.merged
    return torch.cat([_block_push(probe, block, parameters, direction) for block in range(len(probe.blocks))])


def _block_push(probe: Probe, block: int, parameters: Tensor, direction: Tensor) -> Tensor:
    """Differentiate ``uᵀJ`` by ``u``: a Jacobian-vector product from two reverse passes."""
    point = parameters.detach().requires_grad_(True)
    outputs = probe.block_outputs(block, point, twice=True)
    dummy = torch.zeros_like(outputs, requires_grad=True)
    (pulled,) = torch.autograd.grad(outputs, point, dummy, create_graph=True)
    (pushed,) = torch.autograd.grad(pulled, dummy, direction)
    return pushed.detach()


def hessian_product(probe: Probe, parameters: Tensor, direction: Tensor) -> Tensor:
    """Return the loss's Hessian times ``direction``, (n_parameters,).

    Both losses separate over samples, so over blocks: ``H v = Σ_b ∇(∇L_b · v)``.
    """
    total, probe = torch.zeros_like(direction), probe.merged
    for block in range(len(probe.blocks)):
        point = parameters.detach().requires_grad_(True)
        loss = _block_loss(probe, block, probe.block_outputs(block, point, twice=True))
        (slope,) = torch.autograd.grad(loss, point, create_graph=True)
        if slope.requires_grad:
            total += torch.autograd.grad(slope @ direction, point)[0]
    return total


def hessian_difference(probe: Probe, parameters: Tensor, direction: Tensor) -> Tensor:
    """Approximate :func:`hessian_product` by a central difference of gradients: many times faster on fused kernels.

    Like the exact product it leaves out the kinks of ReLUs, unless one happens to lie within the step. On the
    bipartite network kinks carry much of the curvature felt by steps of a usual length.
    """
    length = float(direction.norm())
    if length == 0.0:
        return torch.zeros_like(direction)
    step = DIFFERENCE_STEP * (1.0 + float(parameters.norm())) / length
    ahead, behind = (gradient(probe, parameters + sign * step * direction) for sign in (1.0, -1.0))
    return (ahead - behind) / (2.0 * step)


def _block_loss(probe: Probe, block: int, outputs: Tensor) -> Tensor:
    where = probe.block_slices[block]
    targets = probe.targets[where]
    if probe.loss_kind is LossKind.SQUARE:
        return 0.5 * (outputs - targets).square().sum()
    ends = probe.group_sizes.cumsum(0)
    groups = probe.group_sizes[(ends > where.start) & (ends <= where.stop)]
    return -(targets * log_softmax(outputs, groups)).sum() * probe.loss_scale


def output_hessian_product(probe: Probe, outputs: Tensor, direction: Tensor) -> Tensor:
    """Return the loss's Hessian in the logits times a vector, or a matrix's columns.

    It is the identity, or ``(diag p − ppᵀ)/n`` per sample.
    """
    if probe.loss_kind is LossKind.SQUARE:
        return direction
    weights = log_softmax(outputs, probe.group_sizes).exp().view(-1, *[1] * (direction.dim() - 1))
    mean = group_sum(weights * direction, probe.group_sizes)[probe.sample_index]
    return weights * (direction - mean) * probe.loss_scale


def gauss_newton_product(probe: Probe, parameters: Tensor, direction: Tensor) -> Tensor:
    """Return the generalised Gauss-Newton matrix ``Jᵀ ∇²ℓ J`` times ``direction``, (n_parameters,)."""
    pushed = jacobian_product(probe, parameters, direction)
    curved = output_hessian_product(probe, outputs_of(probe, parameters), pushed)
    return pullback(probe, parameters, curved[None])[0]


def symmetric_operator(product: Callable[[Tensor], Tensor], size: int) -> LinearOperator:
    """Wrap a symmetric product on float64 vectors as a SciPy operator, (size, size)."""

    def apply(vector: NDArray[np.float64]) -> NDArray[np.float64]:
        result: NDArray[np.float64] = product(torch.from_numpy(vector.reshape(-1).copy())).numpy()
        return result

    return LinearOperator((size, size), matvec=apply, dtype=np.float64)
