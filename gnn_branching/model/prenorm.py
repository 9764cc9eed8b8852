"""Prenorm layers: fitted once on data, then frozen (Gasse et al. 2019, section 4.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

RELATIVE_ZERO_VARIANCE = 1e-12
"""A variance below this share of the mean square is rounding error of a constant column, so it counts as zero."""


class PrenormObserved(Exception):  # noqa: N818 - a signal that ends a partial forward pass, not an error
    """A layer that is being fitted has seen its input; nothing after it needs to run."""


class PreNorm(nn.Module):
    """Shift and scale each unit to mean 0 and variance 1 as measured on data; the identity until fitted.

    Args:
        n_units: Columns with statistics of their own; 1 means one statistic over everything.
        shift: Whether to subtract the mean. Without it the layer is a positive factor, which commutes with ReLU.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, n_units: int, *, shift: bool = True) -> None:
        super().__init__()
        self.n_units = n_units
        self.shifts = shift
        self.register_buffer("shift", torch.zeros(n_units))
        self.register_buffer("scale", torch.ones(n_units))
        self._moments: _Moments | None = None

    @property
    def observing(self) -> bool:
        """Whether the layer collects statistics."""
        return self._moments is not None

    def start(self) -> None:
        """Collect statistics from now on; each forward pass ends in :class:`PrenormObserved`."""
        self._moments = _Moments(self.n_units)

    def observe(self, values: Tensor) -> None:
        """Add values, (n, n_units) or of any shape if ``n_units`` is 1, to the statistics."""
        assert self._moments is not None
        self._moments.add(values.detach().reshape(-1, self.n_units))

    def finish(self) -> None:
        """Set shift and scale from the statistics and freeze.

        Raises:
            ValueError: If nothing was observed.
        """
        assert self._moments is not None
        mean, variance = self._moments.mean_and_variance()
        if self.shifts:
            self.shift.copy_(-mean)
        self.scale.copy_(variance.rsqrt())
        self._moments = None

    def forward(self, values: Tensor) -> Tensor:
        """Return ``(values + shift) * scale``."""
        if self.observing:
            self.observe(values)
            raise PrenormObserved
        return (values + self.shift) * self.scale if self.shifts else values * self.scale


class _Moments:
    """Running mean and variance in float64, combined over batches (Chan et al. 1979)."""

    def __init__(self, n_units: int) -> None:
        self.n = 0
        self.mean = torch.zeros(n_units, dtype=torch.float64)
        self.squares = torch.zeros(n_units, dtype=torch.float64)

    def add(self, values: Tensor) -> None:
        if values.shape[0] == 0:
            return
        values = values.to("cpu", torch.float64)
        n, mean = values.shape[0], values.mean(0)
        delta, total = mean - self.mean, self.n + n
        self.squares += (values - mean).square().sum(0) + delta.square() * (self.n * n / total)
        self.mean += delta * (n / total)
        self.n = total

    def mean_and_variance(self) -> tuple[Tensor, Tensor]:
        if self.n == 0:
            raise ValueError("prenorm saw no data: give at least one batch with at least one edge")
        variance = self.squares / self.n
        constant = variance <= RELATIVE_ZERO_VARIANCE * self.mean.square()
        return self.mean, torch.where(constant, torch.ones_like(variance), variance)
