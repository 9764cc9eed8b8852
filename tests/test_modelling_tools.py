"""Models of other modelling tools reach the rule, and the optimum and the values come back."""

from __future__ import annotations

import numpy as np
import pyscipopt
import pytest

from examples.own_function import most_infeasible
from gnn_branching.contracts import FEATURE_SCHEMA, BranchingState, CandidateSet, FloatArray

N_ROWS, N_COLUMNS = 80, 160


class Counting:
    """A policy that counts how often it is asked."""

    name, feature_schema, candidate_set = "counting", FEATURE_SCHEMA, CandidateSet.LP

    def __init__(self) -> None:
        self.n_asked = 0

    def scores(self, state: BranchingState) -> FloatArray:
        self.n_asked += 1
        return most_infeasible(state)


@pytest.fixture(scope="module")
def rows() -> list[list[int]]:
    rng = np.random.default_rng(3)
    return [sorted(rng.choice(N_COLUMNS, 8, replace=False).tolist()) for _ in range(N_ROWS)]


@pytest.fixture(scope="module")
def costs() -> list[int]:
    return np.random.default_rng(4).integers(50, 100, N_COLUMNS).tolist()


@pytest.fixture(scope="module")
def optimum(rows: list[list[int]], costs: list[int]) -> float:
    model = pyscipopt.Model()
    model.hideOutput()
    take = [model.addVar(vtype="B", obj=cost) for cost in costs]
    for row in rows:
        model.addCons(pyscipopt.quicksum(take[column] for column in row) >= 1)
    model.optimize()
    value: float = model.getObjVal()
    return value


def check(taken: np.ndarray, rows: list[list[int]], costs: list[int], optimum: float, policy: Counting) -> None:
    assert np.isin(np.round(taken, 6), (0, 1)).all()
    assert all(taken[row].sum() > 0.5 for row in rows)
    assert taken @ np.array(costs) == pytest.approx(optimum, rel=1e-9)
    assert policy.n_asked > 0


def test_pulp(rows: list[list[int]], costs: list[int], optimum: float) -> None:
    pytest.importorskip("pulp")
    from examples import with_pulp

    policy, problem = Counting(), with_pulp.covering(rows, costs)
    rule = with_pulp.solve(problem, policy)
    assert rule.statistics.n_decisions == policy.n_asked
    values = problem.variablesDict()
    taken = np.array([values[f"x{column}"].value() for column in range(N_COLUMNS)])
    check(taken, rows, costs, optimum, policy)


def test_pyomo(rows: list[list[int]], costs: list[int], optimum: float) -> None:
    pytest.importorskip("pyomo")
    from examples import with_pyomo

    policy, problem = Counting(), with_pyomo.covering(rows, costs)
    assert with_pyomo.solve(problem, policy).getStatus() == "optimal"
    taken = np.array([problem.take[column].value for column in range(N_COLUMNS)])
    check(taken, rows, costs, optimum, policy)


def test_linopy(rows: list[list[int]], costs: list[int], optimum: float) -> None:
    pytest.importorskip("linopy")
    from examples import with_linopy

    policy = Counting()
    taken = with_linopy.solve(with_linopy.covering(rows, costs), policy)["take"].values
    check(taken, rows, costs, optimum, policy)


def test_cvxpy(rows: list[list[int]], costs: list[int], optimum: float) -> None:
    pytest.importorskip("cvxpy")
    from examples import with_cvxpy

    policy, problem = Counting(), with_cvxpy.covering(rows, costs)
    assert problem.solve(solver=with_cvxpy.LearnedSCIP(policy)) == pytest.approx(optimum, rel=1e-9)
    check(problem.variables()[0].value, rows, costs, optimum, policy)
