"""Early stop by PL*_ε: stop where the inequality is no longer asked for, or no longer buys anything."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

COLLAPSE = 0.01
"""A local PL ratio below this share of its highest value has collapsed."""


class GradientProbe(Protocol):
    """A probe whose values hold ``probe_excess_loss`` and ``mu``."""

    @property
    def values(self) -> Mapping[str, float]:
        """Measured numbers by name."""
        ...


class DatedProbe(GradientProbe, Protocol):
    """A gradient probe that knows when it was made."""

    @property
    def epoch(self) -> int:
        """Epoch it fell into, from 1."""
        ...


@dataclass(slots=True, kw_only=True)
class PlStarRule:
    """Stop at an excess loss below ε, or when the PL ratio collapsed while validation is flat.

    Args:
        epsilon: Excess loss (above the targets' entropy) that is good enough, in nats.
        n_flat_epochs: Epochs without a better validation loss that count as flat.
    """

    epsilon: float
    n_flat_epochs: int = 5
    _best: float = field(default=math.inf, init=False)
    _n_flat: int = field(default=0, init=False)

    def reason(self, probes: Sequence[GradientProbe], valid_loss: float) -> str:
        """Return why training should stop after this epoch; empty if it should not.

        Args:
            probes: The gradient probes so far, oldest first.
            valid_loss: The epoch's validation loss.
        """
        self._n_flat = 0 if valid_loss < self._best else self._n_flat + 1
        self._best = min(self._best, valid_loss)
        if not probes:
            return ""
        excess, ratios = probes[-1].values["probe_excess_loss"], [p.values["mu"] for p in probes if "mu" in p.values]
        if excess < self.epsilon:
            return f"excess loss {excess:.3g} of the probe is below epsilon {self.epsilon:.3g}"
        if ratios and self._n_flat >= self.n_flat_epochs and ratios[-1] < COLLAPSE * max(ratios):
            fallen = ratios[-1] / max(ratios)
            return f"local PL ratio fell to {fallen:.1%} of its highest, validation flat for {self._n_flat} epochs"
        return ""


def stopping_epoch(rule: PlStarRule, probes: Sequence[DatedProbe], valid_losses: Sequence[float]) -> int | None:
    """Return the epoch, from 1, after which a fresh rule would have stopped a past run; None if it would not have."""
    for epoch, valid_loss in enumerate(valid_losses, start=1):
        if rule.reason([probe for probe in probes if probe.epoch <= epoch], valid_loss):
            return epoch
    return None
