"""The guard: at home it stays out of the way, elsewhere it hands over, and it never changes an optimum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyscipopt
import pytest

from gnn_branching.contracts import (
    FEATURE_SCHEMA,
    BranchingState,
    CandidateIndex,
    CandidateSet,
    FeatureRanges,
    FloatArray,
)
from gnn_branching.dataset.ranges import FeatureRange
from gnn_branching.feature_schema import ROW_FEATURES, VARIABLE_FEATURES
from gnn_branching.policy import list_policies, load_policy
from gnn_branching.solver.candidates import Candidates, pseudocost_scores
from gnn_branching.solver.guard import (
    CHECK_EVERY,
    COME_BACK_AT,
    HAND_OVER_AT,
    LEAST_WEALTH,
    LPS_OF_A_COMPARISON,
    MARGIN,
    MOST_OUTSIDE,
    GainGuard,
    InputGuard,
    share_outside,
)
from gnn_branching.solver.rule import LearnedBranching
from gnn_branching.solver.settings import PRESETS, SolveLimits
from gnn_branching.solver.solve import prepare_solve
from tests.solver.probe import probe, states_of


class Opinion:
    """A policy of any opinion, with the ranges of a trained one."""

    name, feature_schema, candidate_set = "opinion", FEATURE_SCHEMA, CandidateSet.LP

    def __init__(self, ranges: FeatureRanges | None, sign: float) -> None:
        self.ranges, self.sign = ranges, sign

    def scores(self, state: BranchingState) -> FloatArray:
        return self.sign * state.variable_features[state.candidates, VARIABLE_FEATURES.index("solution_frac")]


@pytest.fixture(scope="module")
def auction_ranges(small_instances: Mapping[str, list[Path]]) -> FeatureRanges:
    found = FeatureRange()
    for state in states_of(small_instances["combinatorial-auction"]):
        found.add(state)
    return found.ranges


def test_what_is_outside_is_counted_by_column() -> None:
    low, high = np.array([0.0, -1.0]), np.array([2.0, -1.0])
    inside = [[0.0, -1.0], [2.0 + 2 * MARGIN, -1.0], [-2 * MARGIN, -1.0]]
    outside = [[2.01 + 2 * MARGIN, -1.0], [np.nan, -1.0], [1.0, -0.99]]
    assert share_outside(np.array(inside), low, high) == 0.0
    assert share_outside(np.array(inside + outside), low, high) == 2 / 6, "of the worse of two columns"
    assert share_outside(np.empty((0, 2)), low, high) == 0.0


def test_its_own_family_is_home_and_others_are_not(
    small_instances: Mapping[str, list[Path]], auction_ranges: FeatureRanges
) -> None:
    for family, paths in small_instances.items():
        shares = [InputGuard(auction_ranges).outside(state) for state in states_of(paths[:3])]
        if family == "combinatorial-auction":
            assert max(shares) <= MOST_OUTSIDE
        elif family in ("set-cover", "capacitated-facility-location"):
            assert min(shares) > 2 * MOST_OUTSIDE, family


def test_how_long_a_search_has_gone_on_is_no_strange_model(
    small_instances: Mapping[str, list[Path]], auction_ranges: FeatureRanges
) -> None:
    state = states_of(small_instances["combinatorial-auction"][:1])[0]
    rows, variables = state.row_features.copy(), state.variable_features.copy()
    rows[:, ROW_FEATURES.index("scaled_age")] = variables[:, VARIABLE_FEATURES.index("scaled_age")] = 1e6
    old = replace(state, row_features=rows, variable_features=variables)
    assert InputGuard(auction_ranges).outside(old) == InputGuard(auction_ranges).outside(state) <= MOST_OUTSIDE


def test_the_input_is_looked_at_now_and_then_and_may_come_back(
    small_instances: Mapping[str, list[Path]], auction_ranges: FeatureRanges
) -> None:
    state = states_of(small_instances["combinatorial-auction"][:1])[0]
    strange = replace(state, variable_features=state.variable_features + 100.0)
    guard = InputGuard(auction_ranges)
    assert not guard.is_home(strange)
    assert [guard.is_home(state) for _ in range(3)] == [True] * 3
    assert [guard.is_home(strange) for _ in range(CHECK_EVERY - 4)] == [True] * (CHECK_EVERY - 4), "nobody looks"
    assert not guard.is_home(strange)
    assert [guard.is_home(state) for _ in range(CHECK_EVERY - 1)] == [False] * (CHECK_EVERY - 1)
    assert guard.is_home(state)


def test_a_policy_far_from_home_hands_over_at_once(
    small_instances: Mapping[str, list[Path]], auction_ranges: FeatureRanges
) -> None:
    path = max(small_instances["set-cover"], key=lambda path: probe(path, lambda *_: None))
    policy = Opinion(auction_ranges, 1.0)
    plain, guarded, scip = (
        prepare_solve(path, rule=rule, settings="paper", seed=0, limits=SolveLimits(), rule_settings=preset).run()
        for rule, preset in ((policy, "plain"), (policy, "guarded"), ("relpscost", "plain"))
    )
    assert plain.rule.n_decisions > 0
    assert plain.rule.n_fallbacks == 0
    assert guarded.rule.n_decisions == 0
    assert set(guarded.rule.fallbacks) == {"guard-input"}
    assert guarded.n_tree_nodes == scip.n_tree_nodes, "all of the tree is SCIP's"
    assert plain.primal_bound == pytest.approx(guarded.primal_bound)


def test_without_ranges_nothing_is_guarded(small_instances: Mapping[str, list[Path]]) -> None:
    model = pyscipopt.Model()
    rule = LearnedBranching.attach(model, Opinion(None, 1.0))
    assert rule._input_guard is rule._gain_guard is None
    assert PRESETS["plain"].guard is False


def test_wealth_grows_with_losses_and_falls_with_gains(small_instances: Mapping[str, list[Path]]) -> None:
    bad, good = GainGuard(), GainGuard()
    n_iterations = []

    def check(model: pyscipopt.Model, candidates: Candidates) -> None:
        before = model.getNNodes(), model.getLPObjVal(), model.getNSols()
        scores = pseudocost_scores(candidates)
        for guard, choice in ((bad, scores.argmin()), (good, scores.argmax())):
            guard.compare(candidates, CandidateIndex(int(choice)))
        assert (model.getNNodes(), model.getLPObjVal(), model.getNSols()) == before, "looking changes nothing"
        n_iterations.append(model.getNStrongbranchLPIterations())

    for path in small_instances["combinatorial-auction"]:
        probe(path, check)
    assert bad.n_bets > 5
    assert bad.wealth > HAND_OVER_AT
    assert bad.has_lost
    assert good.n_bets == 0, "who chooses what SCIP chooses is not compared"
    assert good.wealth == 1.0
    assert n_iterations[-1] > 0
    bad.wealth = COME_BACK_AT + 0.1
    assert bad.has_lost
    bad.wealth = COME_BACK_AT
    assert not bad.has_lost
    assert not bad.has_lost


@pytest.mark.parametrize("share", [0.02, 0.2])
def test_comparisons_have_a_budget_and_wait_for_the_first(
    small_instances: Mapping[str, list[Path]], monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    monkeypatch.setattr("gnn_branching.solver.guard.SHARE_OF_ITERATIONS", share)
    guard = GainGuard()
    spent, allowed, n_lps = [0], [], []

    def check(model: pyscipopt.Model, candidates: Candidates) -> None:
        if guard.may_compare(model):
            guard.compare(candidates, CandidateIndex(int(pseudocost_scores(candidates).argmin())))
        spent.append(guard.n_iterations)
        allowed.append(model.getNLPIterations())
        n_lps.append(model.getNLPs())

    probe(max(small_instances["set-cover"], key=lambda path: probe(path, lambda *_: None)), check)
    assert spent[-1] <= share * allowed[-1] + max(np.diff(spent)), "the last may have taken more than was expected"
    affordable = [share * n >= LPS_OF_A_COMPARISON for n in n_lps]
    assert any(affordable) == (share == 0.2), "both sides of the threshold are seen"
    assert [n > 0 for n in spent[1:]] == affordable, "from the first tree node on that can pay for four average LPs"


def test_wealth_has_a_floor(small_instances: Mapping[str, list[Path]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnn_branching.solver.guard.limited_strong_branching", lambda *_, **__: [1.0, 0.0])
    guard = GainGuard()

    def check(model: pyscipopt.Model, candidates: Candidates) -> None:
        guard.compare(candidates, CandidateIndex(int(pseudocost_scores(candidates).argmin())))

    for path in small_instances["combinatorial-auction"]:
        probe(path, check)
    assert guard.n_bets > 5
    assert guard.wealth == LEAST_WEALTH


def test_a_policy_that_chooses_badly_hands_over_and_the_optimum_stays(
    small_instances: Mapping[str, list[Path]], auction_ranges: FeatureRanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gnn_branching.solver.guard.SHARE_OF_ITERATIONS", 10.0)
    reasons: set[str] = set()
    for path in small_instances["combinatorial-auction"]:
        guarded = prepare_solve(
            path, rule=Opinion(auction_ranges, -1.0), settings="paper", seed=0, limits=SolveLimits()
        ).run()
        scip = prepare_solve(path, rule="relpscost", settings="paper", seed=0, limits=SolveLimits()).run()
        assert guarded.primal_bound == pytest.approx(scip.primal_bound, rel=1e-9)
        reasons |= set(guarded.rule.fallbacks)
    assert reasons == {"guard-gain"}


@pytest.mark.parametrize("name", list_policies())
def test_shipped_policies_know_their_ranges(name: str) -> None:
    ranges = load_policy(name).ranges
    assert ranges is not None
    for bounds in (ranges.row, ranges.edge, ranges.variable):
        assert np.isfinite(bounds).all()
        assert (bounds[0] <= bounds[1]).all()
