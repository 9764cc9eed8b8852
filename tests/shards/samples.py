"""Random samples that look like those of real tree nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from gnn_branching.contracts import FEATURE_SCHEMA, BranchingState, Sample, SampleOrigin
from gnn_branching.edges import Edges
from gnn_branching.feature_schema import (
    N_KHALIL_FEATURES,
    ROW_FEATURES,
    SEARCH_FEATURES,
    SEARCH_SCHEMA,
    VARIABLE_FEATURES,
)


def random_sample(
    rng: np.random.Generator,
    *,
    n_rows: int = 7,
    n_variables: int = 11,
    density: float = 0.3,
    khalil: bool = False,
    search: bool = False,
    episode: int = 0,
    tree_node: int = 1,
) -> Sample:
    """Return a sample of a random graph, with rows that may be empty."""
    rows, variables = np.nonzero(rng.random((n_rows, n_variables)) < density)
    n_candidates = int(rng.integers(1, n_variables + 1))
    state = BranchingState(
        row_features=rng.normal(size=(n_rows, len(ROW_FEATURES))),
        variable_features=rng.normal(size=(n_variables, len(VARIABLE_FEATURES))),
        edges=Edges.from_pairs(rows, variables, rng.normal(size=rows.size), n_rows),
        candidates=rng.permutation(n_variables)[:n_candidates].astype(np.int64),
        candidate_features=rng.normal(size=(n_candidates, N_KHALIL_FEATURES)) if khalil else None,
        search_features=rng.normal(size=(n_candidates, len(SEARCH_FEATURES))) if search else None,
        schema=SEARCH_SCHEMA if search else FEATURE_SCHEMA,
    )
    return on_the_same_graph(state, rng, episode=episode, tree_node=tree_node)


def on_the_same_graph(
    state: BranchingState, rng: np.random.Generator, *, episode: int = 0, tree_node: int = 1
) -> Sample:
    """Return a sample with the edges of ``state`` and fresh labels."""
    origin = SampleOrigin(
        instance="toy-é.lp",
        instance_sha256="0f" * 32,
        episode=episode,
        scip_seed=int(rng.integers(2**31)),
        tree_node=tree_node,
        depth=tree_node // 2,
        primal_bound=float("inf") if rng.random() < 0.5 else rng.normal(),
        dual_bound=rng.normal(),
    )
    return Sample(state=state, scores=rng.random(state.n_candidates), origin=origin)


def random_episode(rng: np.random.Generator, episode: int, n_samples: int, **shape: int) -> list[Sample]:
    """Return an episode whose samples share a graph, but for the last."""
    if n_samples == 0:
        return []
    first = random_sample(rng, episode=episode, **shape)
    middle = [on_the_same_graph(first.state, rng, episode=episode, tree_node=node) for node in range(2, n_samples)]
    last = [random_sample(rng, episode=episode, tree_node=n_samples, **shape)] if n_samples > 1 else []
    return [first, *middle, *last]


def assert_same_samples(actual: Sequence[Sample], expected: Sequence[Sample]) -> None:
    """Check that samples agree bit for bit, types included."""
    assert len(actual) == len(expected)
    for left, right in zip(actual, expected, strict=True):
        assert left.origin == right.origin
        pairs = [(left.scores, right.scores)]
        assert left.state.schema == right.state.schema
        names = [f.name for f in fields(BranchingState) if f.name not in ("edges", "schema")]
        pairs += [(getattr(left.state, name), getattr(right.state, name)) for name in names]
        names = ["indptr", "indices", "values"]
        pairs += [(getattr(left.state.edges, name), getattr(right.state.edges, name)) for name in names]
        for one, other in pairs:
            if other is None:
                assert one is None
                continue
            assert one.dtype == other.dtype
            assert one.shape == other.shape
            assert np.ascontiguousarray(one).tobytes() == np.ascontiguousarray(other).tobytes()
