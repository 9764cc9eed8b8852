"""Solve a CVXPY problem with a policy: CVXPY's interface to SCIP, with the rule attached before it optimises."""

from __future__ import annotations

from typing import Any

import cvxpy
import numpy as np
import pyscipopt
from cvxpy.reductions.solvers.conic_solvers.scip_conif import SCIP

from gnn_branching import LearnedBranching, load_policy
from gnn_branching.contracts import Policy


class LearnedSCIP(SCIP):
    """CVXPY's SCIP with a policy; the last solve's rule is ``rule``."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def name(self) -> str:
        """Return a name that CVXPY does not know yet, as it asks of solvers that users bring."""
        return "LEARNED_SCIP"

    def _solve(self, model: pyscipopt.Model, *arguments: Any) -> dict[str, Any]:
        self.rule = LearnedBranching.attach(model, self.policy)
        solution: dict[str, Any] = super()._solve(model, *arguments)
        return solution


def covering(rows: list[list[int]], costs: list[int]) -> cvxpy.Problem:
    """Return a set-covering problem: rows of columns, at least one of which must be taken."""
    take = cvxpy.Variable(len(costs), boolean=True)
    covers = np.array([[column in row for column in range(len(costs))] for row in rows], dtype=float)
    return cvxpy.Problem(cvxpy.Minimize(np.array(costs) @ take), [covers @ take >= 1])


if __name__ == "__main__":
    problem, solver = covering([[0, 1], [1, 2], [0, 2]], [1, 1, 1]), LearnedSCIP(load_policy("set-cover"))
    print(problem.solve(solver=solver), solver.rule.statistics)
