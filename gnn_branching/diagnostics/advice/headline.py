"""One headline: what limits a training, and so what to do next, with its evidence.

It needs nothing but what a training leaves anyway: its losses by epoch, and the tracked points if there are any.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from gnn_branching.diagnostics.tracking.tracker import ProbeRecord

TREND_SHARE = 1 / 3
"""Share of the epochs, at the end, over which trends are told."""


LEAST_EPOCHS = 4
"""Fewest epochs that a headline is read from."""
GAIN_ERROR = 0.029
"""Half width of the 90 % interval of the gain of twice the samples, relative to the validation loss: of the errors on
families left out of the fit."""
LEAST_GAIN = 0.005
"""Gain, relative to the validation loss, below which a change is not worth it."""
AT_FLOOR = 0.05
"""Excess over the floor, relative to the validation loss, below which nothing is left to learn from the expert."""
TINY = 1e-12
FITTED_BETWEEN = ((-0.1, 0.2), (0.0, 0.65), (3.0, 7.0))
"""Ends of what :attr:`Signs.relative` was in the trainings of the back-test; beyond them the ends count."""


RECORD = (
    "a hint: such headlines were right in 48 of 57 trainings that their rule was not fitted on, and did no harm in "
    "any; see docs/results/headline.md"
)
"""What such headlines were worth; said with each of them."""


class Limit(StrEnum):
    """What holds a training back."""

    DATA = "data"
    OPTIMISATION = "optimisation"
    CAPACITY = "capacity"
    EXPERT = "expert"
    DONE = "done"


EXPECTED = {
    Limit.DATA: (-0.0081, 0.1570, 0.0810, -0.0005),
    Limit.OPTIMISATION: (0.0806, -0.1193, -0.0673, -0.0093),
    Limit.CAPACITY: (0.1225, -0.0495, -0.0805, -0.0205),
}
"""What twice the samples, the best of twice the passes and half or twice the rate, and twice the width take off the
validation loss, relative to it: a constant and a coefficient for each of :attr:`Signs.relative`. Ridge regression on 25
trainings with all their changes (``python -m scripts.headline_held_out --fit``)."""


class Epoch(Protocol):
    """One epoch of a training, as in ``metrics.jsonl``."""

    @property
    def step(self) -> int:
        """Optimizer steps so far."""
        ...

    @property
    def train_loss(self) -> float:
        """Mean training loss of the epoch."""
        ...

    @property
    def valid_loss(self) -> float:
        """Validation loss after it."""
        ...

    @property
    def learning_rate(self) -> float:
        """Learning rate of its last step."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """What twice the samples would take off the validation loss, with a 90 % interval, in nats."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """What limits a training.

    Args:
        limit: The answer.
        advice: What to do, in one sentence.
        evidence: Generalisation gap and its trend; the gain of twice the samples; what PL* still promises on the
            training set; the floor. One line each.
        gain: Of twice the samples.
        record: How often such headlines were right in back-tests.
    """

    limit: Limit
    advice: str
    evidence: tuple[str, ...]
    gain: Gain
    record: str = RECORD

    @property
    def claim(self) -> str:
        """The answer in words."""
        return "done" if self.limit is Limit.DONE else f"limited by {self.limit}"

    def __str__(self) -> str:
        """Return the headline and its evidence, one line each."""
        told = f"{self.claim}: {self.advice} ({self.record})"
        return "\n".join([told, *(f"  {line}" for line in self.evidence)])


ADVICE = {
    Limit.DATA: "collect more samples, from more instances",
    Limit.OPTIMISATION: "train longer, or at another rate (--lr auto)",
    Limit.CAPACITY: "try a wider network",
    Limit.EXPERT: "the loss is at the floor of the expert's ties; no training lowers it",
    Limit.DONE: "neither more samples, nor width, nor passes are expected to change the validation loss",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """What the headline is read from, at the epoch of the lowest validation loss; in nats.

    Args:
        valid: Validation loss.
        train: Training loss.
        floor: Entropy of the targets.
        train_trend: Fall of the training loss over the last third of the epochs.
        valid_trend: Fall of the validation loss over the same.
        n_stale: Share of the epochs that brought no better validation loss, at the end.
        width: Of the network's layers; infinite if unknown.
    """

    valid: float
    train: float
    floor: float
    train_trend: float
    valid_trend: float
    n_stale: float
    width: float = math.inf

    @classmethod
    def read(
        cls, train_losses: Sequence[float], valid_losses: Sequence[float], floor: float, width: float = math.inf
    ) -> Signs:
        """Read the signs of a training.

        Args:
            train_losses: Mean of each epoch.
            valid_losses: After each epoch.
            floor: Entropy of the targets; 0 if unknown.
            width: Of the network's layers; infinite if unknown.
        """
        best = min(range(len(valid_losses)), key=valid_losses.__getitem__)
        before = len(valid_losses) - 1 - max(1, round(TREND_SHARE * len(valid_losses)))
        return cls(
            valid=valid_losses[best],
            train=train_losses[best],
            floor=floor,
            train_trend=train_losses[before] - train_losses[-1],
            valid_trend=valid_losses[before] - valid_losses[-1],
            n_stale=(len(valid_losses) - 1 - best) / len(valid_losses),
            width=width,
        )

    @property
    def gap(self) -> float:
        """Validation above training loss."""
        return self.valid - self.train

    @property
    def relative(self) -> tuple[float, float, float]:
        """What gains are told from: gap over validation loss, share of stale epochs, binary logarithm of the width."""
        return self.gap / max(self.valid, TINY), self.n_stale, math.log2(self.width)


def expected_gains(signs: Signs) -> dict[Limit, float]:
    """Return what each change is expected to take off the validation loss, in its units."""
    within = [min(max(x, low), high) for x, (low, high) in zip(signs.relative, FITTED_BETWEEN, strict=True)]
    return {
        limit: signs.valid * (constant + sum(c * x for c, x in zip(coefficients, within, strict=True)))
        for limit, (constant, *coefficients) in EXPECTED.items()
    }


def data_gain(signs: Signs) -> Gain:
    """Return what twice the samples, at as many steps, are expected to take off the validation loss."""
    value, error = expected_gains(signs)[Limit.DATA], GAIN_ERROR * signs.valid
    return Gain(value=value, low=value - error, high=value + error)


def headline(history: Sequence[Epoch], probes: Sequence[ProbeRecord] = (), width: float = math.inf) -> Headline | None:
    """Say what limits a training; None before it has ``LEAST_EPOCHS`` epochs.

    Args:
        history: Epochs, oldest first.
        probes: What was tracked, oldest first.
        width: Of the network's layers; infinite if unknown.
    """
    if len(history) < LEAST_EPOCHS:
        return None
    known = [p for p in probes if "probe_excess_loss" in p.values]
    floors = [p.values["target_entropy"] for p in probes if "target_entropy" in p.values]
    floor = floors[-1] if floors else 0.0
    signs = Signs.read([e.train_loss for e in history], [e.valid_loss for e in history], floor, width)
    gain, gains = data_gain(signs), expected_gains(signs)
    limit = limit_of(signs)
    trend = "growing" if signs.train_trend - signs.valid_trend > 0 else "not growing"
    evidence = (
        f"generalisation gap {signs.gap:.3g} nats (validation {signs.valid:.4g}, training {signs.train:.4g}), {trend}: "
        f"over the last third training fell by {signs.train_trend:.3g}, validation by {signs.valid_trend:.3g}",
        f"twice the samples: expect {gain.value:.3g} nats off the validation loss [{gain.low:.3g}, {gain.high:.3g}]; "
        f"twice the width: {gains[Limit.CAPACITY]:.3g}; other passes or rates: {gains[Limit.OPTIMISATION]:.3g}",
        promise_line(known, history[-1].step),
        f"floor {floor:.4g} nats (entropy of the expert's ties): {signs.valid - floor:.3g} below the validation loss"
        if floors
        else "floor: not known of a loss that is no cross-entropy; figures are in its units, and not back-tested",
    )
    return Headline(limit=limit, advice=ADVICE[limit], evidence=evidence, gain=gain)


def limit_of(signs: Signs) -> Limit:
    """Name what holds the training back: the change that is expected to gain most, if any is worth it."""
    if signs.valid - signs.floor <= AT_FLOOR * signs.valid:
        return Limit.EXPERT
    gains = expected_gains(signs)
    best = max(gains, key=gains.__getitem__)
    return best if gains[best] > LEAST_GAIN * signs.valid else Limit.DONE


def promise_line(probes: Sequence[ProbeRecord], n_steps: int) -> str:
    """Say what PL* promises gradient descent with steps 1/β on the training probe, in as many steps again."""
    with_mu = [p.values for p in probes if "mu" in p.values]
    sharp = [p.values["hessian_lambda_max"] for p in probes if "hessian_lambda_max" in p.values]
    if not with_mu or not sharp or sharp[-1] <= 0:
        return "PL* on the training set: not measured"
    mu, excess = with_mu[-1]["mu"], with_mu[-1]["probe_excess_loss"]
    share = -math.expm1(n_steps * math.log1p(-min(mu / sharp[-1], 1.0 - 1e-12)))
    return (
        f"PL* on the training set: μ = {mu:.3g}, β = {sharp[-1]:.3g}; if both held, {n_steps} more steps of gradient "
        f"descent would take {share:.0%} of the {excess:.3g} nats left on the probe"
    )
