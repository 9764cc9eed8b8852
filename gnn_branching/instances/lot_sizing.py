"""Multi-item capacitated lot sizing instances with setup times, setup costs and overtime."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gnn_branching.instances.family import Family
from gnn_branching.instances.lp_format import LinearProgram

LOWEST_DEMAND, HIGHEST_DEMAND = 20, 99
NO_DEMAND_PROBABILITY = 0.15
LOWEST_SETUP_TIME, HIGHEST_SETUP_TIME = 10, 39
LOWEST_SETUP_COST, HIGHEST_SETUP_COST = 200, 599
SETUP_COST_SPREAD = 0.1
"""Setup costs vary from period to period by this share, up or down."""
LOWEST_HOLDING_COST, HIGHEST_HOLDING_COST = 1.0, 4.0
OVERTIME_COST = 60
SETUPS_PER_PERIOD = 0.6
"""Share of the items for whose setups the capacity has time in every period."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LotSizing:
    """Data of an instance.

    Args:
        demand: Of each item in each period, integers of shape (items, periods).
        setup_time: Of each item, integers of shape (items,).
        setup_cost: Of each item in each period, shape (items, periods).
        holding_cost: Of a unit of each item over a period, shape (items,).
        capacity: Units of time in every period before overtime.
    """

    demand: NDArray[np.int64]
    setup_time: NDArray[np.int64]
    setup_cost: NDArray[np.float64]
    holding_cost: NDArray[np.float64]
    capacity: int


def draw_lot_sizing(seed: int, n_items: int, n_periods: int, tightness: float = 1.0) -> LotSizing:
    """Draw the data of an instance.

    Args:
        seed: What it depends on, beside the other arguments.
        n_items: Items.
        n_periods: Periods.
        tightness: Factor of the capacity; the smaller, the more overtime.
    """
    rng = np.random.default_rng(seed)
    demand = rng.integers(LOWEST_DEMAND, HIGHEST_DEMAND, (n_items, n_periods), endpoint=True)
    demand[rng.random(demand.shape) < NO_DEMAND_PROBABILITY] = 0
    setup_time = rng.integers(LOWEST_SETUP_TIME, HIGHEST_SETUP_TIME, n_items, endpoint=True)
    mean_setup_cost = rng.integers(LOWEST_SETUP_COST, HIGHEST_SETUP_COST, n_items, endpoint=True)
    factor = rng.uniform(1 - SETUP_COST_SPREAD, 1 + SETUP_COST_SPREAD, demand.shape)
    return LotSizing(
        demand=demand,
        setup_time=setup_time,
        setup_cost=mean_setup_cost[:, None] * factor,
        holding_cost=rng.uniform(LOWEST_HOLDING_COST, HIGHEST_HOLDING_COST, n_items),
        capacity=int(tightness * (demand.sum() / n_periods + SETUPS_PER_PERIOD * setup_time.sum())),
    )


def write_lot_sizing(path: Path, seed: int, n_items: int, n_periods: int, tightness: float = 1.0) -> None:
    """Write a lot sizing instance: what to produce when, at least cost of setups, stock and overtime.

    Variables: of each item and period production ``x``, setup ``y`` (binary) and stock ``s`` at the end of the period;
    overtime ``o`` of each period. Rows: the balance of stock; no production without a setup; the capacity.
    """
    data = draw_lot_sizing(seed, n_items, n_periods, tightness)
    program = LinearProgram(sense="Minimize")
    for item in range(n_items):
        _add_item(program, data, item)
    for period in range(n_periods):
        program.objective.append((OVERTIME_COST, f"o{period}"))
        production = [(1.0, f"x{item}_{period}") for item in range(n_items)]
        setups = [(float(data.setup_time[item]), f"y{item}_{period}") for item in range(n_items)]
        program.at_most([*production, *setups, (-1.0, f"o{period}")], data.capacity)
    program.write_lp(path)


def _add_item(program: LinearProgram, data: LotSizing, item: int) -> None:
    demand = data.demand[item].tolist()
    for period, amount in enumerate(demand):
        x, y, s = (f"{kind}{item}_{period}" for kind in "xys")
        program.binaries.append(y)
        program.objective += [(float(data.setup_cost[item, period]), y), (float(data.holding_cost[item]), s)]
        before = [(1.0, f"s{item}_{period - 1}")] if period else []
        program.equal([*before, (1.0, x), (-1.0, s)], amount)
        most = min(data.capacity, sum(demand[period:]))
        # Without demand to come, the row says that nothing is produced, and a zero coefficient would say no more.
        program.at_most([(1.0, x), (-float(most), y)] if most else [(1.0, x)], 0)


FAMILY = Family(
    name="lot-sizing",
    write=write_lot_sizing,
    sizes={
        "easy": {"n_items": 7, "n_periods": 14},
        "medium": {"n_items": 10, "n_periods": 18},
        "hard": {"n_items": 12, "n_periods": 24},
    },
)
