"""How often a policy agrees with strong branching on the tree nodes that it itself visits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from gnn_branching.contracts import AgreementRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthAgreement:
    """Agreement over a range of depths.

    Args:
        first_depth: Shallowest depth in it.
        last_depth: Deepest depth in it.
        n_tree_nodes: Tree nodes counted.
        agreement: Share that agrees, in [0, 1].
        low: Lower end of the 95 % Wilson interval.
        high: Upper end.
        in_top: Share whose five best hold the expert's best.
        score_ratio: Mean ratio of expert scores.
    """

    first_depth: int
    last_depth: int
    n_tree_nodes: int
    agreement: float
    low: float
    high: float
    in_top: float
    score_ratio: float


def agreement_by_depth(
    records: Iterable[AgreementRecord], edges: Sequence[int] = (0, 1, 2, 4, 8, 16, 32, 64)
) -> tuple[DepthAgreement, ...]:
    """Aggregate over ranges of depth [edge, next edge); the last is open; empty ranges are left out.

    Nodes near the root decide the tree's size, deep ones are many: that is why they are apart.
    """
    everything = list(records)
    parts: list[DepthAgreement] = []
    for first, following in zip(edges, [*edges[1:], math.inf], strict=True):
        own = [record for record in everything if first <= record.depth < following]
        if own:
            deepest = max(record.depth for record in own)
            last = deepest if math.isinf(following) else int(following) - 1
            parts.append(_aggregate(own, first_depth=first, last_depth=last))
    return tuple(parts)


def overall_agreement(records: Sequence[AgreementRecord]) -> DepthAgreement | None:
    """Aggregate over all depths; None without records."""
    if not records:
        return None
    depths = [record.depth for record in records]
    return _aggregate(records, first_depth=min(depths), last_depth=max(depths))


def depth_range(first: int, last: int) -> str:
    """Return ``3`` or ``4–7``."""
    return str(first) if first == last else f"{first}–{last}"


def _aggregate(records: Sequence[AgreementRecord], *, first_depth: int, last_depth: int) -> DepthAgreement:
    n = len(records)
    agreement = sum(record.agrees for record in records) / n
    low, high = wilson_interval(agreement, n)
    return DepthAgreement(
        first_depth=first_depth,
        last_depth=last_depth,
        n_tree_nodes=n,
        agreement=agreement,
        low=low,
        high=high,
        in_top=sum(record.in_top for record in records) / n,
        score_ratio=float(np.mean([record.score_ratio for record in records])),
    )


def wilson_interval(share: float, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % score interval of a share of ``n`` (Wilson 1927)."""
    interval = binomtest(round(share * n), n).proportion_ci(confidence_level=0.95, method="wilson")
    return float(interval.low), float(interval.high)
