"""The optimum never changes: whatever a policy says, the status and the optimal value are SCIP's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from time import sleep

import numpy as np
import pytest

from gnn_branching.contracts import BranchingState, CandidateSet, FloatArray, SolveFigures
from gnn_branching.solver.rule import FunctionPolicy, RuleSettings
from gnn_branching.solver.settings import PRESETS, SolveLimits
from gnn_branching.solver.solve import prepare_solve
from tests.conftest import SMALL_FAMILIES
from tests.solver.edge_cases import EDGE_CASES

LIMITS = SolveLimits(time_limit_seconds=120)


def arbitrary(state: BranchingState) -> FloatArray:
    """Score candidates by something that is neither good nor constant."""
    return np.sin(1000.0 * state.variable_features[state.candidates].sum(axis=1))


def misbehaving(seed: int) -> FunctionPolicy:
    """Return a policy that fails in every way at random tree nodes."""
    rng = np.random.default_rng(seed)

    def scores(state: BranchingState) -> FloatArray:
        kind = rng.integers(6)
        if kind == 0:
            return np.full(state.n_candidates, np.nan)
        if kind == 1:
            raise RuntimeError("a policy failed")
        if kind == 2:
            sleep(0.002)
        if kind == 3:
            return np.zeros(state.n_candidates + 1)
        if kind == 4:
            return np.full(state.n_candidates, np.inf)
        return arbitrary(state)

    return FunctionPolicy(function=scores, name="misbehaving")


def assert_same_answer(path: Path, settings: str, policy: FunctionPolicy, rule: RuleSettings | str) -> SolveFigures:
    reference = prepare_solve(path, rule="relpscost", settings=settings, seed=0, limits=LIMITS).run()
    learned = prepare_solve(path, rule=policy, settings=settings, seed=0, limits=LIMITS, rule_settings=rule).run()
    assert learned.status == reference.status
    assert reference.status.solved
    if np.isfinite(reference.primal_bound):
        assert learned.primal_bound == pytest.approx(reference.primal_bound, rel=1e-6, abs=1e-6)
    else:
        assert learned.primal_bound == reference.primal_bound
    return learned


@pytest.mark.parametrize("family", SMALL_FAMILIES)
@pytest.mark.parametrize(("settings", "half"), [("paper", slice(4, None)), ("default", slice(5))])
def test_on_forty_instances_of_four_families(
    small_instances: Mapping[str, list[Path]], family: str, settings: str, half: slice
) -> None:
    policy = FunctionPolicy(function=arbitrary, name="arbitrary")
    n_decisions = 0
    for path in small_instances[family][half]:
        n_decisions += assert_same_answer(path, settings, policy, "plain").rule.n_decisions
    assert n_decisions > 20


@pytest.mark.parametrize("case", EDGE_CASES)
@pytest.mark.parametrize("kind", CandidateSet)
def test_on_edge_cases(tmp_path: Path, case: str, kind: CandidateSet) -> None:
    path = tmp_path / f"{case}.lp"
    path.write_text(EDGE_CASES[case])
    policy = FunctionPolicy(function=arbitrary, name="arbitrary", candidate_set=kind)
    assert_same_answer(path, "paper", policy, "plain")
    assert_same_answer(path, "default", policy, "verified")


@pytest.mark.parametrize("preset", PRESETS)
def test_with_every_preset(small_instances: Mapping[str, list[Path]], preset: str) -> None:
    policy = FunctionPolicy(function=arbitrary, name="arbitrary")
    for family in SMALL_FAMILIES:
        assert_same_answer(small_instances[family][0], "paper", policy, preset)


@pytest.mark.parametrize("family", SMALL_FAMILIES)
def test_with_a_policy_that_misbehaves(small_instances: Mapping[str, list[Path]], family: str) -> None:
    reasons: set[str] = set()
    for seed, path in enumerate(small_instances[family][:5]):
        figures = assert_same_answer(path, "paper", misbehaving(seed), RuleSettings(time_limit_seconds=60.0))
        reasons |= set(figures.rule.fallbacks)
    assert {"score-not-finite", "RuntimeError in policy", "wrong-number-of-scores"} <= reasons
