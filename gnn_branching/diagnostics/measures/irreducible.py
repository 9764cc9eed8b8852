"""The part of the imitation loss that no weights can remove: expert ties and indistinguishable candidates.

Message passing with sums tells two candidates apart at most as well as colour refinement (Xu et al. 2019; Morris et
al. 2019). Candidates of one colour get one logit, so the best distribution is uniform within each colour class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnn_branching.contracts import BranchingState, FloatArray, IndexArray
from gnn_branching.diagnostics.measures.finding import Finding, at_least

FLOOR_SLACK = 1e-9
"""Rounding allowed below the floor, nats."""
NETWORK_ROUNDS = 1
"""Rounds of the bipartite network: rows from variables, then variables from rows, once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IrreducibleLoss:
    """Least mean cross-entropy any network of this kind can reach, in nats.

    Args:
        tie_entropy: Mean entropy of the expert's targets: reached only if all candidates can be told apart.
        floor: Mean least loss given the colour classes; at least ``tie_entropy``.
        tied_share: Share of samples whose target has more than one candidate.
        merged_share: Share of samples where two candidates share a colour.
        n_samples: Samples it was measured on.
    """

    tie_entropy: float
    floor: float
    tied_share: float
    merged_share: float
    n_samples: int

    def finding(self, loss: float) -> Finding:
        """Check that a measured loss on the same samples is not below the floor."""
        return at_least(
            "irreducible_loss",
            loss,
            self.floor,
            "loss on the probe against the least any message-passing network of as many rounds can reach",
            slack=FLOOR_SLACK,
        )


def tie_targets(scores: FloatArray, *, relative_tolerance: float = 0.0) -> FloatArray:
    """Return the uniform distribution over the best-scored candidates, (n_candidates,)."""
    best = scores >= scores.max() * (1.0 - relative_tolerance)
    targets: FloatArray = best / best.sum()
    return targets


def candidate_colours(state: BranchingState, *, n_rounds: int | None = NETWORK_ROUNDS) -> IndexArray:
    """Return the colour of each candidate after colour refinement, int64, (n_candidates,).

    Args:
        state: The bipartite graph; features and coefficients are compared exactly.
        n_rounds: Rounds of refinement of rows, then variables; None refines until nothing splits.
    """
    rows, variables = _row_colours(state.row_features), _row_colours(state.variable_features)
    row_of, variable_of = state.edges.rows, state.edges.indices.astype(np.int64)
    remaining = n_rounds if n_rounds is not None else state.n_rows + state.n_variables
    for _ in range(remaining):
        rows = _refine(rows, row_of, variables[variable_of], state.edges.values)
        refined = _refine(variables, variable_of, rows[row_of], state.edges.values)
        if n_rounds is None and refined.max(initial=0) == variables.max(initial=0):
            break
        variables = refined
    return variables[state.candidates]


def irreducible_loss(targets: Sequence[FloatArray], colours: Sequence[IndexArray]) -> IrreducibleLoss:
    """Combine per-sample targets and candidate colours into the floor of the mean cross-entropy.

    In a class A of size |A| with target mass y_A the best loss is ``−y_A log(y_A / |A|)``.

    Raises:
        ValueError: If the sequences differ in length or are empty.
    """
    if not targets or len(targets) != len(colours):
        raise ValueError(f"{len(targets)} targets and {len(colours)} colourings: need as many, at least one")
    floors, entropies, merged = [], [], []
    for target, colour in zip(targets, colours, strict=True):
        _, classes, sizes = np.unique(colour, return_inverse=True, return_counts=True)
        mass = np.bincount(classes, weights=target).astype(np.float64)
        floors.append(-_xlogy(mass, mass / sizes))
        entropies.append(-_xlogy(target, target))
        merged.append(bool((sizes > 1).any()))
    return IrreducibleLoss(
        tie_entropy=float(np.mean(entropies)),
        floor=float(np.mean(floors)),
        tied_share=float(np.mean([np.count_nonzero(t) > 1 for t in targets])),
        merged_share=float(np.mean(merged)),
        n_samples=len(targets),
    )


def _xlogy(weights: FloatArray, values: FloatArray) -> float:
    positive = weights > 0
    return float(np.sum(weights[positive] * np.log(values[positive])))


def _row_colours(features: FloatArray) -> IndexArray:
    """Number the distinct rows of a feature matrix."""
    if features.shape[0] == 0:
        return np.zeros(0, dtype=np.int64)
    return _as_index(np.unique(features, axis=0, return_inverse=True)[1])


def _refine(own: IndexArray, vertex: IndexArray, neighbour: IndexArray, values: FloatArray) -> IndexArray:
    """Split colours by the multiset of (coefficient, neighbour colour) around each vertex."""
    if not len(vertex):
        return own
    pairs = np.stack([values, neighbour.astype(np.float64)], axis=1)
    message = _as_index(np.unique(pairs, axis=0, return_inverse=True)[1])
    order = np.lexsort((message, vertex))
    ends = np.cumsum(np.bincount(vertex, minlength=len(own)))
    pieces = np.split(message[order], ends[:-1])
    known: dict[tuple[int, bytes], int] = {}
    colours = [known.setdefault((int(c), piece.tobytes()), len(known)) for c, piece in zip(own, pieces, strict=True)]
    return np.array(colours, dtype=np.int64)


def _as_index(inverse: NDArray[np.intp]) -> IndexArray:
    return inverse.reshape(-1).astype(np.int64)
