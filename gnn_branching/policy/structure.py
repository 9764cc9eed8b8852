"""What changes rarely from one tree node to the next: the nonzeros of the LP, by row and by variable."""

from __future__ import annotations

import numpy as np

from gnn_branching.contracts import BranchingState, FloatArray, IndexArray
from gnn_branching.policy import kernels
from gnn_branching.policy.folding import Norm
from gnn_branching.policy.kernels import Floats


class Structure:
    """The edges of one bipartite graph in both orders, with normalised values.

    Args:
        state: Where to read the edges; they are copied.
        norm: Prenorm of the edge values.

    Raises:
        ValueError: If an index is out of range.
    """

    def __init__(self, state: BranchingState, norm: Norm) -> None:
        self.n_rows, self.n_variables = state.n_rows, state.n_variables
        self._indices = state.edge_indices.copy()
        self._values = state.edge_values.copy()
        rows, variables = self._indices
        values = ((self._values + norm.shift) * norm.scale).astype(np.float32)
        self.row_offsets = _offsets(rows, self.n_rows)
        self.variable_offsets = _offsets(variables, self.n_variables)
        self.by_row = _transposed(rows, variables, values, self.row_offsets)
        self.by_variable = _transposed(variables, rows, values, self.variable_offsets)

    def fits(self, state: BranchingState) -> bool:
        """Return whether a state has exactly these edges."""
        return (
            (state.n_rows, state.n_variables, state.n_edges) == (self.n_rows, self.n_variables, self._values.size)
            and kernels.same(_bits(state.edge_values), _bits(self._values))
            and kernels.same(_bits(state.edge_indices), _bits(self._indices))
        )


class Edges:
    """Edges in the order of one side.

    Attributes:
        others: int64, (n_edges,): the end on the other side.
        values: float32, (n_edges,).
    """

    __slots__ = ("others", "values")

    def __init__(self, others: IndexArray, values: Floats) -> None:
        self.others, self.values = others, values


def _bits(array: FloatArray | IndexArray) -> IndexArray:
    return np.ascontiguousarray(array).reshape(-1).view(np.int64)


def _offsets(index: IndexArray, n: int) -> IndexArray:
    offsets = np.empty(n + 1, dtype=np.int64)
    if not kernels.count(index, offsets):
        raise ValueError(f"an edge's index is not in [0, {n})")
    return offsets


def _transposed(keys: IndexArray, others: IndexArray, values: Floats, offsets: IndexArray) -> Edges:
    edges = Edges(np.empty_like(others), np.empty_like(values))
    kernels.transpose(keys, others, values, offsets.copy(), edges.others, edges.values)
    return edges
