"""Solve a PuLP model with a policy: PuLP builds a PySCIPOpt model, the rule is attached, PuLP reads the solution."""

from __future__ import annotations

import pulp

from gnn_branching import LearnedBranching, load_policy
from gnn_branching.contracts import Policy


def solve(problem: pulp.LpProblem, policy: Policy) -> LearnedBranching:
    """Solve, leave the values in the problem's variables, and return the rule with its statistics."""
    solver = pulp.SCIP_PY(msg=False)
    solver.buildSolverModel(problem)
    rule = LearnedBranching.attach(problem.solverModel, policy)
    solver.callSolver(problem)
    problem.assignStatus(solver.findSolutionValues(problem))
    return rule


def covering(rows: list[list[int]], costs: list[int]) -> pulp.LpProblem:
    """Return a set-covering problem: rows of columns, at least one of which must be taken."""
    problem = pulp.LpProblem("covering", pulp.LpMinimize)
    take = [problem.add_variable(f"x{column}", cat="Binary") for column in range(len(costs))]
    problem += pulp.lpDot(costs, take)
    for row in rows:
        problem += pulp.lpSum(take[column] for column in row) >= 1
    return problem


if __name__ == "__main__":
    small = covering([[0, 1], [1, 2], [0, 2]], [1, 1, 1])
    print(solve(small, load_policy("set-cover")).statistics)
    print(pulp.LpStatus[small.status], [variable.value() for variable in small.variables()])
