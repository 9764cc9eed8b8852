"""The subproblem of a tree node: its LP without the variables that the tree node fixes and the rows that they settle.

Deep in a tree most variables are fixed, yet the LP keeps their columns until a restart presolves them away. So the same
subproblem has LPs of many sizes, and a network that sums over neighbours takes one for something else than the other.
Left out everywhere, what is fixed makes no difference, and the graph has a fraction of the edges.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import types

from gnn_branching.config import Graph
from gnn_branching.contracts import ROW_FEATURES, VARIABLE_FEATURES, BranchingState, FloatArray, IndexArray

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
_NUMBERS, _FLOATS = types.int64[::1], types.float64[::1]


def seen_graph(state: BranchingState, graph: Graph) -> BranchingState:
    """Return what a network is to see of a tree node: its whole LP or its subproblem."""
    return subproblem(state) if graph == "subproblem" else state


def subproblem(state: BranchingState) -> BranchingState:
    """Return a state without the variables fixed at its tree node, and the rows that the others cannot violate.

    A variable is fixed if its value is at both of its bounds; candidates stay. The bias of a row loses what the fixed
    variables contribute. All that Ecole's ``NodeBipartite`` divides by the norm of a row or of the objective is divided
    by the norm of what is left: the features are those of an LP that never had the fixed variables, but for the ages.
    Whether a row can be violated is decided for rows of binary variables only, as other bounds are not known.

    Args:
        state: Any state; it is not changed.

    Returns:
        The state of the subproblem; the same candidates in the same order, with their new numbers.
    """
    rows, variables = np.ascontiguousarray(state.row_features), np.ascontiguousarray(state.variable_features)
    edges, values = np.ascontiguousarray(state.edge_indices), np.ascontiguousarray(state.edge_values)
    variable_place, fixed_value = np.empty(state.n_variables, dtype=np.int64), np.empty(state.n_variables)
    n_variables = _choose_variables(variables, np.ascontiguousarray(state.candidates), variable_place, fixed_value)
    free_edges, bias = np.empty(state.n_edges + 1, dtype=np.int64), rows[:, _BIAS].copy()
    n_free = _settle(edges, values, variable_place, fixed_value, free_edges, bias)
    free_edges = free_edges[:n_free]
    row_place, row_scale = np.empty(state.n_rows, dtype=np.int64), np.empty(state.n_rows)
    n_rows, n_edges = _choose_rows(variables, edges, values, free_edges, bias, row_place, row_scale)
    new_rows, new_variables = np.empty((n_rows, rows.shape[1])), np.empty((n_variables, variables.shape[1]))
    new_edges, new_values = np.empty((2, n_edges), dtype=np.int64), np.empty(n_edges)
    objective_scale = _take_variables(variables, variable_place, new_variables)
    _take_rows(rows, bias, row_place, row_scale, objective_scale, new_rows)
    _take_edges(
        edges, values, free_edges, row_place, variable_place, row_scale, new_edges, new_values, new_variables, new_rows
    )
    return BranchingState(
        row_features=new_rows,
        variable_features=new_variables,
        edge_indices=new_edges,
        edge_values=new_values,
        candidates=variable_place[state.candidates],
        candidate_features=state.candidate_features,
    )


@numba.njit(types.int64(_MATRIX, _INDEX, _NUMBERS, _FLOATS), nogil=True, cache=True)
def _choose_variables(
    variables: FloatArray, candidates: IndexArray, variable_place: IndexArray, fixed_value: FloatArray
) -> int:
    """Write every variable's new number, -1 for a fixed one, and its value, 0 for a free one; return how many stay."""
    for j in range(variables.shape[0]):
        variable_place[j] = -1 if variables[j, _AT_LOWER] != 0.0 and variables[j, _AT_UPPER] != 0.0 else 0
    for candidate in candidates:
        variable_place[candidate] = 0
    n_variables = 0
    for j in range(variables.shape[0]):
        fixed_value[j] = variables[j, _VALUE] if variable_place[j] < 0 else 0.0
        if variable_place[j] == 0:
            variable_place[j] = n_variables
            n_variables += 1
    return n_variables


@numba.njit(types.int64(_EDGES, _VECTOR, _INDEX, _VECTOR, _NUMBERS, _FLOATS), nogil=True, cache=True)
def _settle(
    edges: IndexArray,
    values: FloatArray,
    variable_place: IndexArray,
    fixed_value: FloatArray,
    free_edges: IndexArray,
    bias: FloatArray,
) -> int:
    """Move what fixed variables contribute into the biases, list the edges of the others, and return their number.

    Most edges go, in no order that a processor could guess: there is no branch here.
    """
    n_free = 0
    for edge in range(values.size):
        j = edges[1, edge]
        bias[edges[0, edge]] -= values[edge] * fixed_value[j]
        free_edges[n_free] = edge
        n_free += variable_place[j] >= 0
    return n_free


@numba.njit(
    types.UniTuple(types.int64, 2)(  # type: ignore[no-untyped-call]
        _MATRIX, _EDGES, _VECTOR, _INDEX, _VECTOR, _NUMBERS, _FLOATS
    ),
    nogil=True,
    cache=True,
)
def _choose_rows(
    variables: FloatArray,
    edges: IndexArray,
    values: FloatArray,
    free_edges: IndexArray,
    bias: FloatArray,
    row_place: IndexArray,
    row_scale: FloatArray,
) -> tuple[int, int]:
    """Write every row's new number, -1 if it cannot be violated, and what scales it; return the rows and edges left."""
    degree, highest = np.zeros(bias.size, dtype=np.int64), np.zeros(bias.size)
    row_scale[:] = 0.0
    for edge in free_edges:
        row, value = edges[0, edge], values[edge]
        degree[row] += 1
        row_scale[row] += value * value
        highest[row] += max(value, 0.0) if variables[edges[1, edge], _BINARY] != 0.0 else np.inf
    n_rows = n_edges = 0
    for row in range(bias.size):
        row_place[row] = -1
        if degree[row] > 0 and highest[row] > bias[row] + SETTLED_TOLERANCE:
            row_place[row] = n_rows
            n_rows += 1
            n_edges += degree[row]
        row_scale[row] = 1.0 / np.sqrt(row_scale[row]) if row_scale[row] > 0.0 else 1.0
    return n_rows, n_edges


@numba.njit(types.float64(_MATRIX, _INDEX, types.float64[:, ::1]), nogil=True, cache=True)
def _take_variables(variables: FloatArray, variable_place: IndexArray, taken: FloatArray) -> float:
    """Write the features of the free variables, and return what scales the objective."""
    squares = 0.0
    for j in range(variables.shape[0]):
        if variable_place[j] >= 0:
            taken[variable_place[j]] = variables[j]
            squares += variables[j, _OBJECTIVE] ** 2
    scale = 1.0 / np.sqrt(squares) if squares > 0.0 else 1.0
    taken[:, _OBJECTIVE] *= scale
    taken[:, _REDUCED_COST] *= scale
    return scale


@numba.njit(types.void(_MATRIX, _VECTOR, _INDEX, _VECTOR, types.float64, types.float64[:, ::1]), nogil=True, cache=True)
def _take_rows(
    rows: FloatArray,
    bias: FloatArray,
    row_place: IndexArray,
    row_scale: FloatArray,
    objective_scale: float,
    taken: FloatArray,
) -> None:
    """Write the features of the rows that stay, but for their cosines with the objective."""
    for row in range(rows.shape[0]):
        place = row_place[row]
        if place >= 0:
            taken[place] = rows[row]
            taken[place, _BIAS] = bias[row] * row_scale[row]
            taken[place, _SIMILARITY] = 0.0
            taken[place, _DUAL] *= row_scale[row] * objective_scale


@numba.njit(
    types.void(
        _EDGES, _VECTOR, _INDEX, _INDEX, _INDEX, _VECTOR,
        types.int64[:, ::1], _FLOATS, _MATRIX, types.float64[:, ::1],
    ),
    nogil=True, cache=True,
)  # fmt: skip
def _take_edges(
    edges: IndexArray,
    values: FloatArray,
    free_edges: IndexArray,
    row_place: IndexArray,
    variable_place: IndexArray,
    row_scale: FloatArray,
    taken: IndexArray,
    taken_values: FloatArray,
    taken_variables: FloatArray,
    taken_rows: FloatArray,
) -> None:
    """Write the edges that stay, and with them their rows' cosines with the objective."""
    place = 0
    for edge in free_edges:
        row, j = row_place[edges[0, edge]], variable_place[edges[1, edge]]
        if row >= 0:
            taken[0, place], taken[1, place] = row, j
            taken_values[place] = values[edge] * row_scale[edges[0, edge]]
            taken_rows[row, _SIMILARITY] += taken_values[place] * taken_variables[j, _OBJECTIVE]
            place += 1
