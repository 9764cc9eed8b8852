"""A family of knapsacks for tests, as a user would write one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gnn_branching.instances import Family


def write_toy(path: Path, seed: int, n_variables: int) -> None:
    if seed < 0:
        raise ValueError("no such seed")
    weights = np.random.default_rng(seed).integers(1, 10**6, n_variables)
    terms = " + ".join(f"{weight} x{number}" for number, weight in enumerate(weights))
    names = " ".join(f"x{number}" for number in range(n_variables))
    path.write_text(
        f"Maximize\n obj: {terms}\nSubject To\n c: {terms} <= {weights.sum() // 2}\nBinaries\n {names}\nEnd\n"
    )


PLUGGED = Family(name="plugged", write=write_toy, sizes={"easy": {"n_variables": 4}})
