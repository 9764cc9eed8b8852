"""Gradient noise and the range of useful batch sizes.

McCandlish et al. (2018): noise scale ``tr Σ / ‖G‖²``. Ma, Bassily, Belkin (2018): the minibatch's gain saturates near a
ratio of trace to largest eigenvalue. A sample is one graph, never one candidate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from gnn_branching.contracts import FloatArray
from gnn_branching.diagnostics.measures.probe import Probe
from gnn_branching.diagnostics.measures.tangent_kernel import sample_kernel

NORMAL_95 = 1.96
"""Half width of a two-sided 95 % interval, in standard errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseScale:
    """Noise scale of the mean gradient, with a 95 % jackknife interval.

    Args:
        value: ``tr Σ / ‖G‖²`` in samples; infinite if the mean gradient drowns in the noise.
        low: Lower end; NaN with fewer than four samples.
        high: Upper end; infinite if ``‖G‖²`` is not distinguishable from 0.
        covariance_trace: Unbiased ``tr Σ`` of one sample's gradient.
        squared_gradient: Unbiased ``‖G‖²``; may be negative when noise dominates.
        n_samples: Samples it was measured on.
    """

    value: float
    low: float
    high: float
    covariance_trace: float
    squared_gradient: float
    n_samples: int


def noise_scale(probe: Probe, parameters: Tensor) -> NoiseScale:
    """Measure the gradient noise scale on the probe's samples.

    Raises:
        ValueError: With fewer than two samples.
    """
    return noise_scale_of(sample_kernel(probe, parameters).numpy())


def noise_scale_of(gram: FloatArray) -> NoiseScale:
    """Return the noise scale from inner products of per-sample gradients, (n, n)."""
    n = gram.shape[0]
    if n < 2:
        raise ValueError(f"{n} samples: a noise scale needs at least two")
    own, total = np.diag(gram), float(gram.sum())
    signal = (total - float(own.sum())) / (n * (n - 1))
    trace = float(own.mean()) - signal
    low = high = math.nan
    if n >= 4:
        low, high = _jackknife(gram, own, total)
    return NoiseScale(
        value=trace / signal if signal > 0 else math.inf,
        low=low,
        high=high,
        covariance_trace=trace,
        squared_gradient=signal,
        n_samples=n,
    )


def _jackknife(gram: FloatArray, own: FloatArray, total: float) -> tuple[float, float]:
    """Delete one sample at a time; interval of the signal first, of the log ratio if the signal stands out."""
    n = len(own)
    totals = total - 2.0 * gram.sum(axis=1) + own
    owns = float(own.sum()) - own
    signals = (totals - owns) / ((n - 1) * (n - 2))
    traces = owns / (n - 1) - signals
    signal_error = math.sqrt((n - 1) / n * float(np.sum((signals - signals.mean()) ** 2)))
    full = (total - float(own.sum())) / (n * (n - 1))
    trace = float(own.mean()) - full
    if full - NORMAL_95 * signal_error <= 0 or (signals <= 0).any() or trace <= 0:
        highest = full + NORMAL_95 * signal_error
        return max(0.0, trace) / highest if highest > 0 else 0.0, math.inf
    logs = np.log(np.maximum(traces, np.finfo(np.float64).tiny) / signals)
    error = math.sqrt((n - 1) / n * float(np.sum((logs - logs.mean()) ** 2)))
    centre = math.log(trace / full)
    return math.exp(centre - NORMAL_95 * error), math.exp(centre + NORMAL_95 * error)
