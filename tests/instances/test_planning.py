"""Lot sizing and generalised assignment: drawn as stated, and written so that SCIP finds the optimum of the data."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linprog

from gnn_branching.instances import get_family
from gnn_branching.instances.generalized_assignment import draw_generalized_assignment, write_generalized_assignment
from gnn_branching.instances.lot_sizing import OVERTIME_COST, LotSizing, draw_lot_sizing, write_lot_sizing
from gnn_branching.solver.problem import read_problem


def optimum(path: Path) -> float:
    model = read_problem(path)
    model.hideOutput()
    model.optimize()
    assert model.getStatus() == "optimal"
    return float(model.getObjVal())


def cheapest_plan(data: LotSizing) -> float:
    """Try every choice of setups of one item; what is left is a linear program, written here in other terms.

    Variables: production and overtime of each period; stock is production less demand, summed up.
    """
    demand, n = data.demand[0], data.demand.shape[1]
    best = np.inf
    for setups in product((0, 1), repeat=n):
        holding = data.holding_cost[0] * np.arange(n, 0, -1)
        cost = np.concatenate([holding, np.full(n, OVERTIME_COST)])
        constant = data.setup_cost[0] @ setups - holding @ demand
        never_short = np.hstack([-np.tril(np.ones((n, n))), np.zeros((n, n))])
        capacity = np.hstack([np.eye(n), -np.eye(n)])
        limits = np.concatenate([-np.cumsum(demand), data.capacity - data.setup_time[0] * np.array(setups)])
        most = [min(data.capacity, demand[t:].sum()) * setups[t] for t in range(n)]
        bounds = [(0, m) for m in most] + [(0, None)] * n
        found = linprog(cost, np.vstack([never_short, capacity]), limits, bounds=bounds)
        if found.status == 0:
            best = min(best, found.fun + constant)
    return float(best)


@pytest.mark.parametrize("seed", range(3))
def test_lot_sizing_has_the_optimum_of_its_data(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "small.lp"
    write_lot_sizing(path, seed, n_items=1, n_periods=4, tightness=2.5)
    expected = cheapest_plan(draw_lot_sizing(seed, 1, 4, 2.5))
    assert np.isfinite(expected)
    assert optimum(path) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("seed", [0, 3, 4])
def test_generalized_assignment_has_the_optimum_of_its_data(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "small.lp"
    write_generalized_assignment(path, seed, n_agents=3, n_jobs=7)
    data, jobs = draw_generalized_assignment(seed, 3, 7), np.arange(7)
    costs = []
    for agents in product(range(3), repeat=7):
        load = np.bincount(agents, data.resource[list(agents), jobs], minlength=3)
        if (load <= data.capacity).all():
            costs.append(data.cost[list(agents), jobs].sum())
    assert optimum(path) == pytest.approx(min(costs), rel=1e-9)


def test_lot_sizing_is_drawn_as_stated() -> None:
    draws = [draw_lot_sizing(seed, 7, 14) for seed in range(60)]
    demand = np.concatenate([d.demand.ravel() for d in draws])
    positive = demand[demand > 0]
    # 5880 draws: three standard errors of the share are 0.014, of the mean 0.97.
    assert (demand == 0).mean() == pytest.approx(0.15, abs=0.014)
    assert positive.mean() == pytest.approx((20 + 99) / 2, abs=1.0)
    assert (positive.min(), positive.max()) == (20, 99)
    times = np.concatenate([d.setup_time for d in draws])
    assert (times.min(), times.max()) == (10, 39)
    for data in draws:
        assert data.capacity == int(data.demand.sum() / 14 + 0.6 * data.setup_time.sum())
        spread = data.setup_cost.max(axis=1) / data.setup_cost.min(axis=1)
        assert (spread <= 1.1 / 0.9).all()
        assert (data.setup_cost >= 0.9 * 200).all()
        assert (data.setup_cost <= 1.1 * 599).all()
        assert ((data.holding_cost >= 1) & (data.holding_cost <= 4)).all()


def test_generalized_assignment_is_drawn_as_stated() -> None:
    data = draw_generalized_assignment(0, 20, 200)
    assert (data.cost.min(), data.cost.max()) == (10, 50)
    assert (data.resource.min(), data.resource.max()) == (5, 25)
    exact = 0.8 * data.resource.sum(axis=1) / 20
    assert ((data.capacity <= exact) & (data.capacity > exact - 1)).all()


@pytest.mark.parametrize(
    ("name", "n_variables", "n_rows"),
    [("lot-sizing", 3 * 7 * 14 + 14, 2 * 7 * 14 + 14), ("generalized-assignment", None, None)],
)
def test_size_and_determinism(tmp_path: Path, name: str, n_variables: int | None, n_rows: int | None) -> None:
    family = get_family(name)
    first, again, other = (tmp_path / f"{i}.lp" for i in range(3))
    for path, seed in ((first, 3), (again, 3), (other, 4)):
        family.write(path, seed, **family.arguments("easy"))
    assert first.read_bytes() == again.read_bytes()
    assert first.read_bytes() != other.read_bytes()
    model = read_problem(first)
    if name == "generalized-assignment":
        arguments = family.arguments("easy")
        agents, jobs = int(arguments["n_agents"]), int(arguments["n_jobs"])
        n_variables, n_rows = agents * jobs, agents + jobs
    assert (model.getNVars(), model.getNConss()) == (n_variables, n_rows)
