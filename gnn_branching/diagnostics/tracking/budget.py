"""When a probe may run, so that all probes together cost at most a given share of the training time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

CAUTION = 1.25
"""A probe is expected to cost this many times what it cost last."""
UNTRIED_CAUTION = 2.0
"""The first gradient probe is expected to cost this many times a training step on as many samples (float64)."""


class ProbeKind(StrEnum):
    """What is measured, from cheap to dear."""

    GRADIENT = "gradient"
    NOISE = "noise"
    CURVATURE = "curvature"
    KERNEL = "kernel"


SHARES: Mapping[ProbeKind, float] = {
    ProbeKind.GRADIENT: 0.3,
    ProbeKind.NOISE: 0.1,
    ProbeKind.CURVATURE: 0.3,
    ProbeKind.KERNEL: 0.3,
}
"""How the probes divide the budget; each has its own account, so that cheap ones cannot starve dear ones."""


@dataclass(slots=True)
class _Account:
    spent_seconds: float = 0.0
    last_seconds: float | None = None


class ProbeBudget:
    """Accounts of probe time against training time.

    Args:
        share: Most probe time over training time (the time without probes).
        clock: Monotonic seconds.
    """

    def __init__(self, share: float, clock: Callable[[], float] = time.perf_counter) -> None:
        if not 0.0 < share < 1.0:
            raise ValueError(f"share {share}: must lie between 0 and 1")
        self._share, self._clock = share, clock
        self._accounts = {kind: _Account() for kind in ProbeKind}
        self._start = clock()

    @property
    def spent_seconds(self) -> float:
        """Wall time of all probes so far."""
        return sum(account.spent_seconds for account in self._accounts.values())

    @property
    def training_seconds(self) -> float:
        """Wall time since the start without the probes."""
        return self._clock() - self._start - self.spent_seconds

    @property
    def overhead(self) -> float:
        """Probe time over training time."""
        return self.spent_seconds / max(self.training_seconds, 1e-9)

    def last_seconds(self, kind: ProbeKind) -> float | None:
        """Wall time of the last probe of a kind; None if there was none."""
        return self._accounts[kind].last_seconds

    def affords(self, kind: ProbeKind, first_guess_seconds: float) -> bool:
        """Return whether the kind's account covers another probe.

        Args:
            kind: What would be measured.
            first_guess_seconds: Expected cost if it was never tried.
        """
        account = self._accounts[kind]
        expected = CAUTION * account.last_seconds if account.last_seconds is not None else first_guess_seconds
        return account.spent_seconds + expected <= SHARES[kind] * self._share * self.training_seconds

    @contextmanager
    def charge(self, kind: ProbeKind) -> Iterator[None]:
        """Charge the wall time of the block to a kind, also if it fails."""
        before = self._clock()
        try:
            yield
        finally:
            seconds = self._clock() - before
            self._accounts[kind].spent_seconds += seconds
            self._accounts[kind].last_seconds = seconds
