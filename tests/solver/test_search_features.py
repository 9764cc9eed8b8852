"""The search's features are what PySCIPOpt and SCIP's functions say, in proportion, whatever the objective's unit."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyscipopt
import pytest

from gnn_branching.contracts import CandidateSet, FloatArray
from gnn_branching.feature_schema import SEARCH_FEATURES, SEARCH_SCHEMA
from gnn_branching.solver.candidates import Candidates
from gnn_branching.solver.environment import address_of, scip_library
from gnn_branching.solver.features import FeatureExtractor
from gnn_branching.solver.problem import read_problem
from gnn_branching.solver.search_features import LEAST_PROPORTION, extract_search
from gnn_branching.solver.settings import SolveLimits, apply_settings
from tests.conftest import SMALL_FAMILIES
from tests.solver.probe import Probe, probe

COLUMN = {name: position for position, name in enumerate(SEARCH_FEATURES)}
SCIP = ctypes.CDLL(str(scip_library()))


def ask(name: str, *arguments: int, result: type = ctypes.c_double) -> float:
    """Call one of SCIP's functions by ctypes: addresses, and numbers as the ints that enumerations are."""
    function = getattr(SCIP, name)
    function.restype = result
    return function(*(ctypes.c_void_p(a) if a > 9 else ctypes.c_int(a) for a in arguments))


def share(value: float, other: float) -> float:
    return value / (value + other) if value > 0 else 0.0


def log_proportions(values: FloatArray, other: float) -> FloatArray:
    if other <= 0:
        return np.zeros_like(values)
    return np.log(np.clip(values / other, LEAST_PROPORTION, 1 / LEAST_PROPORTION))


def expected_features(model: pyscipopt.Model, candidates: Candidates) -> dict[str, FloatArray]:
    """Compute the columns from PySCIPOpt's getters, and from SCIP's functions where it has none."""
    scip, addresses = address_of(model), candidates.addresses.tolist()
    values = candidates.lp_values
    fraction = np.array([model.feasFrac(value) for value in values])
    dirs = pyscipopt.SCIP_BRANCHDIR
    pseudo = {
        direction: np.array([model.getVarPseudocost(variable, direction) for variable in candidates.variables])
        for direction in (dirs.DOWNWARDS, dirs.UPWARDS)
    }
    down, up = pseudo[dirs.DOWNWARDS] * fraction, pseudo[dirs.UPWARDS] * (1 - fraction)
    scores = np.array(
        [
            model.getVarPseudocostScore(variable, value)
            for variable, value in zip(candidates.variables, values, strict=True)
        ]
    )
    columns = {
        "fractionality": np.minimum(fraction, 1 - fraction),
        "pseudocost_down": log_proportions(down, down.mean()),
        "pseudocost_up": log_proportions(up, up.mean()),
        "pseudocost_score": log_proportions(scores, scores.mean()),
        "pseudocost_score_to_best": log_proportions(scores, scores.max()),
        "domain_left": np.array(
            [
                (v.getUbLocal() - v.getLbLocal()) / (v.getUbGlobal() - v.getLbGlobal())
                if v.getUbGlobal() - v.getLbGlobal() < model.infinity()
                else 1.0
                for v in candidates.variables
            ]
        ),
    }
    for way, number in (("down", 0), ("up", 1)):
        counts = [ask("SCIPgetVarPseudocostCount", scip, address, number) for address in addresses]
        columns[f"n_{way}"] = np.log1p(counts)
        variances = [ask("SCIPgetVarPseudocostVariance", scip, address, number, 0) for address in addresses]
        mean = pseudo[dirs.UPWARDS if number else dirs.DOWNWARDS]
        columns[f"deviation_{way}"] = np.array(
            [share(np.sqrt(max(v, 0.0)), m) for v, m in zip(variances, mean, strict=True)]
        )
    for name, function in (
        ("inference_score", "SCIPgetVarAvgInferenceScore"),
        ("conflict_score", "SCIPgetVarConflictScore"),
        ("cutoff_score", "SCIPgetVarAvgCutoffScore"),
    ):
        found = np.array([ask(function, scip, address) for address in addresses])
        columns[name] = np.array([share(value, found.mean()) for value in found])

    has_incumbent = model.getNSols() > 0
    upper, lower, root = (ask(f"SCIPget{name}", scip) for name in ("Upperbound", "Lowerbound", "LowerboundRoot"))
    objective = ask("SCIPgetLPObjval", scip)
    estimate = ask("SCIPgetLocalTransEstimate", scip)
    n_nodes, n_open = model.getNNodes(), model.getNNodesLeft()
    standing = {
        "depth": np.log1p(model.getDepth()),
        "plunge_depth": np.log1p(model.getPlungeDepth()),
        "n_candidates": np.log(len(candidates)),
        "n_nodes": np.log1p(n_nodes),
        "open_nodes": share(n_open, n_nodes),
        "has_incumbent": float(has_incumbent),
        "gap_closed": share(max(lower - root, 0.0), upper - lower) if has_incumbent else 0.0,
        "bound_position": share(max(objective - lower, 0.0), max(upper - objective, 0.0)) if has_incumbent else 0.0,
        "estimate_position": share(max(estimate - objective, 0.0), max(upper - objective, 0.0))
        if has_incumbent
        else 0.0,
    }
    if has_incumbent:
        gap = max(upper - objective, 0.0)
        for way, number, gains in (("down", 0, down), ("up", 1, up)):
            is_learned = ask("SCIPgetPseudocostCount", scip, number, 0) > 0
            columns[f"gain_{way}_to_gap"] = np.array([share(gain, gap) if is_learned else 0.0 for gain in gains])
    return columns | {name: np.full(len(candidates), value) for name, value in standing.items()}


@pytest.mark.parametrize("settings", ["paper", "default"])
@pytest.mark.parametrize("family", SMALL_FAMILIES)
def test_features_are_what_scip_says(small_instances: Mapping[str, list[Path]], family: str, settings: str) -> None:
    varied: set[str] = set()

    def check(model: pyscipopt.Model, candidates: Candidates) -> None:
        found = FeatureExtractor(SEARCH_SCHEMA).extract(model, candidates).search_features
        assert found is not None
        assert found.shape == (len(candidates), len(SEARCH_FEATURES))
        for name, expected in expected_features(model, candidates).items():
            column = found[:, COLUMN[name]]
            np.testing.assert_allclose(column, expected, rtol=1e-9, atol=1e-12, err_msg=name)
            if np.ptp(column):
                varied.add(name)

    assert sum(probe(path, check, settings=settings, n_nodes=15) for path in small_instances[family]) > 10
    assert {"pseudocost_score", "n_up", "n_down"} <= varied


def test_the_last_strong_branching_is_told_with_its_age(small_instances: Mapping[str, list[Path]]) -> None:
    seen = []

    def check(model: pyscipopt.Model, candidates: Candidates) -> None:
        before = extract_search(candidates)
        known = before[:, COLUMN["is_strong_branching_known"]]
        np.testing.assert_array_equal(before[known == 0][:, COLUMN["strong_branching_score"]], 0.0)
        model.startStrongbranch()
        variable = candidates.variables[-1]
        down, up, *_ = model.getVarStrongbranch(variable, -1)
        model.endStrongbranch()
        after = extract_search(candidates)[-1]
        gains = [max(bound - model.getLPObjVal(), 0.0) for bound in (down, up)]
        scores = [
            model.getVarPseudocostScore(v, value)
            for v, value in zip(candidates.variables, candidates.lp_values, strict=True)
        ]
        if max(map(abs, (down, up))) >= model.infinity():
            return
        assert after[COLUMN["is_strong_branching_known"]] == 1.0
        assert after[COLUMN["strong_branching_age"]] == 0.0
        score = np.array([model.getBranchScoreMultiple(variable, gains)])
        expected = log_proportions(score, float(np.mean(scores)))
        np.testing.assert_allclose(after[COLUMN["strong_branching_score"]], expected[0], rtol=1e-6)
        seen.append(before[known == 1][:, COLUMN["strong_branching_age"]])

    for path in small_instances["set-cover"][:3]:
        probe(path, check, n_nodes=12)
    assert len(seen) > 5
    assert np.concatenate(seen).max() > 0, "what is known of earlier tree nodes has aged"


@pytest.mark.parametrize("factor", [1e-3, 250.0])
def test_no_feature_changes_with_the_unit_of_the_objective(
    small_instances: Mapping[str, list[Path]], factor: float
) -> None:
    def features_of(path: Path, scale: float) -> list[FloatArray]:
        model = read_problem(path)
        apply_settings(model, "paper", seed=1, limits=SolveLimits(node_limit=12))
        # Whatever looks at differences of objectives must not take another way: only branching is compared.
        model.setHeuristics(pyscipopt.SCIP_PARAMSETTING.OFF)
        model.setPresolve(pyscipopt.SCIP_PARAMSETTING.OFF)
        objective = model.getObjective() * scale
        model.setObjective(objective, model.getObjectiveSense())
        found: list[FloatArray] = []
        rule = Probe(lambda _, candidates: keep(found, candidates), CandidateSet.LP)
        model.includeBranchrule(rule, "probe", "test", 3_000_000, -1, 1.0)
        model.optimize()
        if rule.error is not None:
            raise rule.error
        return found

    plain, scaled = (features_of(small_instances["set-cover"][0], scale) for scale in (1.0, factor))
    assert len(plain) > 3
    assert len(plain) == len(scaled)
    for one, other in zip(plain, scaled, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


def keep(found: list[FloatArray], candidates: Candidates) -> FloatArray:
    found.append(extract_search(candidates))
    return -np.arange(len(candidates), dtype=float)
