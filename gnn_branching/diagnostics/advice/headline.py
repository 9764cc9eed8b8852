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
GAIN_PER_GAP = 0.25
"""Share of the generalisation gap that twice the samples took off the validation loss: least squares on the trainings
of docs/results/headline.md on which the rule was made."""
GAIN_ERROR = 0.11
"""Half width of the 90 % interval, in nats: of the errors on the same trainings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Where one headline ends and the next begins; losses relative to the validation loss, unless they say otherwise.

    Args:
        at_floor: Excess loss below which nothing is left to learn from the expert.
        overfitted: Gap from which nothing helps more than samples.
        narrow: Width below which, without such a gap, a wider network was nearly always what helped most.
        stale: Share of the epochs, at the end, without a better validation loss, from which more steps are no use.
        falling: Fall of the training loss over its last third, relative to it, above which training is not over.
        close: Gap below which training and validation loss are the same.
        worth: Gain below which more samples are not worth it.
    """

    at_floor: float = 0.05
    overfitted: float = 0.12
    narrow: float = 32
    stale: float = 0.2
    falling: float = 0.06
    close: float = 0.05
    worth: float = 0.005


RECORD = (
    "a hint: such headlines were right in 16 of 25 trainings, in 5 of the 9 that their rules were not made on; "
    "see docs/results/headline.md"
)
"""What such headlines were worth; said with each of them."""


class Limit(StrEnum):
    """What holds a training back."""

    DATA = "data"
    OPTIMISATION = "optimisation"
    CAPACITY = "capacity"
    EXPERT = "expert"
    DONE = "done"


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


def data_gain(signs: Signs) -> Gain:
    """Predict what twice the samples take off the validation loss, at as many steps, from the generalisation gap.

    Near its asymptote the validation loss lies as far above what endless samples reach as the training loss lies
    below, and both distances fall as a power of the number of samples: the gain is a fixed share of the gap. The
    share, and the errors behind the interval, were measured (docs/results/headline.md).
    """
    value = GAIN_PER_GAP * max(signs.gap, 0.0)
    return Gain(value=value, low=value - GAIN_ERROR, high=value + GAIN_ERROR)


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
    gain = data_gain(signs)
    limit = limit_of(signs)
    trend = "growing" if signs.train_trend - signs.valid_trend > 0 else "not growing"
    evidence = (
        f"generalisation gap {signs.gap:.3g} nats (validation {signs.valid:.4g}, training {signs.train:.4g}), {trend}: "
        f"over the last third training fell by {signs.train_trend:.3g}, validation by {signs.valid_trend:.3g}",
        f"twice the samples: expect {gain.value:.3g} nats off the validation loss [{gain.low:.3g}, {gain.high:.3g}]",
        promise_line(known, history[-1].step),
        f"floor {floor:.4g} nats (entropy of the expert's ties): {signs.valid - floor:.3g} below the validation loss"
        if floors
        else "floor: not known of a loss that is no cross-entropy; figures are in its units, and not back-tested",
    )
    return Headline(limit=limit, advice=ADVICE[limit], evidence=evidence, gain=gain)


def limit_of(signs: Signs, thresholds: Thresholds = Thresholds()) -> Limit:
    """Name what holds the training back, by the losses and the width.

    No sign in the losses told trainings that gain from width from those that gain from more passes.
    """
    at = thresholds
    if signs.valid - signs.floor <= at.at_floor * signs.valid:
        return Limit.EXPERT
    if signs.gap > at.overfitted * signs.valid:
        return Limit.DATA
    if signs.width < at.narrow:
        return Limit.CAPACITY
    if signs.n_stale >= at.stale:
        worth_it = data_gain(signs).value >= at.worth * signs.valid
        return Limit.DATA if worth_it else Limit.DONE
    if signs.train_trend > at.falling * signs.train:
        return Limit.OPTIMISATION
    return Limit.DONE if signs.gap <= at.close * signs.valid else Limit.DATA


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
