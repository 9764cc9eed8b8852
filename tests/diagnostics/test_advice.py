"""Every piece of advice can turn out either way."""

import math
from dataclasses import replace

import numpy as np

from gnn_branching.diagnostics.advice import recommendations as advice
from gnn_branching.diagnostics.measures.dropout import DropoutGap
from gnn_branching.diagnostics.measures.forecast import back_test, forecast
from gnn_branching.diagnostics.measures.interpolation import Interpolation
from gnn_branching.diagnostics.measures.irreducible import IrreducibleLoss
from gnn_branching.diagnostics.measures.linearity import Linearity
from gnn_branching.diagnostics.measures.noise import NoiseScale
from gnn_branching.diagnostics.measures.polyak import LocalRatio

FLOOR = IrreducibleLoss(tie_entropy=0.1, floor=0.2, tied_share=0.5, merged_share=0.25, n_samples=8)
FAR = LocalRatio(loss=1.0, floor=0.1, gradient_norm=1.0)
NEAR = LocalRatio(loss=0.201, floor=0.1, gradient_norm=0.01)


def noise(value: float, high: float) -> NoiseScale:
    return NoiseScale(value=value, low=1.0, high=high, covariance_trace=1.0, squared_gradient=1.0, n_samples=8)


def linear(change: float, error: float) -> Linearity:
    return Linearity(
        kernel_change=change,
        start_alignment=0.1,
        end_alignment=0.2,
        linearisation_error=error,
        loss=1.0,
        linearised_loss=1.1,
    )


def path(losses: list[float]) -> Interpolation:
    n = len(losses)
    return Interpolation(
        alphas=np.linspace(0, 1, n),
        losses=np.array(losses),
        outputs=np.zeros((n, 1)),
        group_sizes=(1,),
        distance=1.0,
        distance_without_biases=1.0,
    )


def test_learning_rate() -> None:
    assert advice.learning_rate_advice(10.0, 0.2, 0.1, "adam").recommendation.startswith("keep")
    assert advice.learning_rate_advice(10.0, 0.2, 0.3, "adam").recommendation.startswith("lower")
    # A rate that a schedule has brought down says nothing, and a ceiling is no reason to keep it.
    assert advice.learning_rate_advice(10.0, 0.2, 1e-5, "adam").recommendation.startswith("no advice")
    unknown = advice.learning_rate_advice(math.nan, math.nan, 0.3, "adam")
    assert unknown.recommendation == "no advice"
    assert not unknown.assumptions_met


def test_irreducible_loss() -> None:
    assert "stop chasing" in advice.irreducible_advice(FLOOR, NEAR).recommendation
    assert "0.8 nats" in advice.irreducible_advice(FLOOR, FAR).recommendation
    assert not advice.irreducible_advice(FLOOR, LocalRatio(loss=0.1, floor=0.0, gradient_norm=0.0)).assumptions_met


def test_epochs_with_their_record() -> None:
    losses = np.exp(-0.1 * np.arange(30)).tolist()
    found = advice.epochs_advice(forecast(losses, math.exp(-4.0)), back_test(losses))
    assert "at epoch 40" in found.recommendation
    assert "median error 0%" in found.record
    late = advice.epochs_advice(forecast(losses, math.exp(-4.0)), back_test(losses), n_epochs_planned=32)
    assert late.recommendation == "no forecast: the target lies beyond the 32 epochs of the schedule"
    assert not late.assumptions_met
    past = replace(back_test(losses), median_relative_error=1.7)
    failed = advice.epochs_advice(forecast(losses, math.exp(-4.0)), past)
    assert failed.recommendation == "no forecast: its median error on this run is 170%"
    rising = np.linspace(1, 2, 10).tolist()
    hopeless = advice.epochs_advice(forecast(rising, 0.5), back_test(rising))
    assert hopeless.recommendation == "target out of reach"
    assert not hopeless.assumptions_met
    assert "not enough epochs" in hopeless.record


def test_early_stop() -> None:
    assert advice.early_stop_advice(FAR, 0.2).recommendation.startswith("go on")
    assert advice.early_stop_advice(NEAR, 0.2).recommendation.startswith("stop")
    overfitted = advice.early_stop_advice(FAR, 0.2, [0.9, 0.7, 0.8, 0.9, 1.0])
    assert overfitted.recommendation == "stop: validation has not improved in the last 3 of 5 epochs"
    assert advice.early_stop_advice(FAR, 0.2, [0.9, 0.8, 0.7]).recommendation.startswith("go on")
    assert not advice.early_stop_advice(FAR, 0.2).assumptions_met
    replayed = advice.early_stop_advice(NEAR, 0.2, [0.9, 0.8, 0.7], 2)
    assert "after epoch 2 of 3, at a validation loss 0.1 nats above the best" in replayed.record
    assert "would not have stopped the 3 epochs" in advice.early_stop_advice(NEAR, 0.2, [0.9, 0.8, 0.7]).record


def test_batch_size() -> None:
    known = advice.batch_size_advice(noise(40.0, 90.0), 30.0, 10.0)
    assert (known.low, known.high) == (3.0, 40.0)
    assert known.assumptions_met
    capped = advice.batch_size_advice(noise(15.0, 90.0), 1008.0, 1.0, n_train_samples=500)
    assert (capped.low, capped.high) == (15.0, 500.0)
    assert advice.batch_size_advice(noise(math.inf, math.inf), 5.0, 1.0).recommendation.startswith("no advice")
    assert not advice.batch_size_advice(noise(40.0, math.inf), 30.0, 10.0).assumptions_met
    assert advice.batch_size_advice(noise(math.inf, math.inf), math.nan, 1.0).recommendation.startswith("no advice")


def test_regime() -> None:
    assert advice.regime_advice(linear(0.05, 0.05)).recommendation.startswith("lazy")
    assert advice.regime_advice(linear(0.05, 0.2)).recommendation.startswith("between")
    assert advice.regime_advice(linear(3.0, 0.2)).recommendation.startswith("feature")
    assert not advice.regime_advice(linear(0.0, math.nan)).assumptions_met


def test_interpolation() -> None:
    assert advice.interpolation_advice(path([3.0, 2.0, 1.0])).recommendation == "nothing unusual"
    assert advice.interpolation_advice(path([3.0, 1.0, 2.0])).recommendation.startswith("unusual")


def test_dropout() -> None:
    weak, strong = (DropoutGap(value=v, low=v / 2, high=2 * v, n_draws=9) for v in (1e-4, 0.1))
    assert advice.dropout_advice(weak, FAR, 0.1).recommendation.startswith("next to no effect")
    assert advice.dropout_advice(strong, FAR, 0.1).recommendation.startswith("it regularises")
