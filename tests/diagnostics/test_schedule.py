import numpy as np
import pytest

from gnn_branching.diagnostics.tracking.schedule import (
    FREE_SECONDS,
    MOST_POINTS,
    TrackingPlan,
    plan_again,
    plan_tracking,
)


def plan(n_steps: int, *, n_batches: int = 50, step: float = 0.05, sample: float = 0.02) -> TrackingPlan:
    return plan_tracking(
        n_steps=n_steps,
        n_batches_per_epoch=n_batches,
        step_seconds=step,
        sample_seconds=sample,
        share=0.05,
        n_available=32,
    )


@pytest.mark.parametrize("n_steps", [30, 160, 750, 2000, 20_000])
@pytest.mark.parametrize("sample", [0.001, 0.02])
def test_points_are_many_and_even_and_within_their_share(n_steps: int, sample: float) -> None:
    found = plan(n_steps, n_batches=max(1, n_steps // 20), sample=sample)
    due = [step for step in range(1, n_steps + 1) if found.is_due(step)]
    assert 20 <= len(due) <= 2 * MOST_POINTS
    assert len(due) == found.n_points
    assert 4 <= found.n_samples <= 16
    assert found.expected_seconds <= max(0.05 * n_steps * 0.05, FREE_SECONDS) * 1.001
    assert np.max(np.diff(due)) <= 4 * np.min(np.diff(due))


def test_points_too_dear_are_fewer() -> None:
    found = plan(750, sample=1.0)
    assert found.n_samples == 4
    assert 0 < found.n_points * 4.0 <= FREE_SECONDS * 1.4 or found.n_points == 0


def test_a_training_that_patience_ends_has_points_wherever_it_ends() -> None:
    found = plan(312_000, n_batches=312)
    for n_steps in (30 * 312, 100 * 312, 500 * 312):
        n_points = sum(found.is_due(step) for step in range(1, n_steps + 1))
        assert 20 <= n_points <= 5 * MOST_POINTS


def test_more_time_buys_more_samples() -> None:
    assert [plan(750, step=step).n_samples for step in (0.01, 0.25, 1.0)] == [10, 16, 16]


def test_points_cheaper_than_told_come_closer_together_and_dearer_ones_change_nothing() -> None:
    told = plan(480, sample=0.5)
    assert told.n_points < 5

    def again(*seconds: float) -> TrackingPlan:
        return plan_again(told, point_seconds=seconds, step_seconds=0.05, n_batches_per_epoch=50, share=0.05)

    cheap = again(0.2)
    assert cheap.n_points >= 20
    assert cheap.n_samples == told.n_samples
    assert cheap.expected_seconds <= FREE_SECONDS
    assert again(0.2, 60.0, 0.2) == cheap
    assert again(3.0) is told


def test_what_the_start_takes_is_counted() -> None:
    """Five minutes of training pay for 15 seconds: points take what the start leaves of them, but at least half."""

    def planned(start: float) -> TrackingPlan:
        return plan_tracking(
            n_steps=6000,
            n_batches_per_epoch=50,
            step_seconds=0.05,
            sample_seconds=0.06,
            share=0.05,
            n_available=32,
            start_seconds=start,
        )

    assert planned(0.0).expected_seconds <= 15.0
    assert 3.0 < planned(3.0).expected_seconds <= 15.0
    assert planned(3.0).n_points < planned(0.0).n_points
    assert planned(300.0).n_points > 20
