"""Generalized independent set instances (Hochbaum and Pathria 1997; Colombi, Mansini and Savelsbergh 2017)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gnn_branching.instances.family import Family
from gnn_branching.instances.lp_format import LinearProgram

HIGHEST_REVENUE = 100
COST_DIVISOR = 100.0
"""Removing an edge costs its ends' revenues over this number (``SET1`` of Khalil et al. 2017)."""


def write_generalized_independent_set(
    path: Path, seed: int, n_vertices: int, edge_probability: float, removable_share: float
) -> None:
    """Write a generalized independent set instance: vertices worth their revenue, less the cost of removed edges.

    The graph is Erdős–Rényi. No two chosen vertices may share an edge; a removable edge, each edge with probability
    ``removable_share``, may be removed for a price.
    """
    rng = np.random.default_rng(seed)
    revenues = rng.integers(1, HIGHEST_REVENUE + 1, n_vertices)
    first, second = np.nonzero(np.triu(rng.random((n_vertices, n_vertices)) < edge_probability, k=1))
    removable = rng.random(first.size) < removable_share
    program = LinearProgram(sense="Maximize")
    program.objective += [(int(revenues[vertex]), f"x{vertex}") for vertex in range(n_vertices)]
    for u, v, is_removable in zip(first.tolist(), second.tolist(), removable.tolist(), strict=True):
        terms = [(1.0, f"x{u}"), (1.0, f"x{v}")]
        if is_removable:
            program.objective.append((-float(revenues[u] + revenues[v]) / COST_DIVISOR, f"y{u}_{v}"))
            terms.append((-1.0, f"y{u}_{v}"))
        program.at_most(terms, 1)
    program.binaries += [name for _, name in program.objective]
    program.write_lp(path)


FAMILY = Family(
    name="generalized-independent-set",
    write=write_generalized_independent_set,
    sizes={
        "easy": {"n_vertices": 80, "edge_probability": 0.6, "removable_share": 0.5},
        "medium": {"n_vertices": 100, "edge_probability": 0.6, "removable_share": 0.5},
        "hard": {"n_vertices": 120, "edge_probability": 0.6, "removable_share": 0.5},
    },
)
