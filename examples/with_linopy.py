"""Solve a linopy model with a policy: linopy writes an LP file, SCIP reads it, and the values come back by label."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import linopy
import numpy as np
import pandas as pd
import pyscipopt
import xarray as xr

from gnn_branching import LearnedBranching, load_policy
from gnn_branching.contracts import Policy


def solve(problem: linopy.Model, policy: Policy) -> dict[str, xr.DataArray]:
    """Solve, and return the values of each of linopy's variables."""
    model = pyscipopt.Model()
    model.hideOutput()
    with TemporaryDirectory() as folder:
        model.readProblem(problem.to_file(Path(folder) / "problem.lp"))
    LearnedBranching.attach(model, policy)
    model.optimize()
    value = {variable.name: model.getVal(variable) for variable in model.getVars()}
    at = np.vectorize(lambda label: value.get(f"x{label}", np.nan), otypes=[float])  # linopy names variables so
    return {name: xr.apply_ufunc(at, variable.labels) for name, variable in problem.variables.items()}


def covering(rows: list[list[int]], costs: list[int]) -> linopy.Model:
    """Return a set-covering problem: rows of columns, at least one of which must be taken."""
    problem = linopy.Model()
    take = problem.add_variables(binary=True, coords=[pd.RangeIndex(len(costs), name="column")], name="take")
    covers = xr.DataArray(
        [[int(column in row) for column in range(len(costs))] for row in rows],
        dims=("row", "column"),
        coords={"column": range(len(costs))},
    )
    problem.add_constraints((covers * take).sum("column") >= 1, name="covered")
    problem.add_objective((xr.DataArray(costs, dims="column", coords={"column": range(len(costs))}) * take).sum())
    return problem


if __name__ == "__main__":
    print(solve(covering([[0, 1], [1, 2], [0, 2]], [1, 1, 1]), load_policy("set-cover"))["take"].values)
