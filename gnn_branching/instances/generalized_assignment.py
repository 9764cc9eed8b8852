"""Generalised assignment instances of type C (Martello and Toth 1990; Chu and Beasley 1997)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gnn_branching.instances.family import Family
from gnn_branching.instances.lp_format import LinearProgram

LOWEST_COST, HIGHEST_COST = 10, 50
LOWEST_RESOURCE, HIGHEST_RESOURCE = 5, 25
CAPACITY_SHARE = 0.8
"""An agent's capacity over the resource it would need for its equal share of the jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneralizedAssignment:
    """Data of an instance.

    Args:
        cost: Of each job at each agent, integers of shape (agents, jobs).
        resource: That each job needs at each agent, integers of the same shape.
        capacity: Of each agent, integers of shape (agents,).
    """

    cost: NDArray[np.int64]
    resource: NDArray[np.int64]
    capacity: NDArray[np.int64]


def draw_generalized_assignment(seed: int, n_agents: int, n_jobs: int) -> GeneralizedAssignment:
    """Draw the data of an instance."""
    rng = np.random.default_rng(seed)
    cost = rng.integers(LOWEST_COST, HIGHEST_COST, (n_agents, n_jobs), endpoint=True)
    resource = rng.integers(LOWEST_RESOURCE, HIGHEST_RESOURCE, (n_agents, n_jobs), endpoint=True)
    # Rounded down: the resources are integers, so the same assignments fit.
    capacity = np.floor(CAPACITY_SHARE * resource.sum(axis=1) / n_agents).astype(np.int64)
    return GeneralizedAssignment(cost=cost, resource=resource, capacity=capacity)


def write_generalized_assignment(path: Path, seed: int, n_agents: int, n_jobs: int) -> None:
    """Write a generalised assignment instance: every job to one agent, within the agents' capacities, at least cost."""
    data = draw_generalized_assignment(seed, n_agents, n_jobs)
    program = LinearProgram(sense="Minimize")
    for agent in range(n_agents):
        names = [f"x{agent}_{job}" for job in range(n_jobs)]
        program.binaries += names
        program.objective += zip(data.cost[agent].tolist(), names, strict=True)
        program.at_most(list(zip(data.resource[agent].tolist(), names, strict=True)), int(data.capacity[agent]))
    for job in range(n_jobs):
        program.equal([(1, f"x{agent}_{job}") for agent in range(n_agents)], 1)
    program.write_lp(path)


FAMILY = Family(
    name="generalized-assignment",
    write=write_generalized_assignment,
    sizes={
        # SCIP's default rule takes 5 to 32 s and 233 to 2770 tree nodes (four seeds); with fewer jobs an agent
        # it is often done at the root.
        "easy": {"n_agents": 10, "n_jobs": 200},
        "medium": {"n_agents": 15, "n_jobs": 300},
        "hard": {"n_agents": 20, "n_jobs": 400},
    },
)
