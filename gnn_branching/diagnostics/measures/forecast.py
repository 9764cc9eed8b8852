"""How many epochs until the loss reaches a target, with an interval, and how such forecasts did on the run's own past.

Three laws are extrapolated: ``log(L − floor)`` linear in the epoch (square loss under PL*), ``1/(L − floor)`` linear
(cross-entropy, whose plain PL* fails near zero), and ``log(L − floor)`` linear in the epoch's logarithm (no theorem:
many learning curves are power laws). The one that best predicts the last third of the seen epochs is used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from gnn_branching.contracts import FloatArray

LEAST_EPOCHS = 6
"""Fewest epochs a forecast is made from."""
WARM_UP_SHARE = 0.3
"""Share of the seen epochs, from the start, left out of the fit: the transient."""
N_RESAMPLES = 400
"""Bootstrap resamples behind an interval."""
MOST_LOG_EPOCHS = 20.0
"""A power law that needs more than e to this many epochs never arrives."""
REHEARSAL_SHARES = (0.5, 0.6, 0.7, 0.8)
"""Shares of the seen epochs from which the rest of them is forecast, to widen the interval by the errors made."""


class Law(StrEnum):
    """What is extrapolated linearly."""

    EXPONENTIAL = "log-loss-linear"
    HYPERBOLIC = "inverse-loss-linear"
    POWER = "log-loss-linear-in-log-epoch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Predicted epoch at which the loss first reaches a target.

    Args:
        target: The loss aimed at.
        law: The law extrapolated.
        epoch: Predicted epoch, counted as the losses are; infinite if the fitted loss does not fall.
        low: Lower end of a 90 % bootstrap interval, widened by the errors of the same law on the seen epochs.
        high: Upper end; infinite if some resamples never reach the target.
        n_epochs_seen: Epochs it was fitted on.
    """

    target: float
    law: Law
    epoch: float
    low: float
    high: float
    n_epochs_seen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BackTest:
    """How forecasts from the start of a run did on the rest of it.

    Args:
        n_forecasts: Targets that were forecast and later reached.
        median_relative_error: Median of ``|predicted − actual| / actual`` epochs; NaN if there was none.
        median_signed_error: Median of ``(predicted − actual) / actual``: positive if forecasts were too late.
        coverage: Share of actual epochs inside the predicted interval.
        n_epochs_seen: Epochs the forecasts were made from.
    """

    n_forecasts: int
    median_relative_error: float
    median_signed_error: float
    coverage: float
    n_epochs_seen: int


def forecast(losses: Sequence[float], target: float, *, floor: float = 0.0, seed: int = 0) -> Forecast:
    """Predict when a loss series reaches ``target``.

    Args:
        losses: Loss per epoch, from epoch 0; all above ``floor``.
        target: Loss aimed at, above ``floor``.
        floor: Irreducible loss: entropy of the targets, or the colour-refinement floor.
        seed: Of the bootstrap.

    Raises:
        ValueError: With fewer than ``LEAST_EPOCHS`` epochs, or a target not above the floor.
    """
    series = np.asarray(losses, dtype=np.float64) - floor
    if len(series) < LEAST_EPOCHS:
        raise ValueError(f"{len(series)} epochs seen: a forecast needs at least {LEAST_EPOCHS}")
    if not (target > floor and (series > 0).all()):
        raise ValueError(f"target {target} and all losses must lie above the floor {floor}")
    law = _better_law(series)
    goal = float(_bend(np.array([target - floor]), law)[0])
    epoch, crossings = _fit(series, law, goal), _resampled_crossings(series, law, goal, seed)
    last = len(series) - 1.0
    error = _rehearse(series, law) * max(0.0, epoch - last) if math.isfinite(epoch) else 0.0
    return Forecast(
        target=target,
        law=law,
        epoch=epoch,
        low=min(float(np.quantile(crossings, 0.05, method="lower")), max(last, epoch - error)),
        high=max(float(np.quantile(crossings, 0.95, method="higher")), epoch + error),
        n_epochs_seen=len(series),
    )


def back_test(losses: Sequence[float], *, floor: float = 0.0, seen_share: float = 0.3, n_targets: int = 10) -> BackTest:
    """Forecast from the first ``seen_share`` of a run and compare with when the rest reached each target.

    The targets are the running minima at evenly spaced later epochs that lie below all seen losses.
    """
    series = np.asarray(losses, dtype=np.float64)
    seen = max(LEAST_EPOCHS, int(seen_share * len(series)))
    best = np.minimum.accumulate(series)
    later = np.unique(np.linspace(seen, len(series) - 1, n_targets if seen < len(series) else 0).astype(np.int64))
    errors, inside = [], []
    for epoch in later:
        if best[epoch] >= best[seen - 1] or best[epoch] <= floor:
            continue
        actual = int(np.argmax(best <= best[epoch]))
        predicted = forecast(series[:seen].tolist(), float(best[epoch]), floor=floor)
        errors.append((predicted.epoch - actual) / actual)
        inside.append(predicted.low <= actual <= predicted.high)
    return BackTest(
        n_forecasts=len(errors),
        median_relative_error=float(np.median(np.abs(errors))) if errors else math.nan,
        median_signed_error=float(np.median(errors)) if errors else math.nan,
        coverage=float(np.mean(inside)) if inside else math.nan,
        n_epochs_seen=seen,
    )


def pl_star_steps(excess_loss: float, target_excess: float, learning_rate: float, mu: float) -> float:
    """Return the steps ``log(L/ε)/(η μ)`` in which gradient descent under PL* reaches ε (square loss, η ≤ 1/β)."""
    if excess_loss <= target_excess:
        return 0.0
    rate = learning_rate * mu
    return math.log(excess_loss / target_excess) / rate if rate > 0 else math.inf


def _bend(series: FloatArray, law: Law) -> FloatArray:
    """Map a loss to what the law says falls linearly."""
    return -1.0 / series if law is Law.HYPERBOLIC else np.log(series)


def _stretch(epochs: FloatArray, law: Law) -> FloatArray:
    """Map epochs to what the law's loss is linear in."""
    return np.log1p(epochs) if law is Law.POWER else epochs


def _better_law(series: FloatArray) -> Law:
    """Fit each law on the first two thirds and compare their predicted losses on the last third."""
    cut = max(3, 2 * len(series) // 3)
    start = int(WARM_UP_SHARE * cut)
    errors = {}
    for law in Law:
        epochs = _stretch(np.arange(len(series), dtype=np.float64), law)
        slope, offset = np.polyfit(epochs[start:cut], _bend(series[start:cut], law), 1)
        line = slope * epochs[cut:] + offset
        predicted = -np.log(np.maximum(-line, np.finfo(np.float64).tiny)) if law is Law.HYPERBOLIC else line
        errors[law] = float(np.mean(np.abs(predicted - np.log(series[cut:]))))
    return min(errors, key=lambda law: errors[law])


def _window(series: FloatArray, law: Law) -> tuple[FloatArray, FloatArray]:
    start = int(WARM_UP_SHARE * len(series))
    return _stretch(np.arange(start, len(series), dtype=np.float64), law), _bend(series[start:], law)


def _fit(series: FloatArray, law: Law, goal: float) -> float:
    """Return the epoch at which the fitted line reaches the goal."""
    slope, offset = np.polyfit(*_window(series, law), 1)
    return _crossing(float(slope), float(offset), goal, law)


def _crossing(slope: float, offset: float, goal: float, law: Law) -> float:
    if slope >= 0:
        return math.inf
    reached = max(0.0, (goal - offset) / slope)
    if law is not Law.POWER:
        return reached
    return math.expm1(reached) if reached < MOST_LOG_EPOCHS else math.inf


def _rehearse(series: FloatArray, law: Law) -> float:
    """Return the largest error of forecasts made within the seen epochs, relative to how far ahead they looked.

    At most 4, so that one bad rehearsal does not make every interval infinite.
    """
    best = np.minimum.accumulate(series)
    worst, last = 0.0, len(series) - 1
    reached = int(np.argmax(best <= best[last]))
    for share in REHEARSAL_SHARES:
        cut = max(4, int(share * len(series)))
        if reached <= cut:
            continue
        predicted = _fit(series[:cut], law, float(_bend(best[last:], law)[0]))
        worst = max(worst, abs(predicted - reached) / (reached - cut + 1))
    return min(worst, 4.0)


def _resampled_crossings(series: FloatArray, law: Law, goal: float, seed: int) -> FloatArray:
    """Resample residuals in blocks, and the start of the window, so that a bending curve widens the interval."""
    rng = np.random.default_rng(seed)
    epochs, heights = _window(series, law)
    crossings = np.empty(N_RESAMPLES)
    for index in range(N_RESAMPLES):
        first = int(rng.integers(0, max(1, len(epochs) - 3)))
        x, y = epochs[first:], heights[first:]
        slope, offset = np.polyfit(x, y, 1)
        residuals = y - (slope * x + offset)
        block = max(1, int(math.sqrt(len(x))))
        starts = rng.integers(0, len(x), size=len(x) // block + 1)
        drawn = np.concatenate([np.take(residuals, np.arange(s, s + block), mode="wrap") for s in starts])[: len(x)]
        refit = np.polyfit(x, slope * x + offset + drawn, 1)
        crossings[index] = _crossing(float(refit[0]), float(refit[1]), goal, law)
    return crossings
