"""Averages, paired ratios and their uncertainty; NumPy and SciPy on plain arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats

from gnn_branching.contracts import FloatArray, IndexArray
from gnn_branching.seeding import generator

MIN_INSTANCES_FOR_TEST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioEstimate:
    """A paired ratio of shifted geometric means, below 1 where the candidate is better.

    Args:
        value: The ratio; NaN if there is no pair, or the baseline's mean is 0.
        low: Lower end of the bootstrap interval; NaN if there is a single pair or none, or a resample's baseline is 0.
        high: Upper end.
        p: Two-sided Wilcoxon signed-rank p-value over instances; NaN below two instances.
        n_pairs: (instance, seed) pairs.
        n_instances: Distinct instances among them.
    """

    value: float
    low: float
    high: float
    p: float
    n_pairs: int
    n_instances: int


TAIL = (1 - 0.95) / 2
"""Share of the resamples beyond either end of an interval."""
NO_RATIO = RatioEstimate(value=math.nan, low=math.nan, high=math.nan, p=math.nan, n_pairs=0, n_instances=0)


def shifted_geometric_mean(values: FloatArray, shift: float) -> float:
    """Return exp(mean(log(values + shift))) − shift; NaN of nothing.

    Args:
        values: float64, (n,), all above −shift.
        shift: Damps the weight of tiny values (Achterberg 2007, appendix A.3); 0 gives the plain geometric mean.

    Raises:
        ValueError: If a value is not above −shift.
    """
    if values.size == 0:
        return math.nan
    if not (values > -shift).all():
        raise ValueError(f"smallest value {values.min()} is not above minus the shift {shift}")
    return float(np.exp(np.log(values + shift).mean()) - shift)


def paired_ratio(
    candidate: FloatArray,
    baseline: FloatArray,
    instances: IndexArray,
    *,
    shift: float,
    n_resamples: int = 4000,
    seed: int = 0,
) -> RatioEstimate:
    """Return the ratio of the two shifted geometric means over the same pairs, with a cluster-bootstrap interval.

    Pairs share instances, so instances are drawn with replacement and, within each, as many of its pairs as it has.
    With few instances the percentile interval is too narrow; its level is widened as a Student interval would be
    (Hesterberg 2015, "What teachers should know about the bootstrap", section 5.3).

    Args:
        candidate: float64, (n_pairs,).
        baseline: float64, (n_pairs,), in the same order.
        instances: int64, (n_pairs,): which instance a pair belongs to, 0 … n_instances − 1, each present.
        shift: As in :func:`shifted_geometric_mean`.
        n_resamples: Bootstrap resamples.
        seed: Root of the resamples, which depend on nothing else but ``instances``: all measures share them.
    """
    if candidate.size == 0:
        return NO_RATIO
    n_instances = int(instances.max()) + 1
    base_mean = shifted_geometric_mean(baseline, shift)
    value = shifted_geometric_mean(candidate, shift) / base_mean if base_mean else math.nan
    logs = np.stack([np.log(candidate + shift), np.log(baseline + shift)])
    low, high = math.nan, math.nan
    if candidate.size > 1:
        weights = cluster_weights(tuple(instances.tolist()), n_resamples, seed)
        tail = _expanded_tail(n_instances if n_instances > 1 else candidate.size)
        low, high = _resampled_interval(logs, weights, shift=shift, tail=tail)
    differences = np.bincount(instances, logs[0] - logs[1]) / np.bincount(instances)
    return RatioEstimate(
        value=value,
        low=low,
        high=high,
        p=wilcoxon_p(differences) if n_instances >= MIN_INSTANCES_FOR_TEST else math.nan,
        n_pairs=candidate.size,
        n_instances=n_instances,
    )


def wilcoxon_p(differences: FloatArray) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test; 1 if all differences vanish.

    Zeros share their ranks (Pratt 1959). Exact without ties and zeros up to 50 differences, else the normal
    approximation (``scipy.stats.wilcoxon``, ``method="auto"``).
    """
    return float(stats.wilcoxon(differences, zero_method="pratt").pvalue) if np.any(differences) else 1.0


def _resampled_interval(logs: FloatArray, weights: FloatArray, *, shift: float, tail: float) -> tuple[float, float]:
    """Return the quantiles of the resampled ratios; NaN if a resample's baseline is 0."""
    means = np.exp(logs @ weights.T / weights.sum(axis=1)) - shift
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = means[0] / means[1]
    if not np.isfinite(ratios).all():
        return math.nan, math.nan
    low, high = np.quantile(ratios, [tail, 1 - tail])
    return float(low), float(high)


@lru_cache(maxsize=4)
def cluster_weights(instances: tuple[int, ...], n_resamples: int, seed: int) -> FloatArray:
    """Return how often each pair is drawn: float64, (n_resamples, n_pairs), read-only.

    A pair's count is multinomial within its instance, the instance's own count is multinomial among instances; with
    one instance only, its pairs are drawn.
    """
    rng = generator(seed, "bootstrap")
    numbers = np.array(instances, dtype=np.int64)
    n_instances = int(numbers.max()) + 1
    drawn = rng.multinomial(n_instances, np.full(n_instances, 1 / n_instances), size=n_resamples)
    weights = np.zeros((n_resamples, numbers.size))
    for instance in range(n_instances):
        members = np.flatnonzero(numbers == instance)
        n_members = members.size
        weights[:, members] = rng.multinomial(drawn[:, instance] * n_members, np.full(n_members, 1 / n_members))
    weights.flags.writeable = False
    return weights


def mean_instance_deviation_percent(values: FloatArray, instances: IndexArray) -> float:
    """Return the mean over instances of the standard deviation over seeds, in per cent of the instance's mean.

    The "±" of Gasse et al. 2019, table 2. Instances with one seed are left out; NaN if none is left.
    """
    deviations: list[float] = []
    for instance in np.unique(instances):
        own = values[instances == instance]
        if own.size > 1 and own.mean() > 0:
            deviations.append(100 * float(own.std(ddof=1) / own.mean()))
    return float(np.mean(deviations)) if deviations else math.nan


def _expanded_tail(n: int) -> float:
    """Return the tail probability whose normal quantile is the Student quantile, blown up by √(n/(n−1))."""
    if n < 2:
        return TAIL
    quantile = float(stats.t.ppf(TAIL, n - 1)) * math.sqrt(n / (n - 1))
    return 0.5 * math.erfc(-quantile / math.sqrt(2))
