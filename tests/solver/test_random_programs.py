"""Three hundred random programs: with the search's features, the guard at work the answer is SCIP's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gnn_branching.contracts import BranchingState, CandidateSet, FeatureRanges, FloatArray
from gnn_branching.feature_schema import ROW_FEATURES, SEARCH_FEATURES, SEARCH_SCHEMA, VARIABLE_FEATURES
from gnn_branching.solver.settings import SolveLimits
from gnn_branching.solver.solve import prepare_solve

N_PROGRAMS = 300
FALLBACKS = {"guard-gain", "no-lp"}


def wide(n_features: int) -> FloatArray:
    return np.stack([np.full(n_features, -1e9), np.full(n_features, 1e9)])


class Contrary:
    """Choose what SCIP's pseudocosts like least: at home everywhere, and bad at it."""

    name, feature_schema, candidate_set = "contrary", SEARCH_SCHEMA, CandidateSet.LP
    ranges = FeatureRanges(row=wide(len(ROW_FEATURES)), edge=wide(1), variable=wide(len(VARIABLE_FEATURES)))

    def scores(self, state: BranchingState) -> FloatArray:
        assert state.search_features is not None
        return -state.search_features[:, SEARCH_FEATURES.index("pseudocost_score")]


def write_program(path: Path, seed: int) -> None:
    """Write a program of integer, binary and continuous variables, bounded or not, feasible or not."""
    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(6, 16)), int(rng.integers(3, 9))

    def terms(row: FloatArray) -> str:
        return " ".join(f"{value:+g} x{j}" for j, value in enumerate(row) if value) or "0 x0"

    rows = rng.integers(-9, 20, (m, n)) * (rng.random((m, n)) < 0.7)
    sense = rng.choice(["<=", ">=", "="], m, p=[0.6, 0.3, 0.1])
    sides = (rows.sum(axis=1) * rng.uniform(0.2, 2.0, m)).round()
    kinds = rng.choice(["General", "Binary", ""], n, p=[0.6, 0.3, 0.1])
    lines = [
        str(rng.choice(["Minimize", "Maximize"])),
        f" obj: {terms(rng.integers(1, 21, n) * rng.choice([-1, 1], n))}",
        "Subject To",
    ]
    lines += [f" c{i}: {terms(rows[i])} {sense[i]} {sides[i]:g}" for i in range(m)]
    lines += ["Bounds", *(f" 0 <= x{j} <= {rng.integers(1, 30)}" for j in range(n) if kinds[j] != "Binary")]
    for kind in ("General", "Binary"):
        lines += [kind, *(f" x{j}" for j in range(n) if kinds[j] == kind)]
    path.write_text("\n".join([*lines, "End", ""]))


HALVES = (("guarded", range(N_PROGRAMS // 2)), ("verified-top", range(N_PROGRAMS // 2, N_PROGRAMS)))


@pytest.mark.parametrize(("preset", "seeds"), HALVES)
def test_the_answer_is_scips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, preset: str, seeds: range) -> None:
    monkeypatch.setattr("gnn_branching.solver.guard.SHARE_OF_ITERATIONS", 10.0)
    decided, reasons = 0, set[str]()
    for seed in seeds:
        path = tmp_path / f"{seed}.lp"
        write_program(path, seed)
        theirs, ours = (
            prepare_solve(
                path, rule=rule, settings="default", seed=0, limits=SolveLimits(), rule_settings=settings
            ).run()
            for rule, settings in (("relpscost", "plain"), (Contrary(), preset))
        )
        assert ours.status is theirs.status, path
        assert ours.primal_bound == pytest.approx(theirs.primal_bound, rel=1e-6, abs=1e-6), path
        decided += ours.rule.n_decisions
        reasons |= set(ours.rule.fallbacks)
    assert decided > 100
    assert reasons <= FALLBACKS
    assert preset != "guarded" or "guard-gain" in reasons
