"""Adam's own scaling of the curvature, followed from the gradients of the steps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
"""PyTorch's defaults, which training uses."""
LIMIT = 2.0 * (1.0 + BETA_1) / (1.0 - BETA_1)
"""Adam is stable on a quadratic while rate times preconditioned curvature stays below (Cohen et al. 2022)."""


class AdamMoments:
    """Second moments of the gradients, as Adam keeps them; from the first step of this process on."""

    def __init__(self) -> None:
        self._moments: list[Tensor] = []
        self._n_steps = 0

    def update(self, network: nn.Module) -> None:
        """Take in the gradients of a step."""
        slopes = [p.grad if p.grad is not None else torch.zeros_like(p) for p in _trainable(network)]
        if not self._moments:
            self._moments = [torch.zeros_like(slope) for slope in slopes]
        torch._foreach_mul_(self._moments, BETA_2)
        torch._foreach_addcmul_(self._moments, slopes, slopes, 1.0 - BETA_2)
        self._n_steps += 1

    def inverse_diagonal(self) -> Tensor:
        """Return ``1 / (√v + ε)``, bias-corrected, float64, flat."""
        flat = torch.cat([moment.detach().cpu().double().flatten() for moment in self._moments])
        return 1.0 / ((flat / (1.0 - BETA_2**self._n_steps)).sqrt() + EPSILON)

    @staticmethod
    def stability(rate: float, preconditioned: float) -> float:
        """Return the rate times the largest preconditioned curvature over Adam's limit: unstable above 1."""
        return rate * preconditioned / LIMIT


def _trainable(network: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in network.parameters() if parameter.requires_grad]
