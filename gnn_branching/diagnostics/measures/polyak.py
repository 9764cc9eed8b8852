"""The local Polyak-Łojasiewicz ratio, the PL* ball and the guaranteed step (Liu, Zhu, Belkin 2022)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gnn_branching.diagnostics.measures.curvature import hessian_top
from gnn_branching.diagnostics.measures.finding import Finding, at_least, at_most
from gnn_branching.diagnostics.measures.probe import LossKind, Probe
from gnn_branching.diagnostics.measures.products import gradient, outputs_of
from gnn_branching.diagnostics.measures.tangent_kernel import Spectrum

SANDWICH_TOLERANCE = 1e-6
"""Relative rounding allowed in the sandwich of the local ratio between the kernel's eigenvalues."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalRatio:
    """Loss, gradient and their ratio at one point.

    Args:
        loss: The probe's loss.
        floor: Entropy of the targets: the least cross-entropy any logits can reach; 0 for the square loss.
        gradient_norm: ``‖∇L‖``.
    """

    loss: float
    floor: float
    gradient_norm: float

    @property
    def excess(self) -> float:
        """Loss above the floor."""
        return self.loss - self.floor

    @property
    def mu(self) -> float:
        """``‖∇L‖² / (2 (L − floor))``; NaN at zero excess loss."""
        return self.gradient_norm**2 / (2.0 * self.excess) if self.excess > 0 else math.nan


def target_entropy(probe: Probe) -> float:
    """Return the mean entropy of the targets in nats: 0 for one-hot targets and for the square loss."""
    if probe.loss_kind is LossKind.SQUARE:
        return 0.0
    return float(-torch.special.xlogy(probe.targets, probe.targets).sum()) / probe.n_samples


def local_ratio(probe: Probe, parameters: Tensor, slope: Tensor | None = None) -> LocalRatio:
    """Measure the local PL ratio: one forward pass and one gradient, unless that is given as ``slope``."""
    return LocalRatio(
        loss=float(probe.loss(outputs_of(probe, parameters))),
        floor=target_entropy(probe),
        gradient_norm=float((gradient(probe, parameters) if slope is None else slope).norm()),
    )


def sandwich(probe: Probe, ratio: LocalRatio, spectrum: Spectrum) -> tuple[Finding, Finding]:
    """Check ``λmin(K) ≤ μ ≤ λmax(K)``, exact for the square loss because ``μ = rᵀKr / ‖r‖²``."""
    applicable = probe.loss_kind is LossKind.SQUARE and ratio.excess > 0
    slack = SANDWICH_TOLERANCE * spectrum.lambda_max
    lower = at_least(
        "mu_above_lambda_min",
        ratio.mu,
        spectrum.lambda_min,
        "local PL ratio against the smallest kernel eigenvalue (square loss)",
        assumptions_met=applicable,
        slack=slack,
    )
    upper = at_most(
        "mu_below_lambda_max",
        ratio.mu,
        spectrum.lambda_max,
        "local PL ratio against the largest kernel eigenvalue (square loss)",
        assumptions_met=applicable,
        slack=slack,
    )
    return lower, upper


def pl_star_relaxed(ratio: LocalRatio, mu: float, epsilon: float) -> Finding:
    """Check ``½‖∇L‖² ≥ μ (L − floor)`` where it is asked for: only while the excess loss is at least ``epsilon``."""
    return at_least(
        "pl_star_epsilon",
        0.5 * ratio.gradient_norm**2,
        mu * ratio.excess,
        f"half the squared gradient against {mu:.3g} times the excess loss, asked while ≥ {epsilon:.3g}",
        assumptions_met=ratio.excess >= epsilon,
    )


def pl_ball(initial_loss: float, smoothness: float, mu: float, distance: float, *, path_checked: bool) -> Finding:
    """Check that training stayed in the ball of radius ``2 √(2 β L0) / μ`` that PL* needs.

    Args:
        initial_loss: Excess loss at the start.
        smoothness: β, the largest Hessian eigenvalue seen on the path.
        mu: Smallest PL ratio seen on the path.
        distance: ``‖w_T − w_0‖``.
        path_checked: Whether ``mu`` and β were measured along the path rather than at its ends.
    """
    radius = 2.0 * math.sqrt(2.0 * smoothness * initial_loss) / mu if mu > 0 else math.inf
    return at_most(
        "pl_ball",
        distance,
        radius,
        "distance from initialisation against the radius of the PL* ball (gradient descent with step 1/β)",
        assumptions_met=path_checked and mu > 0,
    )


def segment_smoothness(probe: Probe, start: Tensor, end: Tensor, *, n_points: int = 5) -> float:
    """Return the largest λmax(H) over evenly spaced points of the segment between two parameter vectors."""
    grid = torch.linspace(0.0, 1.0, n_points, dtype=start.dtype)
    return max(hessian_top(probe, torch.lerp(start, end, float(a))).value for a in grid)


def descent_step(before: LocalRatio, loss_after: float, learning_rate: float, smoothness: float) -> Finding:
    """Check ``L⁺ ≤ (1 − η μ) L`` (excess losses) for a step with ``η ≤ 1/β`` on its own segment."""
    return at_most(
        "descent_step",
        loss_after - before.floor,
        (1.0 - learning_rate * before.mu) * before.excess,
        f"loss after a step of {learning_rate:.3g} against the PL rate; smoothness {smoothness:.3g} on the segment",
        assumptions_met=learning_rate * smoothness <= 1.0 + SANDWICH_TOLERANCE,
        slack=SANDWICH_TOLERANCE * before.excess,
    )
