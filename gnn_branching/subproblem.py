"""The subproblem of a tree node: its LP without the variables that the tree node fixes and the rows that they settle.

Deep in a tree most variables are fixed, yet the LP keeps their columns until a restart presolves them away. So the same
subproblem has LPs of many sizes, and a network that sums over neighbours takes one for something else than the other.
Left out everywhere, what is fixed makes no difference, and the graph has a fraction of the edges.
"""

from __future__ import annotations

import threading
from dataclasses import replace

import numba
import numpy as np
from numba import types

from gnn_branching.config import Graph, Search
from gnn_branching.contracts import BranchingState, FloatArray, IndexArray
from gnn_branching.feature_schema import ROW_FEATURES, VARIABLE_FEATURES

SETTLED_TOLERANCE = 1e-9
"""A row is settled if its left-hand side, over the norm of its coefficients, cannot exceed its bound by more."""

_BIAS = ROW_FEATURES.index("bias")
_SIMILARITY = ROW_FEATURES.index("objective_cosine_similarity")
_DUAL = ROW_FEATURES.index("dual_solution_value")
_OBJECTIVE = VARIABLE_FEATURES.index("objective")
_BINARY = VARIABLE_FEATURES.index("is_type_binary")
_REDUCED_COST = VARIABLE_FEATURES.index("normed_reduced_cost")
_VALUE = VARIABLE_FEATURES.index("solution_value")
_AT_LOWER = VARIABLE_FEATURES.index("is_solution_at_lower_bound")
_AT_UPPER = VARIABLE_FEATURES.index("is_solution_at_upper_bound")

_MATRIX = types.Array(types.float64, 2, "C", readonly=True)
_EDGES = types.Array(types.int64, 2, "C", readonly=True)
_VECTOR = types.Array(types.float64, 1, "C", readonly=True)
_INDEX = types.Array(types.int64, 1, "C", readonly=True)
_NUMBERS, _FLOATS, _TABLE, _PAIRS = types.int64[::1], types.float64[::1], types.float64[:, ::1], types.int64[:, ::1]


class View:
    """Shows a network what it was trained on, of one tree node after the other.

    What depends on the edges alone is kept as long as they are the same, for each thread its own.

    Args:
        graph: What is seen of the LP's graph.
        search: Whether the search's features are seen.
    """

    def __init__(self, graph: Graph, search: Search = "none") -> None:
        self.graph, self.search = graph, search
        self._last = threading.local()

    def __call__(self, state: BranchingState) -> BranchingState:
        """Return what is to be seen of a tree node; see :func:`subproblem`.

        Raises:
            ValueError: If the search's features are to be seen, and there are none.
        """
        if self.search == "none":
            if state.search_features is not None:
                state = replace(state, search_features=None)
        elif state.search_features is None:
            raise ValueError("this policy needs the search's features; read the tree node with its feature schema")
        if self.graph == "lp":
            return state
        columns: Columns | None = getattr(self._last, "columns", None)
        if columns is None or not columns.belong_to(state):
            columns = self._last.columns = Columns(state)
        return subproblem(state, columns)


class Columns:
    """The edges of a state in the order of their variables, those of one variable in the order of their rows.

    Args:
        state: Where to read the edges; they are copied.

    Raises:
        ValueError: If an edge's index is out of range.
    """

    def __init__(self, state: BranchingState) -> None:
        edges, values = np.ascontiguousarray(state.edge_indices), np.ascontiguousarray(state.edge_values)
        self._source, self._size = (state.edge_indices, state.edge_values), (state.n_rows, state.n_variables)
        self.offsets = np.zeros(state.n_variables + 1, dtype=np.int64)
        self.rows, self.values = np.empty(values.size, dtype=np.int64), np.empty(values.size)
        if not _sort(edges, values, state.n_rows, self.offsets, self.rows, self.values):
            raise ValueError(f"an edge is not between {state.n_rows} rows and {state.n_variables} variables")

    def belong_to(self, state: BranchingState) -> bool:
        """Return whether a state's edges are certainly these, between as many vertices."""
        return (state.n_rows, state.n_variables) == self._size and has_edges(state, *self._source)


def has_edges(state: BranchingState, indices: IndexArray, values: FloatArray) -> bool:
    """Return whether a state's edges are certainly these: the very arrays, which cannot have been written to since."""
    pairs = (state.edge_indices, indices), (state.edge_values, values)
    return all(new is old and new.flags.owndata and not new.flags.writeable for new, old in pairs)


def subproblem(state: BranchingState, columns: Columns | None = None) -> BranchingState:
    """Return a state without the variables fixed at its tree node, and the rows that the others cannot violate.

    A variable is fixed if its value is at both of its bounds; candidates stay. The bias of a row loses what the fixed
    variables contribute. All that Ecole's ``NodeBipartite`` divides by the norm of a row or of the objective is divided
    by the norm of what is left: the features are those of an LP that never had the fixed variables, but for the ages.
    Whether a row can be violated is decided for rows of binary variables only, as other bounds are not known.

    Args:
        state: Any state; it is not changed.
        columns: Its edges by variable, if they are at hand.

    Returns:
        The state of the subproblem: rows ascend among its edges, and candidates have their order and new numbers.

    Raises:
        ValueError: If there are other features than Ecole's, or an index is out of range.
    """
    rows, variables = np.ascontiguousarray(state.row_features), np.ascontiguousarray(state.variable_features)
    if (rows.shape[1], variables.shape[1]) != (len(ROW_FEATURES), len(VARIABLE_FEATURES)):
        raise ValueError(f"{rows.shape[1]} row and {variables.shape[1]} variable features have no known subproblem")
    place = np.empty(state.n_variables, dtype=np.int64)
    n_variables = _choose_variables(variables, np.ascontiguousarray(state.candidates), place)
    if n_variables < 0:
        raise ValueError(f"a candidate's index is not in [0, {state.n_variables})")
    columns = columns or Columns(state)
    edges = columns.offsets, columns.rows, columns.values
    bias, starts, row_scale = rows[:, _BIAS].copy(), np.zeros(state.n_rows + 1, dtype=np.int64), np.zeros(state.n_rows)
    n_rows = _choose_rows(variables, place, *edges, bias, starts, row_scale)
    taken_rows, taken_variables = np.empty((n_rows, rows.shape[1])), np.empty((n_variables, variables.shape[1]))
    taken_edges, taken_values = np.empty((2, starts[-1]), dtype=np.int64), np.empty(starts[-1])
    scale = _take_variables(variables, place, taken_variables)
    row_place = _take_rows(rows, bias, starts, row_scale, scale, taken_rows)
    _take_edges(place, *edges, starts, row_place, row_scale, taken_variables, taken_rows, taken_edges, taken_values)
    return BranchingState(
        row_features=taken_rows,
        variable_features=taken_variables,
        edge_indices=taken_edges,
        edge_values=taken_values,
        candidates=place[state.candidates],
        candidate_features=state.candidate_features,
        search_features=state.search_features,
    )


@numba.njit(types.boolean(_EDGES, _VECTOR, types.int64, _NUMBERS, _NUMBERS, _FLOATS), nogil=True, cache=True)
def _sort(
    edges: IndexArray, values: FloatArray, n_rows: int, offsets: IndexArray, rows: IndexArray, sorted_values: FloatArray
) -> bool:
    """Write the edges by variable, given zero ``offsets``; return whether all of them are between vertices."""
    n_variables, n_outside = offsets.size - 1, 0
    for edge in range(values.size):
        row, j = edges[0, edge], edges[1, edge]
        n_outside += (row < 0) | (row >= n_rows) | (j < 0) | (j >= n_variables)
    if n_outside != 0:
        return False
    for edge in range(values.size):
        offsets[edges[1, edge]] += 1
    for j in range(n_variables):
        offsets[j + 1] += offsets[j]
    # From the last edge on, as this turns each variable's end into its start.
    for edge in range(values.size - 1, -1, -1):
        offsets[edges[1, edge]] -= 1
        place = offsets[edges[1, edge]]
        rows[place] = edges[0, edge]
        sorted_values[place] = values[edge]
    return True


@numba.njit(types.int64(_MATRIX, _INDEX, _NUMBERS), nogil=True, cache=True)
def _choose_variables(variables: FloatArray, candidates: IndexArray, place: IndexArray) -> int:
    """Write every variable's new number, -1 for a fixed one; return how many stay, -1 if a candidate is none."""
    for j in range(variables.shape[0]):
        place[j] = -1 if variables[j, _AT_LOWER] != 0.0 and variables[j, _AT_UPPER] != 0.0 else 0
    for candidate in candidates:
        if candidate < 0 or candidate >= variables.shape[0]:
            return -1
        place[candidate] = 0
    n_variables = 0
    for j in range(variables.shape[0]):
        if place[j] == 0:
            place[j] = n_variables
            n_variables += 1
    return n_variables


@numba.njit(types.int64(_MATRIX, _INDEX, _INDEX, _INDEX, _VECTOR, _FLOATS, _NUMBERS, _FLOATS), nogil=True, cache=True)
def _choose_rows(
    variables: FloatArray,
    place: IndexArray,
    offsets: IndexArray,
    edge_rows: IndexArray,
    edge_values: FloatArray,
    bias: FloatArray,
    starts: IndexArray,
    row_scale: FloatArray,
) -> int:
    """Write what is left of the biases, where each row's edges will start, and what scales it; return the rows left."""
    highest = np.zeros(bias.size)
    for j in range(place.size):
        value = variables[j, _VALUE]
        if place[j] >= 0:
            is_binary = variables[j, _BINARY] != 0.0
            for edge in range(offsets[j], offsets[j + 1]):
                row, coefficient = edge_rows[edge], edge_values[edge]
                starts[row + 1] += 1
                row_scale[row] += coefficient * coefficient
                highest[row] += max(coefficient, 0.0) if is_binary else np.inf
        elif value != 0.0:
            for edge in range(offsets[j], offsets[j + 1]):
                bias[edge_rows[edge]] -= edge_values[edge] * value
    n_rows = 0
    for row in range(bias.size):
        if starts[row + 1] > 0 and highest[row] > bias[row] + SETTLED_TOLERANCE:
            n_rows += 1
        else:
            starts[row + 1] = 0
        starts[row + 1] += starts[row]
        row_scale[row] = 1.0 / np.sqrt(row_scale[row]) if row_scale[row] > 0.0 else 1.0
    return n_rows


@numba.njit(types.float64(_MATRIX, _INDEX, _TABLE), nogil=True, cache=True)
def _take_variables(variables: FloatArray, place: IndexArray, taken: FloatArray) -> float:
    """Write the features of the variables that stay, and return what scales the objective."""
    squares = 0.0
    for j in range(place.size):
        if place[j] >= 0:
            taken[place[j]] = variables[j]
            squares += variables[j, _OBJECTIVE] ** 2
    scale = 1.0 / np.sqrt(squares) if squares > 0.0 else 1.0
    taken[:, _OBJECTIVE] *= scale
    taken[:, _REDUCED_COST] *= scale
    return scale


@numba.njit(_NUMBERS(_MATRIX, _VECTOR, _INDEX, _VECTOR, types.float64, _TABLE), nogil=True, cache=True)
def _take_rows(
    rows: FloatArray, bias: FloatArray, starts: IndexArray, row_scale: FloatArray, scale: float, taken: FloatArray
) -> IndexArray:
    """Write the features of the rows that stay but for their cosines, and return every row's new number, or -1."""
    place = np.full(rows.shape[0], -1, dtype=np.int64)
    n_rows = 0
    for row in range(rows.shape[0]):
        if starts[row + 1] > starts[row]:
            place[row] = n_rows
            taken[n_rows] = rows[row]
            taken[n_rows, _BIAS] = bias[row] * row_scale[row]
            taken[n_rows, _SIMILARITY] = 0.0
            taken[n_rows, _DUAL] *= row_scale[row] * scale
            n_rows += 1
    return place


@numba.njit(
    types.void(_INDEX, _INDEX, _INDEX, _VECTOR, _NUMBERS, _INDEX, _VECTOR, _MATRIX, _TABLE, _PAIRS, _FLOATS),
    nogil=True,
    cache=True,
)
def _take_edges(
    place: IndexArray,
    offsets: IndexArray,
    edge_rows: IndexArray,
    edge_values: FloatArray,
    starts: IndexArray,
    row_place: IndexArray,
    row_scale: FloatArray,
    taken_variables: FloatArray,
    taken_rows: FloatArray,
    taken: IndexArray,
    taken_values: FloatArray,
) -> None:
    """Write the edges that stay by row, and with them the rows' cosines with the objective; uses ``starts`` up."""
    for j in range(place.size):
        if place[j] < 0:
            continue
        objective = taken_variables[place[j], _OBJECTIVE]
        for edge in range(offsets[j], offsets[j + 1]):
            row = edge_rows[edge]
            if row_place[row] >= 0:
                at = starts[row]
                starts[row] += 1
                taken[0, at], taken[1, at] = row_place[row], place[j]
                taken_values[at] = edge_values[edge] * row_scale[row]
                taken_rows[row_place[row], _SIMILARITY] += taken_values[at] * objective
