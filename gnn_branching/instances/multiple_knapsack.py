"""Multiple knapsack instances (Fukunaga 2011; sizes as in Scavuzzo et al. 2022)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gnn_branching.instances.family import Family
from gnn_branching.instances.lp_format import LinearProgram

LOWEST_WEIGHT, HIGHEST_WEIGHT = 10, 20


def write_multiple_knapsack(path: Path, seed: int, n_items: int, n_knapsacks: int) -> None:
    """Write a multiple knapsack instance: which item into which knapsack, each item at most once.

    Weights are uniform in [10, 20), profits weakly correlated with them, and the capacities add up to half of all
    weights (Fukunaga, "A branch-and-bound algorithm for hard multiple knapsack problems", 2011).
    """
    rng = np.random.default_rng(seed)
    spread = HIGHEST_WEIGHT - LOWEST_WEIGHT
    weights = rng.integers(LOWEST_WEIGHT, HIGHEST_WEIGHT, n_items)
    profits = rng.integers(np.maximum(weights - spread, 1), weights + spread)
    share = int(weights.sum()) // n_knapsacks
    capacities = rng.integers(int(0.4 * share), int(0.6 * share), n_knapsacks)
    capacities[-1] = int(weights.sum()) // 2 - int(capacities[:-1].sum())
    program = LinearProgram(sense="Maximize")
    for item in range(n_items):
        places = [f"x{item}_{knapsack}" for knapsack in range(n_knapsacks)]
        program.binaries += places
        program.objective += [(int(profits[item]), place) for place in places]
        program.at_most([(1, place) for place in places], 1)
    for knapsack in range(n_knapsacks):
        terms = [(int(weights[item]), f"x{item}_{knapsack}") for item in range(n_items)]
        program.at_most(terms, int(capacities[knapsack]))
    program.write_lp(path)


FAMILY = Family(
    name="multiple-knapsack",
    write=write_multiple_knapsack,
    sizes={
        "easy": {"n_items": 100, "n_knapsacks": 6},
        "medium": {"n_items": 100, "n_knapsacks": 12},
        "hard": {"n_items": 150, "n_knapsacks": 18},
    },
)
