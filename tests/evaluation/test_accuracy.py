from __future__ import annotations

import pytest

from gnn_branching.contracts import AgreementRecord
from gnn_branching.evaluation.statistics.branching_agreement import (
    agreement_by_depth,
    overall_agreement,
    wilson_interval,
)


def record(agrees: bool, depth: int = 0) -> AgreementRecord:
    return AgreementRecord(
        instance="i", depth=depth, n_candidates=9, agrees=agrees, in_top=True, score_ratio=1.0 if agrees else 0.5
    )


def test_depths_are_binned_and_agreement_decays_with_them() -> None:
    records = [record(True), *(record(i % 2 == 0, depth=100 + i) for i in range(10))]
    root, deep = agreement_by_depth(records)
    assert (root.first_depth, root.last_depth, root.n_tree_nodes, root.agreement) == (0, 0, 1, 1.0)
    assert (deep.first_depth, deep.last_depth, deep.n_tree_nodes, deep.agreement) == (64, 109, 10, 0.5)
    assert deep.low < 0.5 < deep.high
    assert (deep.in_top, deep.score_ratio) == (1.0, pytest.approx(0.75, rel=1e-12))
    everything = overall_agreement(records)
    assert everything is not None
    assert everything.agreement == pytest.approx(6 / 11, rel=1e-12)
    assert overall_agreement([]) is None
    assert agreement_by_depth([]) == ()


def test_wilson_interval_against_published_values() -> None:
    """Newcombe 1998, table I: 81 of 263 gives .2553 to .3662; 0 of 20 gives 0 to .1611."""
    assert wilson_interval(81 / 263, 263) == pytest.approx((0.2553, 0.3662), rel=0, abs=5e-5)
    assert wilson_interval(0.0, 20) == pytest.approx((0.0, 0.1611), rel=0, abs=5e-5)
