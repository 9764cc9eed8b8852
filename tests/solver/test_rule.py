"""The plug-in's own promises: settings, hand-overs, statistics, refusals."""

from __future__ import annotations

import ctypes
import gc
import pickle
import re
import weakref
from collections.abc import Mapping
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pyscipopt
import pytest

from gnn_branching.config import ModelConfig
from gnn_branching.contracts import FEATURE_SCHEMA, BranchingState, CandidateSet, FloatArray, InputError, Policy
from gnn_branching.evaluation.solves.agreement import agreement_along_tree, compare_scores
from gnn_branching.policy import load_policy
from gnn_branching.solver.candidates import current_candidates, pseudocost_scores
from gnn_branching.solver.problem import read_problem
from gnn_branching.solver.rule import RULE_NAME, FunctionPolicy, LearnedBranching, RuleSettings
from gnn_branching.solver.settings import PRESETS, SolveLimits
from gnn_branching.solver.solve import prepare_solve
from gnn_branching.solver.tree import TreeRecorder
from gnn_branching.solver.verify import verify_best
from tests.policy.conftest import make_network, save
from tests.solver.test_optimum import arbitrary

NO_LIMITS = SolveLimits()


@pytest.fixture
def auction(small_instances: Mapping[str, list[Path]]) -> Path:
    return small_instances["combinatorial-auction"][1]


def solve_with(path: Path, rule: RuleSettings | str, function=arbitrary):  # type: ignore[no-untyped-def]
    policy = FunctionPolicy(function=function, name="test")
    return prepare_solve(path, rule=policy, settings="paper", seed=0, limits=NO_LIMITS, rule_settings=rule).run()


def test_a_function_is_a_policy() -> None:
    assert isinstance(FunctionPolicy(function=arbitrary), Policy)


def test_statistics_count_what_happened(auction: Path) -> None:
    rule = solve_with(auction, "plain").rule
    assert rule.n_decisions > 3
    assert rule.n_fallbacks == 0
    assert 0 < rule.inference_seconds < rule.decision_seconds
    assert rule.feature_seconds + rule.inference_seconds <= rule.decision_seconds


def test_the_rule_branches_on_the_best_score(auction: Path) -> None:
    prepared = prepare_solve(
        auction, rule=FunctionPolicy(function=arbitrary), settings="paper", seed=0, limits=SolveLimits(node_limit=1)
    )
    chosen = []

    def scores(state: BranchingState) -> FloatArray:
        values = arbitrary(state)
        chosen.append(float(values.max()))
        return values

    prepared = prepare_solve(
        auction, rule=FunctionPolicy(function=scores), settings="paper", seed=0, limits=SolveLimits(node_limit=30)
    )
    recorder = TreeRecorder.attach(prepared.model, prepared.learned)
    prepared.run()
    recorded = [record.score for record in recorder.records if record.variable]
    np.testing.assert_allclose(recorded, chosen[: len(recorded)], rtol=0, atol=0)
    assert len(recorded) > 3


def test_depth_and_number_of_decisions_are_limited(auction: Path) -> None:
    assert solve_with(auction, RuleSettings(max_decisions=3)).rule.n_decisions == 3
    limited = solve_with(auction, RuleSettings(max_decisions=3)).rule
    assert limited.fallbacks["decision-limit"] > 0
    shallow = solve_with(auction, RuleSettings(max_depth=1)).rule
    assert 0 < shallow.n_decisions <= 3


@pytest.mark.parametrize("gives_logits", [True, False])
def test_pseudocosts_have_a_say_in_a_large_tree(auction: Path, gives_logits: bool) -> None:
    pseudocosts, n_decisions_before = [], []
    after = 4

    def uniform(state: BranchingState) -> FloatArray:
        rule = prepared.learned
        assert rule is not None
        n_decisions_before.append(rule.statistics.n_decisions)
        pseudocosts.append(pseudocost_scores(current_candidates(prepared.model, CandidateSet.LP)))
        return np.zeros(state.n_candidates)

    prepared = prepare_solve(
        auction,
        rule=FunctionPolicy(function=uniform, gives_logits=gives_logits),
        settings="paper",
        seed=0,
        limits=SolveLimits(node_limit=40),
        rule_settings=RuleSettings(pseudocosts_after=after),
    )
    recorder = TreeRecorder.attach(prepared.model, prepared.learned)
    prepared.run()
    recorded = [record.score for record in recorder.records if record.variable]
    expected = [
        np.log(scores.max()) if gives_logits and n >= after else 0.0
        for n, scores in zip(n_decisions_before, pseudocosts, strict=True)
    ]
    assert len(recorded) > 2 * after
    np.testing.assert_allclose(recorded, expected[: len(recorded)], rtol=1e-12)


def test_warm_up_and_confidence_hand_over(auction: Path) -> None:
    assert solve_with(auction, RuleSettings(warm_up_nodes=2)).rule.fallbacks["warm-up"] == 2
    hesitant = solve_with(auction, RuleSettings(confidence=1.0)).rule
    assert hesitant.n_decisions == 0 or hesitant.fallbacks["not-confident"] > 0


def test_a_slow_policy_is_used_once(auction: Path) -> None:
    rule = solve_with(auction, RuleSettings(time_limit_seconds=0.0)).rule
    assert rule.n_decisions == 1
    assert rule.fallbacks["time-limit"] > 0


def test_a_slow_policy_is_not_asked_again_even_if_its_scores_are_no_use(auction: Path) -> None:
    calls = []

    def scores(state: BranchingState) -> FloatArray:
        calls.append(state.n_candidates)
        return np.full(state.n_candidates, np.nan)

    rule = solve_with(auction, RuleSettings(time_limit_seconds=0.0), scores).rule
    assert len(calls) == rule.fallbacks["score-not-finite"] == 1
    assert rule.fallbacks["time-limit"] > 0


def test_verification_uses_what_it_proves(small_instances: Mapping[str, list[Path]]) -> None:
    path = small_instances["set-cover"][1]
    verified = solve_with(path, "verified")
    assert verified.n_strong_branching_lp_iterations > 0
    assert verified.n_fair_nodes == verified.n_tree_nodes + 2 * verified.rule.n_reductions


def test_verification_ends_at_a_depth(
    small_instances: Mapping[str, list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    depths: list[int] = []

    def spy(model: pyscipopt.Model, *arguments: Any, **options: Any) -> Any:
        depths.append(model.getDepth())
        return verify_best(model, *arguments, **options)

    monkeypatch.setattr("gnn_branching.solver.rule.verify_best", spy)
    settings = RuleSettings(strong_branching_top_k=3, strong_branching_max_depth=1)
    path = small_instances["combinatorial-auction"][1]
    assert solve_with(path, settings).rule.n_decisions > len(depths)
    assert set(depths) == {0, 1}


def test_fair_nodes_charge_strong_branching_rules(small_instances: Mapping[str, list[Path]]) -> None:
    path = small_instances["set-cover"][1]
    random = prepare_solve(path, rule="random", settings="paper", seed=0, limits=NO_LIMITS).run()
    assert random.n_fair_nodes == random.n_tree_nodes
    strong = [
        prepare_solve(path, rule="fullstrong", settings="paper", seed=0, limits=NO_LIMITS).run()
        for path in small_instances["combinatorial-auction"]
    ]
    assert any(figures.n_fair_nodes > figures.n_tree_nodes for figures in strong)


@pytest.mark.parametrize("constraint", ["SOS1", "indicator", "nonlinear"])
def test_constraints_that_are_no_rows_are_left_to_scip(constraint: str) -> None:
    model = pyscipopt.Model()
    model.hideOutput()
    rng = np.random.default_rng(3)
    weights = rng.integers(5, 40, size=(4, 20))
    x = [model.addVar(vtype="B", obj=-float(value)) for value in rng.integers(10, 60, size=20)]
    y = [model.addVar(lb=0, ub=3) for _ in range(3)]
    for line in weights:
        model.addCons(pyscipopt.quicksum(float(w) * v for w, v in zip(line, x, strict=True)) <= float(line.sum() // 2))
    if constraint == "SOS1":
        model.addConsSOS1(y)
        model.addCons(pyscipopt.quicksum(y) >= 0.5 + 0.1 * x[0])
    elif constraint == "indicator":
        model.addConsIndicator(y[0] + y[1] <= 1.5, binvar=x[0])
        model.addCons(y[0] + y[1] >= 0.2 + 1.4 * x[1])
    else:
        model.addCons(y[0] * y[1] + y[2] * y[2] <= 2.5 - 0.3 * x[0])
        model.addCons(y[0] + y[1] + y[2] >= 1.9)
    model.setParams({"presolving/maxrounds": 0, "separating/maxroundsroot": 0, "separating/maxrounds": 0})
    rule = LearnedBranching.attach(model, arbitrary)
    model.optimize()
    statistics = rule.statistics
    assert model.getStatus() == "optimal"
    assert statistics.n_decisions == 0
    assert statistics.n_fallbacks > 0
    assert all(
        reason in (f"constraint-{constraint}", "external-candidates", "no-lp") for reason in statistics.fallbacks
    )


def test_a_model_is_solved_twice(auction: Path) -> None:
    model = read_problem(auction)
    rule = LearnedBranching.attach(model, arbitrary)
    model.optimize()
    first, value = rule.statistics, model.getObjVal()
    model.freeTransform()
    model.optimize()
    assert model.getObjVal() == pytest.approx(value, rel=1e-9)
    assert 0 < rule.statistics.n_decisions < model.getNTotalNodes()
    assert first.n_decisions > 0


def test_two_models_live_side_by_side(small_instances: Mapping[str, list[Path]]) -> None:
    paths = [small_instances["combinatorial-auction"][1], small_instances["set-cover"][1]]
    models = [read_problem(path) for path in paths]
    rules = [LearnedBranching.attach(model, arbitrary) for model in models]
    for model in models:
        model.optimize()
    assert [model.getStatus() for model in models] == ["optimal", "optimal"]
    assert all(rule.statistics.n_decisions > 0 for rule in rules)


def test_models_in_two_threads_share_a_policy(small_instances: Mapping[str, list[Path]], tmp_path: Path) -> None:
    policy = load_policy(save(tmp_path / "shared", make_network(ModelConfig(hidden_size=12))))
    paths = [small_instances["combinatorial-auction"][1], small_instances["set-cover"][1]]

    def prepare() -> tuple[list[pyscipopt.Model], list[LearnedBranching]]:
        models = [read_problem(path) for path in paths]
        return models, [LearnedBranching.attach(model, policy) for model in models]

    def outcomes(models: list[pyscipopt.Model], rules: list[LearnedBranching]) -> list[tuple[object, ...]]:
        return [
            (model.getStatus(), model.getObjVal(), model.getNTotalNodes(), model.getNLPIterations(), n.n_decisions)
            for model, n in zip(models, (rule.statistics for rule in rules), strict=True)
        ]

    alone, together = prepare(), prepare()
    for model in alone[0]:
        model.optimize()
    threads = [Thread(target=model.optimizeNogil) for model in together[0]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes(*together) == outcomes(*alone)
    assert all(outcome[0] == "optimal" and outcome[4] > 0 for outcome in outcomes(*together))


def test_a_rule_in_a_second_model_hands_over(small_instances: Mapping[str, list[Path]]) -> None:
    models = [read_problem(small_instances[family][1]) for family in ("combinatorial-auction", "set-cover")]
    rule = LearnedBranching.attach(models[0], arbitrary)
    models[1].includeBranchrule(rule, "stolen", "", 2_000_000, -1, 1.0)
    for model in models:
        model.optimize()
        assert model.getStatus() == "optimal"
        assert rule.statistics.n_decisions == 0
        assert set(rule.statistics.fallbacks) == {"included-in-another-model"}


def test_a_model_is_freed_at_once_when_nobody_needs_it(auction: Path) -> None:
    gc.collect()
    gc.disable()
    try:
        prepared = prepare_solve(
            auction, rule=FunctionPolicy(function=arbitrary), settings="paper", seed=0, limits=NO_LIMITS
        )
        TreeRecorder.attach(prepared.model, prepared.learned)
        prepared.run()
        assert prepared.learned is not None
        assert prepared.learned.statistics.n_decisions > 0
        model = weakref.ref(prepared.model)
        del prepared
        assert model() is None
    finally:
        gc.enable()


def test_a_model_in_a_cycle_is_freed_without_an_error(auction: Path, capfd: pytest.CaptureFixture[str]) -> None:
    prepared = prepare_solve(
        auction, rule=FunctionPolicy(function=arbitrary), settings="paper", seed=0, limits=SolveLimits(node_limit=9)
    )
    TreeRecorder.attach(prepared.model, prepared.learned)
    prepared.run()
    cycle: list[object] = [prepared]
    cycle.append(cycle)
    model = weakref.ref(prepared.model)
    del prepared, cycle
    gc.collect()
    assert model() is None
    captured = capfd.readouterr()
    assert "ERROR" not in captured.out + captured.err


def test_scips_log_goes_on_after_branching(auction: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = read_problem(auction)
    model.hideOutput(False)
    model.setParam("display/freq", 1)
    LearnedBranching.attach(model, arbitrary)
    model.optimize()
    ctypes.CDLL(None).fflush(None)
    out = capfd.readouterr().out
    assert len(re.findall(r"\|\s*\d+ \|", out)) > 3
    assert "SCIP Status" in out


def test_a_copied_model_goes_on_without_the_rule(auction: Path) -> None:
    model = read_problem(auction)
    LearnedBranching.attach(model, arbitrary)
    copy = pyscipopt.Model(sourceModel=model, origcopy=True)
    copy.hideOutput()
    assert f"branching/{RULE_NAME}/priority" not in copy.getParams()
    copy.optimize()
    model.optimize()
    assert copy.getObjVal() == pytest.approx(model.getObjVal(), rel=1e-9)


def test_scip_lists_the_rule_like_any_other(auction: Path, tmp_path: Path) -> None:
    model = read_problem(auction)
    LearnedBranching.attach(model, arbitrary)
    model.optimize()
    model.writeStatistics(str(tmp_path / "statistics.txt"))
    line = next(line for line in (tmp_path / "statistics.txt").read_text().splitlines() if RULE_NAME in line)
    assert int(line.split()[4]) > 3


def test_refusals(auction: Path) -> None:
    model = read_problem(auction)
    rule = LearnedBranching.attach(model, arbitrary)
    with pytest.raises(InputError, match="has a learned branching rule already"):
        LearnedBranching.attach(model, arbitrary)
    with pytest.raises(TypeError, match="belongs to one model"):
        pickle.dumps(rule)
    with pytest.raises(InputError, match="preset 'none' is unknown; there are guarded"):
        LearnedBranching.attach(read_problem(auction), arbitrary, "none")
    other = FunctionPolicy(function=arbitrary, feature_schema="other")
    with pytest.raises(InputError, match=f"allowed: {FEATURE_SCHEMA}"):
        LearnedBranching.attach(read_problem(auction), other)
    with pytest.raises(InputError, match=r"confidence = 1.5 must lie in \[0, 1\]"):
        RuleSettings(confidence=1.5)
    with pytest.raises(InputError, match="time_limit_seconds = nan must be at least 0"):
        RuleSettings(time_limit_seconds=float("nan"))
    with pytest.raises(InputError, match="max_decisions = -1 must be at least 0"):
        RuleSettings(max_decisions=-1)
    with pytest.raises(InputError, match="pseudocosts_after = -1 must be at least 0"):
        RuleSettings(pseudocosts_after=-1)


def test_presets_are_valid() -> None:
    assert {"plain", "verified", "with-pseudocosts", "cautious", "top-of-tree", "warm"} <= set(PRESETS)


def test_the_tree_is_recorded_whole(auction: Path) -> None:
    prepared = prepare_solve(
        auction, rule=FunctionPolicy(function=arbitrary), settings="paper", seed=0, limits=NO_LIMITS
    )
    recorder = TreeRecorder.attach(prepared.model, prepared.learned)
    figures = prepared.run()
    numbers = [record.number for record in recorder.records]
    assert len(numbers) == len(set(numbers)) == figures.n_tree_nodes
    assert sum(bool(record.variable) for record in recorder.records) == figures.rule.n_decisions
    known = {0, *numbers}
    assert all(record.parent in known for record in recorder.records)
    assert recorder.records[0].depth == 0
    bounds = [record.lower_bound for record in recorder.records if np.isfinite(record.lower_bound)]
    # The problem is maximised: no node's bound exceeds the root's.
    assert max(bounds) == pytest.approx(recorder.records[0].lower_bound, rel=1e-9)


def test_strong_branching_agrees_with_itself(auction: Path) -> None:
    record = compare_scores(np.array([1.0, 3.0, 2.0]), np.array([5.0, 7.0, 7.0]), instance="x", depth=2)
    assert record.agrees
    assert record.score_ratio == 1.0
    wrong = compare_scores(np.array([9.0, 3.0, 2.0]), np.array([5.0, 10.0, 7.0]), instance="x", depth=2)
    assert not wrong.agrees
    assert wrong.in_top
    assert wrong.score_ratio == 0.5
    policy = FunctionPolicy(function=arbitrary)
    alone = prepare_solve(auction, rule=policy, settings="paper", seed=0, limits=NO_LIMITS).run()
    records = agreement_along_tree(auction, policy, settings="paper", seed=0, limits=NO_LIMITS)
    assert len(records) == alone.rule.n_decisions
