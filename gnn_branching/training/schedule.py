"""Learning rates and optimizers; the rate is a function of the progress alone, so there is no state to restore."""

from __future__ import annotations

from math import cos, pi

import torch
from torch import nn
from torch.optim import Optimizer

from gnn_branching.config import TrainingConfig

PLATEAU_FACTOR = 0.2
"""Gasse et al. 2019, section 5.1."""
WARM_UP_SHARE = 0.3
"""One-cycle: share of the steps spent rising."""
START_DIVISOR = 25.0
"""One-cycle: the highest rate over the first one."""
END_DIVISOR = 1e4
"""One-cycle: the first rate over the last one."""


def one_cycle(step: int, n_steps: int, peak: float) -> float:
    """Return the learning rate of a step, from 0: half a cosine up, half a cosine down (Smith and Topin 2019).

    The same numbers as ``torch.optim.lr_scheduler.OneCycleLR`` with its defaults.
    """
    first, last = peak / START_DIVISOR, peak / START_DIVISOR / END_DIVISOR
    top = WARM_UP_SHARE * n_steps - 1
    if step <= top:
        return _half_cosine(first, peak, step / top if top > 0 else 1.0)
    return _half_cosine(peak, last, (step - top) / (n_steps - 1 - top) if n_steps - 1 > top else 1.0)


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + cos(pi * share))


def learning_rate(config: TrainingConfig, *, step: int, n_steps: int, n_drops: int) -> float:
    """Return the learning rate of a step.

    Args:
        config: Schedule and rate.
        step: The step, from 0.
        n_steps: Steps of the whole training; one-cycle spreads over them.
        n_drops: How often a plateau has lowered the rate.
    """
    if config.schedule == "one-cycle":
        return one_cycle(step, n_steps, config.learning_rate)
    return float(config.learning_rate * PLATEAU_FACTOR**n_drops)


def make_optimizer(network: nn.Module, config: TrainingConfig) -> Optimizer:
    """Return Adam (Kingma and Ba 2015) or AdamW (Loshchilov and Hutter 2019) over the trainable parameters."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if config.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
    return torch.optim.Adam(parameters, lr=config.learning_rate)


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the learning rate of every parameter group."""
    for group in optimizer.param_groups:
        group["lr"] = rate
