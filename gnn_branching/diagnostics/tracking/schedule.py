"""When a training is probed, and on how many samples: evenly, within a share of its time, told from timed probes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

N_POINTS = 24
"""Points of a training, evenly spaced over its planned steps, but at least one an epoch while there are few."""
MOST_POINTS = 48
"""Beyond so many, every other point is left out: trainings that patience ends are longer on paper than they get."""
LEAST_SAMPLES, MOST_SAMPLES = 4, 16
"""Probe samples: as many as the share pays for, between these."""
FREE_SECONDS = 5.0
"""Probes may take so long in all, whatever the share: a training of seconds gets its points too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingPlan:
    """What tracking will do, known before the first epoch is over; seconds are those of the tracker's clock.

    Args:
        n_samples: Samples of the probe.
        every: Steps between points, at first.
        n_steps: Steps that the training plans.
        step_seconds: Time of a step.
        point_seconds: Expected time of a point.
        start_seconds: What the start took, measured as often as it was timed.
    """

    n_samples: int
    every: int
    n_steps: int
    step_seconds: float
    point_seconds: float
    start_seconds: float = 0.0

    @property
    def n_points(self) -> int:
        """Points over the planned steps, the start left out."""
        return sum(self.is_due(step) for step in range(self.every, self.n_steps + 1, self.every))

    @property
    def expected_seconds(self) -> float:
        """Expected time of the start and all points."""
        return self.start_seconds + self.n_points * self.point_seconds

    @property
    def expected_share(self) -> float:
        """Expected time of tracking over that of all steps."""
        return self.expected_seconds / max(self.n_steps * self.step_seconds, 1e-9)

    def is_due(self, step: int) -> bool:
        """Return whether a point falls on a step; it depends on nothing else, so that a resumed training agrees."""
        stride = self.every
        while step // stride > MOST_POINTS:
            stride *= 2
        return step % stride == 0


def plan_tracking(
    *,
    n_steps: int,
    n_batches_per_epoch: int,
    step_seconds: float,
    sample_seconds: float,
    share: float,
    n_available: int,
    start_seconds: float = 0.0,
) -> TrackingPlan:
    """Choose spacing and samples.

    Args:
        n_steps: Steps that the training plans.
        n_batches_per_epoch: Steps of an epoch.
        step_seconds: Time of a step.
        sample_seconds: Time of a point, by sample.
        share: Most time of points over that of steps, unless they fit into ``FREE_SECONDS``.
        n_available: Samples that there are.
        start_seconds: What the start took: points may take what it leaves of their time.
    """
    allowed = _allowed_seconds(n_steps, step_seconds, share, start_seconds)
    wanted = wanted_spacing(n_steps, n_batches_per_epoch)
    fits = int(allowed * wanted / max(sample_seconds, 1e-9))
    n_samples = min(n_available, MOST_SAMPLES, max(LEAST_SAMPLES, fits))
    cost = n_samples * sample_seconds
    return TrackingPlan(
        n_samples=n_samples,
        every=max(wanted, math.ceil(cost / allowed)),
        n_steps=n_steps,
        step_seconds=step_seconds,
        point_seconds=cost,
        start_seconds=start_seconds,
    )


def _allowed_seconds(n_steps: int, step_seconds: float, share: float, start_seconds: float) -> float:
    """Return what points may take by step of the training: what the start leaves, but at least half."""
    whole = max(share * step_seconds * n_steps, FREE_SECONDS)
    return max(whole - start_seconds, whole / 2.0) / n_steps


def wanted_spacing(n_steps: int, n_batches_per_epoch: int) -> int:
    """Return the steps between points where time is no object."""
    return max(1, min(n_steps // N_POINTS, n_batches_per_epoch))


def plan_again(
    plan: TrackingPlan,
    *,
    point_seconds: Sequence[float],
    step_seconds: float,
    n_batches_per_epoch: int,
    share: float,
) -> TrackingPlan:
    """Return a plan of closer points on the same samples, if they turned out cheaper than told; else the plan itself.

    Args:
        plan: What is followed.
        point_seconds: Time of each point so far, at least one; see :func:`typical_seconds`.
        step_seconds: Time of a step, in the mean so far.
        n_batches_per_epoch: Steps of an epoch.
        share: As in :func:`plan_tracking`.
    """
    cost = typical_seconds(point_seconds)
    allowed = _allowed_seconds(plan.n_steps, step_seconds, share, plan.start_seconds)
    every = max(wanted_spacing(plan.n_steps, n_batches_per_epoch), math.ceil(cost / allowed))
    if every >= plan.every:
        return plan
    return replace(plan, every=every, step_seconds=step_seconds, point_seconds=cost)


def typical_seconds(point_seconds: Sequence[float]) -> float:
    """Return the lower median of times, at least one, which a point that other work held up does not move."""
    return statistics.median_low(point_seconds)
