import numpy as np
import pytest

from gnn_branching.diagnostics.tracking.budget import SHARES, ProbeBudget, ProbeKind


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_shares_add_up_to_the_budget() -> None:
    assert sum(SHARES.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("costs_grow", [False, True])
def test_probes_never_cost_more_than_their_share(costs_grow: bool) -> None:
    clock, rng = Clock(), np.random.default_rng(0)
    budget = ProbeBudget(0.05, clock)
    counts = dict.fromkeys(ProbeKind, 0)
    base = {ProbeKind.GRADIENT: 0.1, ProbeKind.NOISE: 0.2, ProbeKind.CURVATURE: 5.0, ProbeKind.KERNEL: 8.0}
    for _ in range(5000):
        clock.now += 1.0
        for kind in ProbeKind:
            if budget.affords(kind, 1.2 * base[kind]):
                with budget.charge(kind):
                    growth = 1.0 + 0.01 * counts[kind] if costs_grow else 1.0
                    clock.now += base[kind] * growth * rng.uniform(0.9, 1.1)
                counts[kind] += 1
        assert budget.overhead <= 0.05
    assert budget.overhead > 0.04
    assert all(counts.values())
    np.testing.assert_allclose(budget.training_seconds, 5000.0, rtol=1e-9)


def test_a_probe_too_dear_is_never_run() -> None:
    clock = Clock()
    budget = ProbeBudget(0.05, clock)
    clock.now = 100.0
    assert not budget.affords(ProbeKind.KERNEL, 60.0)
    assert budget.affords(ProbeKind.KERNEL, 1.0)


def test_a_failing_probe_is_charged() -> None:
    clock = Clock()
    budget = ProbeBudget(0.05, clock)

    def fail() -> None:
        with budget.charge(ProbeKind.NOISE):
            clock.now += 3.0
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        fail()
    assert budget.spent_seconds == 3.0


def test_impossible_share_is_refused() -> None:
    with pytest.raises(ValueError, match=r"share 1\.0"):
        ProbeBudget(1.0)
