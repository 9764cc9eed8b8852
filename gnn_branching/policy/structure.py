"""What changes rarely from one tree node to the next: the nonzeros of the LP, by row and by variable."""

from __future__ import annotations

import numpy as np

from gnn_branching.contracts import BranchingState, FloatArray, IndexArray
from gnn_branching.policy import kernels
from gnn_branching.policy.kernels import Floats, Shorts, usable
from gnn_branching.subproblem import has_edges


class Structure:
    """The edges of one bipartite graph in both orders, with normalised values.

    Args:
        state: Where to read the edges; they are copied.
        norm: (2, 1): shift and scale of the edge values.

    Raises:
        ValueError: If an index is out of range.
    """

    def __init__(self, state: BranchingState, norm: FloatArray) -> None:
        self.n_rows, self.n_variables = state.n_rows, state.n_variables
        self._source = (state.edge_indices, state.edge_values)
        self._shift, self._scale = float(norm[0, 0]), float(norm[1, 0])
        rows, variables = usable(state.edge_indices)
        values = ((state.edge_values + self._shift) * self._scale).astype(np.float32)
        self.row_offsets = _offsets(rows, self.n_rows)
        self.variable_offsets = _offsets(variables, self.n_variables)
        self.by_row = _transposed(rows, variables, values, self.row_offsets)
        self.by_variable = _transposed(variables, rows, values, self.variable_offsets)

    def fits(self, state: BranchingState) -> bool:
        """Return whether a state has these edges, in the order of their rows, with the same normalised values.

        Arrays that are the very ones read before, and cannot have been written to since, need no second look.
        """
        known = self.by_row
        if (state.n_rows, state.n_variables, state.n_edges) != (self.n_rows, self.n_variables, known.values.size):
            return False
        if has_edges(state, *self._source):
            return True
        rows, variables = usable(state.edge_indices)
        return kernels.unchanged(
            rows,
            variables,
            usable(state.edge_values),
            self._shift,
            self._scale,
            self.row_offsets,
            known.others,
            known.values,
        )


class Edges:
    """Edges in the order of one side.

    Attributes:
        others: int32, (n_edges,): the end on the other side.
        values: float32, (n_edges,).
    """

    __slots__ = ("others", "values")

    def __init__(self, others: Shorts, values: Floats) -> None:
        self.others, self.values = others, values


def _offsets(index: IndexArray, n: int) -> IndexArray:
    offsets = np.empty(n + 1, dtype=np.int64)
    if not kernels.count(index, offsets):
        raise ValueError(f"an edge's index is not in [0, {n})")
    return offsets


def _transposed(keys: IndexArray, others: IndexArray, values: Floats, offsets: IndexArray) -> Edges:
    edges = Edges(np.empty(others.size, dtype=np.int32), np.empty_like(values))
    kernels.transpose(keys, others, values, offsets.copy(), edges.others, edges.values)
    return edges
