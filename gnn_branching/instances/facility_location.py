"""Capacitated facility location instances (Cornuéjols, Sridharan and Thizy 1991), as in Gasse et al. 2019."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gnn_branching.contracts import FloatArray
from gnn_branching.instances.lp_format import LinearProgram

LOWEST_DEMAND, HIGHEST_DEMAND = 5, 35
LOWEST_CAPACITY, HIGHEST_CAPACITY = 10, 160
LOWEST_FIXED_COST, HIGHEST_FIXED_COST = 0, 90
LOWEST_COST_PER_ROOT, HIGHEST_COST_PER_ROOT = 100, 110
"""What a facility costs, per square root of its capacity before this is scaled; the fixed cost is added."""
COST_PER_DISTANCE = 10.0
"""Cost of a unit of demand over the side of the square in which customers and facilities lie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FacilityLocation:
    """Data of an instance.

    Args:
        demand: Of each customer, integers of shape (customers,).
        capacity: Of each facility, whole numbers of shape (facilities,).
        opening_cost: Of each facility, shape (facilities,).
        serving_cost: Of all a customer's demand from a facility, shape (customers, facilities).
    """

    demand: NDArray[np.int64]
    capacity: FloatArray
    opening_cost: FloatArray
    serving_cost: FloatArray


def draw_facility_location(seed: int, n_customers: int, n_facilities: int, ratio: float) -> FacilityLocation:
    """Draw the data of an instance; the capacities add up to ``ratio`` times the demands, but for rounding."""
    rng = np.random.default_rng(seed)
    demand = rng.integers(LOWEST_DEMAND, HIGHEST_DEMAND, n_customers, endpoint=True)
    capacity = rng.integers(LOWEST_CAPACITY, HIGHEST_CAPACITY, n_facilities, endpoint=True)
    per_root = rng.integers(LOWEST_COST_PER_ROOT, HIGHEST_COST_PER_ROOT, n_facilities, endpoint=True)
    fixed = rng.integers(LOWEST_FIXED_COST, HIGHEST_FIXED_COST, n_facilities, endpoint=True)
    customers, facilities = rng.random((n_customers, 1, 2)), rng.random((1, n_facilities, 2))
    distance = np.linalg.norm(customers - facilities, axis=2)
    return FacilityLocation(
        demand=demand,
        capacity=np.rint(capacity * ratio * demand.sum() / capacity.sum()),
        opening_cost=np.asarray(per_root * np.sqrt(capacity) + fixed, dtype=np.float64),
        serving_cost=COST_PER_DISTANCE * distance * demand[:, None],
    )


def write_facility_location(
    path: Path, seed: int, n_customers: int, n_facilities: int, ratio: float, continuous_assignment: bool
) -> None:
    """Write a facility location instance: which facilities to open, and what share of whose demand they serve.

    Rows: every customer is served in full; no facility serves more than its capacity; the open ones have the capacity
    for all demand; nobody is served by a closed one. The last two tighten the LP.
    """
    data = draw_facility_location(seed, n_customers, n_facilities, ratio)
    program = LinearProgram(sense="Minimize")
    opened = [f"y{facility}" for facility in range(n_facilities)]
    served = [[f"x{customer}_{facility}" for facility in range(n_facilities)] for customer in range(n_customers)]
    every = [name for names in served for name in names]
    program.objective += zip(data.opening_cost.tolist(), opened, strict=True)
    program.objective += zip(data.serving_cost.ravel().tolist(), every, strict=True)
    program.binaries += opened
    (program.at_most_one if continuous_assignment else program.binaries).extend(every)
    for names in served:
        program.at_least([(1, name) for name in names], 1)
    demand, capacity = data.demand.tolist(), data.capacity.tolist()
    for facility, name in enumerate(opened):
        load = [(demand[customer], served[customer][facility]) for customer in range(n_customers)]
        program.at_most([*load, (-capacity[facility], name)], 0)
    program.at_least(list(zip(capacity, opened, strict=True)), sum(demand))
    for names in served:
        for share, facility_name in zip(names, opened, strict=True):
            program.at_most([(1, share), (-1, facility_name)], 0)
    program.write_lp(path)
