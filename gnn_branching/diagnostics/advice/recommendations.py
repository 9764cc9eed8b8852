"""Recommendations, each with its measurement, its assumptions and its record; none is a guarantee."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from gnn_branching.diagnostics.measures.dropout import DropoutGap
from gnn_branching.diagnostics.measures.finding import Verdict
from gnn_branching.diagnostics.measures.forecast import BackTest, Forecast
from gnn_branching.diagnostics.measures.interpolation import Interpolation, monotone
from gnn_branching.diagnostics.measures.irreducible import IrreducibleLoss
from gnn_branching.diagnostics.measures.linearity import Linearity, Regime
from gnn_branching.diagnostics.measures.noise import NoiseScale
from gnn_branching.diagnostics.measures.polyak import LocalRatio

FAR_BELOW = 0.05
"""Share of the ceiling below which a learning rate is not near it: the best rates measured begin at 0.09."""
STALE_SHARE = 0.2
"""Share of a run's epochs without a better validation loss after which more epochs are not advised."""
FORECAST_ERROR = 0.25
"""Median relative error of the back-test above which a forecast is not given."""
NEAR_FLOOR = 0.05
"""Excess loss, relative to the loss, below which a run is at its floor."""
DROPOUT_WORTH = 0.01
"""Effective regulariser, relative to the loss, below which dropout does next to nothing."""


class Topic(StrEnum):
    """What a piece of advice is about."""

    LEARNING_RATE = "learning-rate"
    IRREDUCIBLE_LOSS = "irreducible-loss"
    EPOCHS = "epochs"
    EARLY_STOP = "early-stop"
    BATCH_SIZE = "batch-size"
    REGIME = "regime"
    DROPOUT = "dropout"
    INTERPOLATION = "interpolation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One recommendation.

    Args:
        topic: What it is about.
        recommendation: What to do, in one sentence.
        measured: What was measured, with its value.
        assumptions_met: Whether what the recommendation rests on was checked and held.
        assumptions: What it rests on.
        record: How such advice did before, here or in the tests; empty if that is unknown.
        low: Lower end of the recommended number, NaN if there is none.
        high: Upper end.
    """

    topic: Topic
    recommendation: str
    measured: str
    assumptions_met: bool
    assumptions: str
    record: str = ""
    low: float = math.nan
    high: float = math.nan


def learning_rate_advice(lambda_max: float, ceiling: float, used: float, optimizer: str) -> Advice:
    """Compare the learning rate in use at the measured weights with the stability ceiling there.

    Far below the ceiling nothing follows: a schedule may have brought the rate down on purpose.
    """
    known = math.isfinite(ceiling) and ceiling > 0
    todo = "no advice"
    if known and used > ceiling:
        todo = f"lower the learning rate {used:.3g}: local ceiling {ceiling:.3g}"
    elif known and used >= FAR_BELOW * ceiling:
        todo = f"keep the learning rate {used:.3g}: local ceiling {ceiling:.3g}"
    elif known:
        todo = f"no advice: the learning rate {used:.3g} lies far below the local ceiling {ceiling:.3g}"
    return Advice(
        topic=Topic.LEARNING_RATE,
        recommendation=todo,
        measured=f"largest Hessian eigenvalue {lambda_max:.4g}; the ceiling takes the optimizer's scaling into account",
        assumptions_met=known,
        assumptions=f"{optimizer} on a quadratic with this curvature; kinks of ReLUs and gradient noise are left out",
        record="on quadratics half the ceiling converges and three times the ceiling diverges (tests); "
        "on six trainings of this network the best rate was 0.09 to 1.25 of it (docs/results/learning-rate.md)",
        high=ceiling,
    )


def irreducible_advice(floor: IrreducibleLoss, ratio: LocalRatio) -> Advice:
    """Say how far the loss is from what no weights can remove."""
    excess = ratio.loss - floor.floor
    at_floor = excess <= NEAR_FLOOR * ratio.loss
    todo = (
        "stop chasing the training loss: it is at its floor"
        if at_floor
        else f"at most {excess:.4g} nats can still be gained; the floor is a lower bound that weights need not reach"
    )
    return Advice(
        topic=Topic.IRREDUCIBLE_LOSS,
        recommendation=f"{todo} (probe samples)",
        measured=f"loss {ratio.loss:.4g}, floor {floor.floor:.4g} (ties {floor.tie_entropy:.4g}; "
        f"{floor.tied_share:.0%} of samples tied, {floor.merged_share:.0%} with indistinguishable candidates)",
        assumptions_met=floor.floor <= ratio.loss * (1.0 + 1e-9),
        assumptions="exact comparison of features; as many refinement rounds as the network has",
        record="no weights went below the floor in the tests",
        low=floor.floor,
    )


def epochs_advice(prediction: Forecast, past: BackTest, *, n_epochs_planned: float = math.inf) -> Advice:
    """Predict the epochs to a target, unless the forecast failed on this very run or reaches beyond its end.

    Args:
        prediction: The forecast.
        past: Its back-test on the epochs of this run.
        n_epochs_planned: Epochs after which the training ends: its schedule says nothing of what would come later.
    """
    known = math.isfinite(prediction.epoch)
    reason = ""
    if known and past.n_forecasts and past.median_relative_error > FORECAST_ERROR:
        reason = f"its median error on this run is {past.median_relative_error:.0%}"
    elif known and prediction.epoch > n_epochs_planned:
        reason = f"the target lies beyond the {n_epochs_planned:.0f} epochs of the schedule"
    todo = f"no forecast: {reason}" if reason else "target out of reach"
    if known and not reason:
        todo = f"expect the loss {prediction.target:.4g} at epoch {prediction.epoch:.0f}"
    record = (
        f"from the first {past.n_epochs_seen} epochs of this run: median error {past.median_relative_error:.0%}, "
        f"interval held {past.coverage:.0%} of {past.n_forecasts} later targets"
        if past.n_forecasts
        else "not enough epochs to test the forecast on this run"
    )
    return Advice(
        topic=Topic.EPOCHS,
        recommendation=todo,
        measured=f"{prediction.n_epochs_seen} epochs, law {prediction.law}",
        assumptions_met=known and not reason,
        assumptions="the law goes on; the learning rate is not changed in between",
        record=record,
        low=prediction.low,
        high=prediction.high,
    )


def early_stop_advice(
    ratio: LocalRatio, epsilon: float, valid_losses: Sequence[float] = (), stopped: int | None = None
) -> Advice:
    """Say whether PL*_ε still asks for progress, and whether validation has gained from the latest.

    Args:
        ratio: At the trained weights.
        epsilon: Excess loss, in nats, that is good enough.
        valid_losses: Of the run's epochs.
        stopped: Epoch after which the rule of ``--stop pl-star`` would have stopped the run; None if never.
    """
    best = 1 + min(range(len(valid_losses)), key=valid_losses.__getitem__) if valid_losses else 0
    n_stale = len(valid_losses) - best
    overfits = bool(valid_losses) and n_stale > max(1.0, STALE_SHARE * len(valid_losses))
    todo = f"go on: excess loss above {epsilon:.3g}"
    if ratio.excess < epsilon:
        todo = f"stop: excess loss below {epsilon:.3g}"
    elif overfits:
        todo = f"stop: validation has not improved in the last {n_stale} of {len(valid_losses)} epochs"
    return Advice(
        topic=Topic.EARLY_STOP,
        recommendation=todo,
        measured=f"excess loss {ratio.excess:.4g}, local PL ratio {ratio.mu:.4g} on the probe",
        assumptions_met=math.isfinite(ratio.mu) and bool(valid_losses),
        assumptions="the probe stands for the training set; validation is judged apart",
        record=_early_stop_record(valid_losses, stopped),
        high=epsilon,
    )


def _early_stop_record(valid_losses: Sequence[float], stopped: int | None) -> str:
    if not valid_losses:
        return "no epoch to replay the rule of --stop pl-star on"
    if stopped is None:
        return f"the rule of --stop pl-star would not have stopped the {len(valid_losses)} epochs of this run"
    lost = min(valid_losses[:stopped]) - min(valid_losses)
    return (
        f"the rule of --stop pl-star would have stopped this run after epoch {stopped} of {len(valid_losses)}, "
        f"at a validation loss {lost:.3g} nats above the best"
    )


def batch_size_advice(
    noise: NoiseScale, trace: float, lambda_max: float, *, n_train_samples: float = math.inf
) -> Advice:
    """Give a range of useful batch sizes, in samples (graphs), between the two measures and within the training set.

    Without a noise scale there is none: the other measure alone contradicts it too often.
    """
    spread = trace / lambda_max if lambda_max > 0 else math.nan
    ends = [v for v in (noise.value, spread) if math.isfinite(v) and v > 0]
    known = math.isfinite(noise.value) and noise.value > 0
    low, high = (min(max(1.0, end), n_train_samples) for end in (min(ends), max(ends))) if known else [math.nan] * 2
    todo = f"batches of {low:.0f} to {high:.0f} samples; beyond, steps get dearer and hardly fewer"
    return Advice(
        topic=Topic.BATCH_SIZE,
        recommendation=todo
        if known
        else "no advice: the mean gradient drowns in the noise of the probe; probe more samples",
        measured=f"noise scale {noise.value:.4g} [{noise.low:.4g}, {noise.high:.4g}], "
        f"tr(H)/λmax {spread:.4g}, {noise.n_samples} samples",
        assumptions_met=known and math.isfinite(noise.high),
        assumptions="local curvature and noise at these weights; samples are independent",
        record="on least squares eight times the critical batch gains less than a factor of 2 (theory liu2020); "
        "not tested on trainings of this network",
        low=low,
        high=high,
    )


def regime_advice(measured: Linearity) -> Advice:
    """Say whether training stayed in the kernel regime."""
    advice = {
        Regime.LAZY: "lazy: the linearised network would do as well; a larger rate may learn features",
        Regime.MIXED: "between lazy and feature learning: kernel bounds at the start are only indicative",
        Regime.FEATURE_LEARNING: "feature learning: kernel bounds at the start do not describe this run",
    }
    return Advice(
        topic=Topic.REGIME,
        recommendation=advice[measured.regime],
        measured=f"kernel change {measured.kernel_change:.3g}, linearisation error "
        f"{measured.linearisation_error:.3g}, alignment {measured.start_alignment:.3g} → {measured.end_alignment:.3g}",
        assumptions_met=measured.finding().verdict is not Verdict.NOT_APPLICABLE,
        assumptions="the theorem of Li, Ma, Zhang does not transfer to graph networks; the measures do",
        record="linear models are found lazy however far they move, small networks leave the regime (tests)",
    )


def interpolation_advice(path: Interpolation) -> Advice:
    """Flag a loss that is not monotone between initial and trained weights."""
    found = monotone(path)
    straight = found.verdict is Verdict.HOLDS
    return Advice(
        topic=Topic.INTERPOLATION,
        recommendation="nothing unusual"
        if straight
        else "unusual: the loss rises on the way; look at the learning rate",
        measured=f"largest rise {path.rise:.3g} over {len(path.alphas)} points, distance {path.distance:.3g}",
        assumptions_met=all(map(math.isfinite, path.losses)),
        assumptions="an anomaly flag: no theorem covers the cross-entropy; normalisation frozen",
        record="it flags the barrier between a network and its own permutation (theory lucas2021)",
    )


def dropout_advice(gap: DropoutGap, ratio: LocalRatio, drop_probability: float) -> Advice:
    """Say what dropout at the given rate costs, as an effective regulariser."""
    weak = gap.high < DROPOUT_WORTH * ratio.loss
    return Advice(
        topic=Topic.DROPOUT,
        recommendation="next to no effect: raise it or leave it out"
        if weak
        else "it regularises: judge it by validation",
        measured=f"E[L_dropout] − L = {gap.value:.3g} [{gap.low:.3g}, {gap.high:.3g}], "
        f"drop probability {drop_probability}",
        assumptions_met=gap.low <= gap.high,
        assumptions="masks on the inputs of the head's last layer, weights fixed",
        record="on shallow linear networks it is the closed form (tests); not tested on trainings of this network",
        low=gap.low,
        high=gap.high,
    )
