"""Property: on random small programs of every kind, a learned rule ends with SCIP's status and optimal value."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyscipopt
import pytest

from gnn_branching.contracts import CandidateSet
from gnn_branching.solver.rule import FunctionPolicy, LearnedBranching, RuleSettings
from tests.solver.test_optimum import arbitrary, misbehaving

N_PROGRAMS = 300
SETTINGS = (
    RuleSettings(),
    RuleSettings(strong_branching_top_k=3),
    RuleSettings(time_limit_seconds=1e-3),  # less than a misbehaving policy may sleep
    RuleSettings(candidates=CandidateSet.PSEUDO),
    RuleSettings(confidence=0.2, warm_up_nodes=2),
)
KINDS = ("binary", "integer", "mixed", "equality", "free", "large-bounds", "infeasible", "unbounded")


def random_program(seed: int) -> pyscipopt.Model:
    """Build a small program; its kind, size and numbers depend on the seed alone."""
    rng = np.random.default_rng(seed)
    kind = KINDS[seed % len(KINDS)]
    n_variables, n_rows = int(rng.integers(4, 16)), int(rng.integers(2, 9))
    model = pyscipopt.Model()
    model.hideOutput()
    types = rng.choice(
        ["B"] if kind == "binary" else ["I", "C", "B"] if kind in ("mixed", "free") else ["I", "B"], n_variables
    )
    upper = {"large-bounds": 1e6, "unbounded": None}.get(kind, 12.0)
    lower = None if kind == "free" else 0.0
    variables = []
    for position, vtype in enumerate(types):
        bounds = {"lb": 0.0, "ub": 1.0} if vtype == "B" else {"lb": lower, "ub": upper}
        variables.append(model.addVar(f"x{position}", vtype=str(vtype), obj=float(rng.integers(-9, 10)), **bounds))
    matrix = rng.integers(-6 if kind in ("mixed", "free", "unbounded") else 0, 10, size=(n_rows, n_variables))
    matrix[rng.random(matrix.shape) < 0.3] = 0
    inside = rng.integers(0, 2 if kind == "binary" else 5, size=n_variables)
    for position, row in enumerate(matrix):
        if not row.any():
            continue
        left = pyscipopt.quicksum(float(a) * v for a, v in zip(row, variables, strict=True))
        value = float(row @ np.where(types == "B", inside % 2, inside))
        if kind == "infeasible" and position == 0:
            model.addCons(2.0 * pyscipopt.quicksum(variables[i] for i in range(n_variables) if types[i] != "C") == 7.0)
        elif kind == "equality" and position < 2:
            model.addCons(left == value)
        else:
            model.addCons(left <= value + float(rng.integers(0, 9)) + 0.5)
    if kind == "free":
        for variable in variables:
            model.addCons(variable >= -float(rng.integers(5, 30)) - 0.5)
            model.addCons(variable <= float(rng.integers(5, 30)) + 0.5)
    if rng.random() < 0.5:
        model.setMaximize()
    # Without presolving, cuts and heuristics the tree is deeper, and the rule has something to do.
    if rng.random() < 0.7:
        model.setParam("presolving/maxrounds", 0)
        model.setParam("separating/maxroundsroot", 0)
        model.setHeuristics(pyscipopt.SCIP_PARAMSETTING.OFF)
    model.setParam("limits/totalnodes", 20_000)
    return model


def outcome(model: pyscipopt.Model) -> tuple[str, float]:
    model.optimize()
    return model.getStatus(), model.getObjVal() if model.getNSols() else np.inf


@pytest.mark.parametrize("kind_of_policy", ["arbitrary", "misbehaving"])
def test_same_status_and_value_on_random_programs(kind_of_policy: str) -> None:
    statuses: dict[str, int] = {}
    n_decisions = 0
    fallbacks: Counter[str] = Counter()
    for seed in range(N_PROGRAMS):
        reference = outcome(random_program(seed))
        model = random_program(seed)
        policy = FunctionPolicy(function=arbitrary) if kind_of_policy == "arbitrary" else misbehaving(seed)
        settings = SETTINGS[seed % len(SETTINGS)]
        rule = LearnedBranching.attach(model, policy, settings)
        learned = outcome(model)
        if "nodelimit" in (reference[0], learned[0]):
            continue
        assert learned[0] == reference[0], seed
        if reference[0] == "optimal":
            assert learned[1] == pytest.approx(reference[1], rel=1e-6, abs=1e-6), seed
        statuses[reference[0]] = statuses.get(reference[0], 0) + 1
        n_decisions += rule.statistics.n_decisions
        fallbacks.update(rule.statistics.fallbacks)
    assert n_decisions > N_PROGRAMS
    assert statuses["optimal"] > N_PROGRAMS // 2
    assert statuses["infeasible"] > 10
    assert {"unbounded", "inforunbd"} & set(statuses)
    for reason in ("score-not-finite", "RuntimeError in policy", "wrong-number-of-scores"):
        assert (fallbacks[reason] > 20) == (kind_of_policy == "misbehaving"), reason
    if kind_of_policy == "misbehaving":
        assert fallbacks["time-limit"] > 20
