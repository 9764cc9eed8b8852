"""Lazy or feature learning: how far the tangent kernel and the linearised network carry.

The statement of Li, Ma, Zhang (2020) on learning beyond the kernel does not transfer to a graph network; the
quantities do: kernel change, kernel-target alignment, and the error of the network linearised at its start.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from gnn_branching.diagnostics.measures.finding import Finding, at_most
from gnn_branching.diagnostics.measures.probe import LossKind, Probe
from gnn_branching.diagnostics.measures.products import jacobian_product, outputs_of
from gnn_branching.diagnostics.measures.tangent_kernel import project

LAZY_LIMIT = 0.1
"""Kernel change and linearisation error below this: lazy."""
FEATURE_LIMIT = 0.5
"""Either of them above this: feature learning."""


class Regime(StrEnum):
    """What the two measures say together."""

    LAZY = "lazy"
    MIXED = "mixed"
    FEATURE_LEARNING = "feature-learning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Linearity:
    """How far training left the tangent plane of its start.

    Args:
        kernel_change: ``‖K_T − K_0‖_F / ‖K_0‖_F``.
        start_alignment: Kernel-target alignment ``yᵀKy / (‖K‖_F ‖y‖²)`` at the start.
        end_alignment: The same at the end.
        linearisation_error: ``‖f(w_T) − f(w_0) − J_0 Δw‖ / ‖f(w_T) − f(w_0)‖``; NaN if nothing moved.
        loss: The probe's loss at the end.
        linearised_loss: The loss of the network linearised at its start, moved by the same Δw.
    """

    kernel_change: float
    start_alignment: float
    end_alignment: float
    linearisation_error: float
    loss: float
    linearised_loss: float

    @property
    def regime(self) -> Regime:
        """Lazy if both measures are small, feature learning if either is large."""
        measures = (self.kernel_change, self.linearisation_error)
        if all(m <= LAZY_LIMIT for m in measures):
            return Regime.LAZY
        return Regime.FEATURE_LEARNING if any(m >= FEATURE_LIMIT for m in measures) else Regime.MIXED

    def finding(self) -> Finding:
        """Compare the larger of the two measures with the limit of the lazy regime."""
        return at_most(
            "laziness",
            max(self.kernel_change, self.linearisation_error),
            LAZY_LIMIT,
            "larger of kernel change and linearisation error against the limit of the lazy regime",
            assumptions_met=not math.isnan(self.linearisation_error),
        )


def kernel_change(start: Tensor, end: Tensor) -> float:
    """Return ``‖K_T − K_0‖_F / ‖K_0‖_F`` of two kernels on the same probe."""
    return float((end - start).norm() / start.norm())


def target_alignment(kernel: Tensor, targets: Tensor) -> float:
    """Return ``yᵀKy / (‖K‖_F ‖y‖²)``, between 0 and 1; centre the targets first for a projected kernel."""
    return float(targets @ kernel @ targets / (kernel.norm() * targets.square().sum()))


def linearisation_error(probe: Probe, start: Tensor, end: Tensor) -> float:
    """Return the relative error of the network linearised at ``start``; logits centred for the cross-entropy."""
    change = outputs_of(probe, end) - outputs_of(probe, start)
    error = change - jacobian_product(probe, start, end - start)
    if probe.loss_kind is LossKind.CROSS_ENTROPY:
        change, error = project(change, probe.group_sizes), project(error, probe.group_sizes)
    moved = float(change.norm())
    return float(error.norm()) / moved if moved > 0 else math.nan


def linearity(probe: Probe, start: Tensor, end: Tensor, start_kernel: Tensor, end_kernel: Tensor) -> Linearity:
    """Compare the end of training with its start on one probe."""
    targets = probe.targets
    if probe.loss_kind is LossKind.CROSS_ENTROPY:
        targets = project(targets, probe.group_sizes)
    linear = outputs_of(probe, start) + jacobian_product(probe, start, end - start)
    with torch.no_grad():
        losses = [float(probe.loss(outputs)) for outputs in (outputs_of(probe, end), linear)]
    return Linearity(
        kernel_change=kernel_change(start_kernel, end_kernel),
        start_alignment=target_alignment(start_kernel, targets),
        end_alignment=target_alignment(end_kernel, targets),
        linearisation_error=linearisation_error(probe, start, end),
        loss=losses[0],
        linearised_loss=losses[1],
    )
