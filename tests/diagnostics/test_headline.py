import math
from dataclasses import dataclass

import pytest

from gnn_branching.diagnostics.advice.headline import Headline, Limit, headline, promise_line
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
        (Limit.DONE, [3.0, 2.5, 2.3, 2.2, 2.2, 2.2], [3.0, 2.5, 2.4, 2.3, 2.25, 2.24], 0.1),
        (Limit.EXPERT, [3.0, 2.5, 2.2, 2.1, 2.1, 2.05], [3.0, 2.5, 2.2, 2.1, 2.1, 2.1], 2.05),
        (Limit.DONE, [2.5, 2.2, 2.2, 2.2, 2.2, 2.2], [2.5, 2.2, 2.21, 2.21, 2.21, 2.21], 0.1),
    ],
)
def test_each_limit_has_its_training(limit: Limit, train: list[float], valid: list[float], floor: float) -> None:
    told = found(train, valid, floor)
    assert told.limit is limit
    assert len(told.evidence) == 4
    assert str(told).startswith("done: " if limit is Limit.DONE else f"limited by {limit}: ")
    assert told.record in str(told)


def test_a_narrow_network_wants_width_unless_it_overfits() -> None:
    close, far = [3.1, 2.7, 2.3, 1.9, 1.6, 1.3], [3.0, 2.9, 2.8, 2.8, 2.8, 2.7]
    told = [headline(history(FALLING, valid), [probe()], width) for valid in (close, far) for width in (8, 32)]
    assert [item.limit for item in told if item] == [Limit.CAPACITY, Limit.OPTIMISATION, Limit.DATA, Limit.DATA]


def test_a_larger_gap_promises_more_of_more_data() -> None:
    valid = [3.0, 2.7, 2.5, 2.5, 2.6, 2.8]
    small, large = found([3.0, 2.6, 2.4, 2.3, 2.2, 2.1], valid), found(FALLING, valid)
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
