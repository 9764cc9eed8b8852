import math
from dataclasses import dataclass

import pytest

from gnn_branching.diagnostics.advice.headline import Headline, Limit, Signs, expected_gains, headline, promise_line
from gnn_branching.diagnostics.tracking.tracker import ProbeKind, ProbeRecord


@dataclass(frozen=True)
class Epoch:
    step: int
    train_loss: float
    valid_loss: float
    learning_rate: float = 1e-3


def history(train: list[float], valid: list[float]) -> list[Epoch]:
    return [Epoch(10 * i, *losses) for i, losses in enumerate(zip(train, valid, strict=True), start=1)]


def probe(floor: float = 0.1, **values: float) -> ProbeRecord:
    known = {"target_entropy": floor, "probe_excess_loss": 1.0, **values}
    return ProbeRecord(kind=ProbeKind.POINT, step=10, epoch=1, training_seconds=1.0, probe_seconds=0.1, values=known)


def found(train: list[float], valid: list[float], floor: float = 0.1) -> Headline:
    told = headline(history(train, valid), [probe(floor)])
    assert told is not None
    return told


FALLING = [3.0, 2.6, 2.2, 1.8, 1.5, 1.2]


@pytest.mark.parametrize(
    ("limit", "train", "valid", "floor"),
    [
        (Limit.DATA, FALLING, [3.0, 2.7, 2.5, 2.5, 2.6, 2.8], 0.1),
        (Limit.DATA, [3.0, 2.0, 1.5, 1.2, 1.2, 1.2], [3.0, 2.4, 2.2, 2.1, 2.1, 2.0], 0.1),
        (Limit.OPTIMISATION, FALLING, [3.1, 2.7, 2.3, 1.9, 1.6, 1.3], 0.1),
        (Limit.OPTIMISATION, [3.0, 2.5, 2.3, 2.2, 2.2, 2.2], [3.0, 2.5, 2.4, 2.3, 2.25, 2.24], 0.1),
        (Limit.DONE, [3.0] * 2 + [2.0] * 9, [3.0] * 2 + [2.5] * 6 + [2.0] + [2.1] * 2, 0.1),
        (Limit.EXPERT, [3.0, 2.5, 2.2, 2.1, 2.1, 2.05], [3.0, 2.5, 2.2, 2.1, 2.1, 2.1], 2.05),
        (Limit.DATA, [2.5, 2.2, 2.0, 1.8, 1.6, 1.4], [2.5, 2.2, 2.21, 2.21, 2.21, 2.21], 0.1),
    ],
)
def test_each_limit_has_its_training(limit: Limit, train: list[float], valid: list[float], floor: float) -> None:
    told = found(train, valid, floor)
    assert told.limit is limit
    assert len(told.evidence) == 4
    assert str(told).startswith("done: " if limit is Limit.DONE else f"limited by {limit}: ")
    assert told.record in str(told)


def signs(gap: float = 0.0, width: float = 64, n_stale: float = 0.0) -> Signs:
    return Signs(valid=2.0, train=2.0 - gap, floor=0.1, train_trend=0.1, valid_trend=0.0, n_stale=n_stale, width=width)


def test_a_narrow_network_wants_width_unless_it_overfits() -> None:
    def best(gap: float, width: float) -> Limit:
        gains = expected_gains(signs(gap, width))
        return max(gains, key=gains.__getitem__)

    assert [best(gap, width) for gap in (0.0, 0.4) for width in (8, 64)] == [
        Limit.CAPACITY,
        Limit.OPTIMISATION,
        Limit.CAPACITY,
        Limit.DATA,
    ]


def test_beyond_what_was_fitted_nothing_is_extrapolated() -> None:
    assert expected_gains(signs(gap=1.9, width=1e9)) == expected_gains(signs(gap=0.5, width=128))
    assert all(math.isfinite(gain) for gain in expected_gains(signs(gap=2.0, width=math.inf)).values())
    assert headline(history([0.0] * 6, [0.0] * 6)) is not None


def test_a_larger_gap_promises_more_of_more_data() -> None:
    valid = [3.0, 2.7, 2.5, 2.5, 2.6, 2.8]
    small, large = found([3.0, 2.6, 2.5, 2.3, 2.2, 2.1], valid), found([3.0, 2.6, 2.2, 2.1, 2.0, 1.9], valid)
    assert 0 < small.gain.value < large.gain.value
    assert all(told.gain.low < told.gain.value < told.gain.high for told in (small, large))


def test_a_loss_without_a_floor_is_never_at_it() -> None:
    low = [0.5, 0.4, 0.3, 0.25, 0.2, 0.15]
    told = headline(history(low, low))
    assert told is not None
    assert told.limit is Limit.OPTIMISATION
    assert told.evidence[-1].startswith("floor: not known")


def test_nothing_is_said_of_too_short_a_training() -> None:
    assert headline(history([2.0, 1.0], [2.0, 1.5])) is None


def test_the_promise_is_that_of_gradient_descent() -> None:
    line = promise_line([probe(mu=0.02, hessian_lambda_max=2.0)], 100)
    assert f"{1 - 0.99**100:.0%} of the 1 nats left on the probe" in line
    assert promise_line([probe()], 100) == "PL* on the training set: not measured"
    assert promise_line([probe(mu=0.02, hessian_lambda_max=math.inf)], 100).endswith(
        "0% of the 1 nats left on the probe"
    )
