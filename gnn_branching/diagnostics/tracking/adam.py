"""Adam's own scaling of the curvature, read from the optimizer."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim import Optimizer

BETA_1 = 0.9
"""PyTorch's default, which training uses."""
LIMIT = 2.0 * (1.0 + BETA_1) / (1.0 - BETA_1)
"""Adam is stable on a quadratic while rate times preconditioned curvature stays below (Cohen et al. 2022)."""


def inverse_diagonal(optimizer: Optimizer) -> Tensor:
    """Return ``1 / (√v + ε)`` of an Adam or AdamW that has taken a step: (n_parameters,), float64, on the CPU.

    ``v`` are the second moments, corrected for their start at zero; the order is that of the optimizer's parameters.
    A parameter that never had a gradient has ``v = 0``.
    """
    return torch.cat(
        [
            1.0 / (_second_moment(optimizer, parameter, group["betas"][1]).sqrt() + group["eps"])
            for group in optimizer.param_groups
            for parameter in group["params"]
        ]
    )


def _second_moment(optimizer: Optimizer, parameter: Tensor, beta_2: float) -> Tensor:
    state = optimizer.state.get(parameter)
    if not state:
        return torch.zeros(parameter.numel(), dtype=torch.float64)
    moment = state["exp_avg_sq"].detach().cpu().double().flatten()
    corrected: Tensor = moment / (1.0 - beta_2 ** float(state["step"]))
    return corrected


def stability(rate: float, preconditioned: float) -> float:
    """Return the rate times the largest preconditioned curvature over Adam's limit: unstable above 1."""
    return rate * preconditioned / LIMIT
