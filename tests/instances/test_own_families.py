from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import LinearConstraint, milp
from scipy.sparse import lil_array

from gnn_branching.config import load_config
from gnn_branching.contracts import CandidateSet
from gnn_branching.instances import get_family
from gnn_branching.instances.generalized_assignment import draw_generalized_assignment
from gnn_branching.instances.lot_sizing import OVERTIME_COST, LotSizing, draw_lot_sizing
from gnn_branching.solver.problem import read_problem


def test_lot_sizing_data_follow_the_text() -> None:
    draws = [draw_lot_sizing(seed, 10, 30) for seed in range(30)]
    demand = np.concatenate([draw.demand.ravel() for draw in draws])
    wanted = demand[demand > 0]
    assert (demand == 0).mean() == pytest.approx(0.15, abs=0.015)
    assert (wanted.min(), wanted.max()) == (20, 99)
    assert wanted.mean() == pytest.approx(59.5, abs=1.0)
    setup_time = np.concatenate([draw.setup_time for draw in draws])
    assert (setup_time.min(), setup_time.max()) == (10, 39)
    holding = np.concatenate([draw.holding_cost for draw in draws])
    assert 1.0 <= holding.min() < 1.1 < 3.9 < holding.max() <= 4.0
    for draw in draws:
        assert draw.capacity == int(draw.demand.sum() / 30 + 0.6 * draw.setup_time.sum())
        highest, lowest = draw.setup_cost.max(axis=1), draw.setup_cost.min(axis=1)
        assert (lowest >= 0.9 * 200).all()
        assert (highest <= 1.1 * 599).all()
        assert (highest / lowest <= 1.1 / 0.9).all()
        assert (highest / lowest > 1.1).all()


def test_lot_sizing_rows_follow_the_text(tmp_path: Path) -> None:
    kind = get_family("lot-sizing")
    kind.write(tmp_path / "a.lp", 3, n_items=4, n_periods=6)
    data = draw_lot_sizing(3, 4, 6)
    model = read_problem(tmp_path / "a.lp")
    rows = [(model.getValsLinear(row), model.getLhs(row), model.getRhs(row)) for row in model.getConss()]
    seen = {"balance": 0, "setup": 0, "capacity": 0}
    for terms, left, right in rows:
        kinds = {name[0] for name in terms}
        if left == right:
            seen["balance"] += 1
            ((item, period),) = [index(name) for name in terms if name.startswith("x")]
            assert right == data.demand[item, period]
            before = {f"s{item}_{period - 1}": 1.0} if period else {}
            assert terms == {**before, f"x{item}_{period}": 1.0, f"s{item}_{period}": -1.0}
        elif "o" in kinds:
            seen["capacity"] += 1
            assert right == data.capacity
            assert len(terms) == 2 * 4 + 1
            for name, coefficient in terms.items():
                times = {"x": 1.0, "o": -1.0}
                assert coefficient == (data.setup_time[index(name)[0]] if name[0] == "y" else times[name[0]])
        else:
            seen["setup"] += 1
            ((item, period),) = {index(name) for name in terms}
            most = min(data.capacity, data.demand[item, period:].sum())
            assert terms.get(f"y{item}_{period}", 0.0) == -most
            assert (terms[f"x{item}_{period}"], right) == (1.0, 0.0)
    assert seen == {"balance": 24, "setup": 24, "capacity": 6}
    kinds_of = {name: [v for v in model.getVars() if v.name[0] == name] for name in "xyso"}
    assert {v.vtype() for v in kinds_of["y"]} == {"BINARY"}
    assert {v.vtype() for name in "xso" for v in kinds_of[name]} == {"CONTINUOUS"}
    assert {v.getLbOriginal() for v in model.getVars()} == {0.0}
    assert {v.getObj() for v in kinds_of["o"]} == {60.0}
    assert {v.getObj() for v in kinds_of["x"]} == {0.0}


@pytest.mark.parametrize(("seed", "tightness"), [(0, 1.0), (1, 1.0), (2, 0.8)])
def test_lot_sizing_has_the_optimum_of_another_formulation(seed: int, tightness: float, tmp_path: Path) -> None:
    get_family("lot-sizing").write(tmp_path / "a.lp", seed, n_items=3, n_periods=5, tightness=tightness)
    model = read_problem(tmp_path / "a.lp")
    model.setParam("limits/gap", 0.0)
    model.optimize()
    best = cheapest_by_facility_location(draw_lot_sizing(seed, 3, 5, tightness))
    assert model.getObjVal() == pytest.approx(best, rel=1e-6)


def cheapest_by_facility_location(data: LotSizing) -> float:
    """Solve with HiGHS: the share of each demand that is made in each period, as in facility location; no stock."""
    n_items, n_periods = data.demand.shape
    shares = [
        (item, made, sold)
        for item in range(n_items)
        for made, sold in itertools.combinations_with_replacement(range(n_periods), 2)
        if data.demand[item, sold]
    ]
    n_shares, n_setups = len(shares), n_items * n_periods
    n_variables = n_shares + n_setups + n_periods
    cost = np.zeros(n_variables)
    cost[n_shares : n_shares + n_setups] = data.setup_cost.ravel()
    cost[n_shares + n_setups :] = OVERTIME_COST
    sold_once = lil_array((n_setups, n_variables))
    needs_setup = lil_array((n_shares, n_variables))
    capacity = lil_array((n_periods, n_variables))
    for column, (item, made, sold) in enumerate(shares):
        cost[column] = data.holding_cost[item] * data.demand[item, sold] * (sold - made)
        sold_once[item * n_periods + sold, column] = 1
        needs_setup[column, column] = 1
        needs_setup[column, n_shares + item * n_periods + made] = -1
        capacity[made, column] = data.demand[item, sold]
    for period in range(n_periods):
        for item in range(n_items):
            capacity[period, n_shares + item * n_periods + period] = data.setup_time[item]
        capacity[period, n_shares + n_setups + period] = -1
    is_wanted = (data.demand.ravel() > 0).astype(float)
    upper = np.concatenate([np.ones(n_shares + n_setups), np.full(n_periods, np.inf)])
    result = milp(
        cost,
        integrality=np.concatenate([np.zeros(n_shares), np.ones(n_setups), np.zeros(n_periods)]),
        bounds=(0, upper),
        constraints=[
            LinearConstraint(sold_once.tocsr(), is_wanted, is_wanted),
            LinearConstraint(needs_setup.tocsr(), -np.inf, 0),
            LinearConstraint(capacity.tocsr(), -np.inf, data.capacity),
        ],
        options={"mip_rel_gap": 0.0},
    )
    return float(result.fun)


@pytest.mark.parametrize("name", ["lot-sizing", "generalized-assignment"])
def test_configs_take_scips_own_settings(name: str) -> None:
    config = load_config(Path(f"configs/{name}.toml"))
    assert config.instances.family == name
    assert set(config.instances.sizes) <= set(get_family(name).sizes)
    assert (config.collection.settings, config.collection.candidates) == ("default", CandidateSet.LP)
    assert config.collection.n_train_samples == 1000
    assert (config.training.loss, config.training.schedule) == ("pairwise", "one-cycle")
    assert config.model.search == "head"


def index(name: str) -> tuple[int, ...]:
    return tuple(int(part) for part in name[1:].split("_"))


def test_generalized_assignment_data_follow_the_text() -> None:
    draws = [draw_generalized_assignment(seed, 5, 40) for seed in range(20)]
    cost = np.concatenate([draw.cost.ravel() for draw in draws])
    resource = np.concatenate([draw.resource.ravel() for draw in draws])
    assert (cost.min(), cost.max()) == (10, 50)
    assert (resource.min(), resource.max()) == (5, 25)
    assert cost.mean() == pytest.approx(30, abs=0.7)
    assert resource.mean() == pytest.approx(15, abs=0.4)
    for draw in draws:
        assert draw.capacity.tolist() == [int(0.8 * row.sum() / 5) for row in draw.resource]


def test_generalized_assignment_rows_follow_the_text(tmp_path: Path) -> None:
    get_family("generalized-assignment").write(tmp_path / "a.lp", 2, n_agents=3, n_jobs=7)
    data = draw_generalized_assignment(2, 3, 7)
    model = read_problem(tmp_path / "a.lp")
    assert model.getObjectiveSense() == "minimize"
    assert {v.name: v.getObj() for v in model.getVars()} == {
        f"x{agent}_{job}": data.cost[agent, job] for agent in range(3) for job in range(7)
    }
    assert {v.vtype() for v in model.getVars()} == {"BINARY"}
    rows = model.getConss()
    for agent, row in enumerate(rows[:3]):
        assert model.getValsLinear(row) == {f"x{agent}_{job}": data.resource[agent, job] for job in range(7)}
        assert model.getRhs(row) == data.capacity[agent]
    for job, row in enumerate(rows[3:]):
        assert model.getValsLinear(row) == {f"x{agent}_{job}": 1.0 for agent in range(3)}
        assert model.getLhs(row) == model.getRhs(row) == 1.0
    assert len(rows) == 10


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_generalized_assignment_has_the_optimum_of_enumeration(seed: int, tmp_path: Path) -> None:
    get_family("generalized-assignment").write(tmp_path / "a.lp", seed, n_agents=3, n_jobs=8)
    model = read_problem(tmp_path / "a.lp")
    model.optimize()
    data = draw_generalized_assignment(seed, 3, 8)
    agents = np.array(list(itertools.product(range(3), repeat=8)))
    jobs = np.arange(8)
    used = np.stack([np.where(agents == agent, data.resource[agent], 0).sum(axis=1) for agent in range(3)], axis=1)
    costs = data.cost[agents, jobs].sum(axis=1)[(used <= data.capacity).all(axis=1)]
    if costs.size == 0:
        assert model.getStatus() == "infeasible"
    else:
        assert model.getObjVal() == pytest.approx(costs.min(), rel=1e-9)
