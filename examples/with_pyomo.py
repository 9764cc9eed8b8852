"""Solve a Pyomo model with a policy: Pyomo writes a file, SCIP reads it, and the values go back to Pyomo."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pyomo.environ as pyo
import pyscipopt

from gnn_branching import LearnedBranching, load_policy
from gnn_branching.contracts import Policy


def solve(problem: pyo.ConcreteModel, policy: Policy) -> pyscipopt.Model:
    """Solve, set the values of Pyomo's variables, and return SCIP's model; its statistics name the rule ``learned``."""
    model = pyscipopt.Model()
    model.hideOutput()
    with TemporaryDirectory() as folder:
        file, symbols = problem.write(str(Path(folder) / "problem.mps"))
        model.readProblem(file)
    LearnedBranching.attach(model, policy)
    model.optimize()
    named = problem.solutions.symbol_map[symbols].bySymbol
    for variable in model.getVars():
        if variable.name in named:  # SCIP's file has a variable of its own for a constant in the objective
            named[variable.name].set_value(model.getVal(variable), skip_validation=True)
    return model


def covering(rows: list[list[int]], costs: list[int]) -> pyo.ConcreteModel:
    """Return a set-covering problem: rows of columns, at least one of which must be taken."""
    problem = pyo.ConcreteModel()
    problem.take = pyo.Var(range(len(costs)), domain=pyo.Binary)
    problem.cost = pyo.Objective(expr=sum(cost * problem.take[column] for column, cost in enumerate(costs)))
    problem.covered = pyo.Constraint(range(len(rows)), rule=lambda own, row: sum(own.take[c] for c in rows[row]) >= 1)
    return problem


if __name__ == "__main__":
    small = covering([[0, 1], [1, 2], [0, 2]], [1, 1, 1])
    print(solve(small, load_policy("set-cover")).getStatus(), [small.take[column].value for column in range(3)])
