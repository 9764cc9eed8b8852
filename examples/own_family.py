"""A family of one's own: knapsacks with conflicts between items, known by name once this module is imported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyscipopt

from gnn_branching.instances import register_family


def write_knapsack(path: Path, seed: int, n_items: int, n_conflicts: int) -> None:
    """Write one instance; seed and arguments alone decide what is in it."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(20, 100, n_items)
    model = pyscipopt.Model()
    model.hideOutput()
    take = [
        model.addVar(f"x{item}", vtype="B", obj=int(weights[item] + rng.integers(0, 20))) for item in range(n_items)
    ]
    model.setMaximize()
    model.addCons(pyscipopt.quicksum(int(w) * x for w, x in zip(weights, take, strict=True)) <= int(weights.sum()) // 3)
    for _ in range(n_conflicts):
        one, other = rng.choice(n_items, 2, replace=False)
        model.addCons(take[one] + take[other] <= 1)
    model.writeProblem(path, verbose=False)


FAMILY = register_family("knapsack", write_knapsack, sizes={"easy": {"n_items": 100, "n_conflicts": 300}})
