"""Random valid samples whose labels can be learned: for tests, benchmarks and first steps without a solver."""

from __future__ import annotations

import numpy as np

from gnn_branching.contracts import BranchingState, Sample, SampleOrigin
from gnn_branching.dataset.source import MemorySource
from gnn_branching.edges import Edges
from gnn_branching.feature_schema import (
    N_KHALIL_FEATURES,
    ROW_FEATURES,
    SEARCH_FEATURES,
    SEARCH_SCHEMA,
    VARIABLE_FEATURES,
)
from gnn_branching.seeding import generator

TYPE_COLUMNS = [position for position, name in enumerate(VARIABLE_FEATURES) if name.startswith("is_type_")]
"""One-hot columns of the variable's type."""


def random_sample(
    seed: int,
    *,
    n_rows: int = 12,
    n_variables: int = 20,
    n_edges: int = 60,
    n_candidates: int = 8,
    ties: bool = False,
) -> Sample:
    """Return a random sample.

    A candidate's score grows with the sum of ``coefficient · dual value`` over its rows and with its fractionality,
    so both a graph network and a candidate's own features can learn from it.

    Args:
        seed: Of everything in it.
        n_rows: Rows of the graph.
        n_variables: Variables of the graph.
        n_edges: Nonzeros, at most ``n_rows · n_variables``.
        n_candidates: Candidates, at most ``n_variables``.
        ties: Whether to give the best score to a second candidate too.
    """
    rng = generator(seed, "random-sample")
    places = np.sort(rng.choice(n_rows * n_variables, n_edges, replace=False))
    row_of, variable_of = np.divmod(places, n_variables)
    values = rng.normal(size=n_edges)
    rows = rng.normal(size=(n_rows, len(ROW_FEATURES)))
    variables = rng.normal(size=(n_variables, len(VARIABLE_FEATURES)))
    variables[:, TYPE_COLUMNS] = np.eye(len(TYPE_COLUMNS))[0]
    fraction = VARIABLE_FEATURES.index("solution_frac")
    variables[:, fraction] = rng.uniform(0.01, 0.99, n_variables)
    candidates = rng.choice(n_variables, n_candidates, replace=False).astype(np.int64)
    pull = np.bincount(variable_of, values * rows[row_of, ROW_FEATURES.index("dual_solution_value")], n_variables)
    khalil = rng.normal(size=(n_candidates, N_KHALIL_FEATURES))
    khalil[:, 0], khalil[:, 1] = pull[candidates], variables[candidates, fraction]
    scores = np.exp(0.5 * pull[candidates]) * variables[candidates, fraction]
    if ties and n_candidates > 1:
        scores[int(scores.argmin())] = scores.max()
    return Sample(
        state=BranchingState(
            row_features=rows,
            variable_features=variables,
            edges=Edges.from_pairs(row_of, variable_of, values, n_rows),
            candidates=candidates,
            candidate_features=khalil,
            search_features=rng.normal(size=(n_candidates, len(SEARCH_FEATURES))),
            schema=SEARCH_SCHEMA,
        ),
        scores=scores,
        origin=_origin(seed),
    )


def random_source(n_samples: int, *, seed: int = 0, ties: bool = True) -> MemorySource:
    """Return samples of differing sizes, every third with ties if asked."""
    rng = generator(seed, "random-source")
    samples = []
    for index in range(n_samples):
        n_rows, n_variables = int(rng.integers(3, 15)), int(rng.integers(6, 25))
        samples.append(
            random_sample(
                seed * 1_000_003 + index,
                n_rows=n_rows,
                n_variables=n_variables,
                n_edges=int(rng.integers(1, n_rows * n_variables // 2)),
                n_candidates=int(rng.integers(1, min(16, n_variables))),
                ties=ties and index % 3 == 0,
            )
        )
    return MemorySource(samples)


def _origin(seed: int) -> SampleOrigin:
    return SampleOrigin(
        instance=f"synthetic-{seed}",
        instance_sha256=f"{seed:064x}",
        episode=seed,
        scip_seed=seed,
        tree_node=1,
        depth=0,
        primal_bound=float("inf"),
        dual_bound=0.0,
    )
