"""The empirical tangent kernel of a probe and what its spectrum says.

For the square loss ``K = J Jᵀ``. For the cross-entropy ``K⊥ = P J Jᵀ P`` with ``P = I − 11ᵀ/C`` per sample: adding a
constant to a sample's logits changes nothing, so each sample owns exactly one null direction, counted apart.
(Liu, Zhu, Belkin 2022, section 2, for the square loss; the projected form is this project's derivation.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnn_branching.diagnostics.measures.probe import LossKind, Probe, group_sum
from gnn_branching.diagnostics.measures.products import jacobian, outputs_of, sample_gradients

JACOBIAN_LIMIT_BYTES = 2**30
"""Largest Jacobian kept in memory."""
RANK_SAFETY = 10.0
"""An eigenvalue counts as zero below ``RANK_SAFETY · n · machine epsilon · λmax``."""
LOW_MODE_SHARE = 1e-3
"""A mode counts as low below this share of λmax: hundreds of times slower than the top mode."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spectrum:
    """Eigenvalues of a tangent kernel and where the residual lies among them.

    Args:
        eigenvalues: float64, (n_outputs,), ascending, rounding below zero cut off at 0.
        n_forced_null: Null directions the loss itself forces: one per sample for the cross-entropy, 0 otherwise.
        rank: Number of eigenvalues that count as positive.
        lambda_min_positive: Smallest positive eigenvalue; NaN if there is none.
        lambda_max: Largest eigenvalue.
        effective_rank: Exponential of the entropy of the normalised eigenvalues (Roy and Vetterli 2007).
        null_residual_share: Share of ``‖r‖²`` in the null space: what no small step can reduce.
        low_residual_share: Share of ``‖r‖²`` in positive modes below ``LOW_MODE_SHARE · λmax``.
    """

    eigenvalues: NDArray[np.float64]
    n_forced_null: int
    rank: int
    lambda_min_positive: float
    lambda_max: float
    effective_rank: float
    null_residual_share: float
    low_residual_share: float

    @property
    def n_free(self) -> int:
        """Directions in output space that the loss can see."""
        return len(self.eigenvalues) - self.n_forced_null

    @property
    def n_excess_null(self) -> int:
        """Null directions beyond the forced ones: duplicated rows, indistinguishable candidates, too few parameters."""
        return self.n_free - self.rank

    @property
    def condition_number(self) -> float:
        """``λmax / λmin⁺``; infinite if there is a null direction beyond the forced ones."""
        return self.lambda_max / self.lambda_min_positive if self.n_excess_null == 0 else math.inf

    @property
    def lambda_min(self) -> float:
        """Smallest eigenvalue over the directions the loss can see: 0 if the kernel is singular there."""
        return self.lambda_min_positive if self.n_excess_null == 0 else 0.0


def tangent_kernel(probe: Probe, parameters: Tensor) -> Tensor:
    """Return ``K`` (square loss) or ``K⊥`` (cross-entropy), float64, (n_outputs, n_outputs).

    Raises:
        ValueError: If the Jacobian would not fit into ``JACOBIAN_LIMIT_BYTES``.
    """
    n_bytes = 8 * probe.n_outputs * len(parameters)
    if n_bytes > JACOBIAN_LIMIT_BYTES:
        raise ValueError(
            f"a Jacobian of {probe.n_outputs} x {len(parameters)} needs {n_bytes / 2**30:.1f} GiB, "
            f"limit {JACOBIAN_LIMIT_BYTES / 2**30:.1f}: probe fewer samples"
        )
    rows = jacobian(probe, parameters)
    if probe.loss_kind is LossKind.CROSS_ENTROPY:
        for own in torch.split(rows, probe.group_sizes.tolist()):
            own -= own.mean(dim=0)  # in place: the Jacobian may fill the memory
    return rows @ rows.T


def sample_kernel(probe: Probe, parameters: Tensor) -> Tensor:
    """Return the inner products of the samples' loss gradients, float64, (n_samples, n_samples)."""
    slopes = sample_gradients(probe, parameters)
    return slopes @ slopes.T


def project(values: Tensor, group_sizes: Tensor) -> Tensor:
    """Subtract each group's mean from a flat vector, or from the rows of a matrix group by group."""
    shape = (-1,) + (1,) * (values.dim() - 1)
    means = group_sum(values, group_sizes) / group_sizes.view(shape)
    return values - means.repeat_interleave(group_sizes, dim=0)


def kernel_spectrum(probe: Probe, parameters: Tensor, kernel: Tensor) -> Spectrum:
    """Decompose a kernel of :func:`tangent_kernel` densely and place the probe's residual in it."""
    n_forced = probe.n_samples if probe.loss_kind is LossKind.CROSS_ENTROPY else 0
    residual = probe.residual(outputs_of(probe, parameters))
    return spectrum_of(kernel, residual, n_forced)


def spectrum_of(kernel: Tensor, residual: Tensor, n_forced_null: int = 0) -> Spectrum:
    """Decompose a symmetric positive semidefinite kernel; see :class:`Spectrum`."""
    raw, vectors = torch.linalg.eigh(kernel)
    values = raw.clamp_min(0.0).cpu().numpy()
    lambda_max = float(values[-1])
    positive = values > RANK_SAFETY * len(values) * np.finfo(np.float64).eps * lambda_max
    weights = (vectors.T @ residual).square().cpu().numpy()
    total = float(weights.sum())
    shares = values[positive] / values[positive].sum() if positive.any() else np.ones(1)
    low = positive & (values < LOW_MODE_SHARE * lambda_max)
    return Spectrum(
        eigenvalues=values,
        n_forced_null=n_forced_null,
        rank=int(positive.sum()),
        lambda_min_positive=float(values[positive][0]) if positive.any() else math.nan,
        lambda_max=lambda_max,
        effective_rank=float(np.exp(-(shares * np.log(shares)).sum())),
        null_residual_share=float(weights[~positive].sum()) / total if total > 0 else 0.0,
        low_residual_share=float(weights[low].sum()) / total if total > 0 else 0.0,
    )
