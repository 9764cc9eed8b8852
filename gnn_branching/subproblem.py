"""The subproblem of a tree node: its LP without the variables that the tree node fixes and the rows that they settle.

Deep in a tree most variables are fixed, yet the LP keeps their columns until a restart presolves them away. So the same
subproblem has LPs of many sizes, and a network that sums over neighbours takes one for something else than the other.
Left out everywhere, what is fixed makes no difference, and the graph has a fraction of the edges.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from gnn_branching.compilation import (
    FixedIntegers,
    FixedRealMatrix,
    FixedReals,
    FixedShorts,
    Integers,
    RealMatrix,
    Reals,
    Shorts,
    kernel,
)
from gnn_branching.config import Graph, ModelConfig, Search
from gnn_branching.contracts import BranchingState, InputError
from gnn_branching.edges import Edges, read_only
from gnn_branching.feature_schema import (
    GRAPH,
    ROW_FEATURES,
    SEARCH_SCHEMA,
    SEARCHED,
    VARIABLE_FEATURES,
    InSubproblem,
    Side,
    get_schema,
    same_columns,
)

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


@dataclass(frozen=True, slots=True)
class View:
    """What a network sees of a tree node: trained on it, and shown it whenever it is to score.

    Args:
        graph: What is seen of the LP's graph.
        search: Whether the search's features are seen.
        schema: Name of the schema of what is seen.
    """

    graph: Graph = "lp"
    search: Search = "none"
    schema: str = SEARCH_SCHEMA

    @staticmethod
    def of(model: ModelConfig) -> View:
        """Return what a network of this shape sees."""
        return View(model.graph, model.search, model.schema)

    def __call__(self, state: BranchingState) -> BranchingState:
        """Return what is to be seen of a tree node; see :func:`subproblem`.

        Raises:
            InputError: If the search's features are to be seen, and there are none; if columns are not the schema's.
        """
        searched = self.search != "none"
        if searched and state.search_features is None:
            raise InputError(
                "a network with model.search needs the search's features, and this tree node has none: collect samples "
                "with collection.search_features, read it with the policy's feature schema, or train with "
                "model.search=none"
            )
        if not same_columns(state.schema, self.schema, *GRAPH, *(SEARCHED if searched else ())):
            raise InputError(
                f"features of schema {state.schema!r} for a network that sees {self.schema!r}; collect anew"
            )
        if not searched and state.search_features is not None:
            state = replace(state, search_features=None)
        return subproblem(state) if self.graph == "subproblem" else state


def by_variable(state: BranchingState) -> Edges:
    """Return a state's edges in compressed columns: those of one variable in the order of their rows.

    They are kept with the edges, which never change, and so are sorted once only.

    Raises:
        ValueError: If an edge's index is out of range.
    """
    edges, known = state.edges, state.edges.transposed
    fits = edges.indptr.size == state.n_rows + 1
    if fits and known is not None and known.indptr.size == state.n_variables + 1:
        return known
    indptr = np.zeros(state.n_variables + 1, dtype=np.int64)
    rows, values = np.empty(edges.values.size, dtype=np.int32), np.empty(edges.values.size)
    if not fits or not _transpose(edges.indptr, edges.indices, edges.values, indptr, rows, values):
        raise ValueError(f"an edge is not between {state.n_rows} rows and {state.n_variables} variables")
    found = Edges(indptr=read_only(indptr), indices=read_only(rows), values=read_only(values))
    object.__setattr__(edges, "transposed", found)
    return found


def subproblem(state: BranchingState) -> BranchingState:
    """Return a state without the variables fixed at its tree node, and the rows that the others cannot violate.

    A variable is fixed if its value is at both of its bounds; candidates stay. The bias of a row loses what the fixed
    variables contribute. All that Ecole's ``NodeBipartite`` divides by the norm of a row or of the objective is divided
    by the norm of what is left: the features are those of an LP that never had the fixed variables, but for the ages.
    Whether a row can be violated is decided for rows of binary variables only, as other bounds are not known.

    Args:
        state: Any state; it is not changed.

    Returns:
        The state of the subproblem: rows ascend among its edges, and candidates have their order and new numbers.

    Raises:
        ValueError: If there are other features than the schema's, or some beside Ecole's that would not stay as they
            are, or an index is out of range.
    """
    rows, variables = np.ascontiguousarray(state.row_features), np.ascontiguousarray(state.variable_features)
    if not _has_subproblem(state.schema, rows.shape[1], variables.shape[1]):
        raise ValueError(f"{rows.shape[1]} row and {variables.shape[1]} variable features have no known subproblem")
    place = np.empty(state.n_variables, dtype=np.int64)
    n_variables = _choose_variables(variables, np.ascontiguousarray(state.candidates), place)
    if n_variables < 0:
        raise ValueError(f"a candidate's index is not in [0, {state.n_variables})")
    columns = by_variable(state)
    edges = columns.indptr, columns.indices, columns.values
    bias, starts, row_scale = rows[:, _BIAS].copy(), np.zeros(state.n_rows + 1, dtype=np.int64), np.zeros(state.n_rows)
    n_rows = _choose_rows(variables, place, *edges, bias, starts, row_scale)
    taken_rows, taken_variables = np.empty((n_rows, rows.shape[1])), np.empty((n_variables, variables.shape[1]))
    indptr, indices = np.zeros(n_rows + 1, dtype=np.int64), np.empty(starts[-1], dtype=np.int32)
    values = np.empty(starts[-1])
    scale = _take_variables(variables, place, taken_variables)
    row_place = _take_rows(rows, bias, starts, row_scale, scale, taken_rows, indptr)
    _take_edges(place, *edges, starts, row_place, row_scale, taken_variables, taken_rows, indices, values)
    return BranchingState(
        row_features=taken_rows,
        variable_features=taken_variables,
        edges=Edges(indptr=read_only(indptr), indices=read_only(indices), values=read_only(values)),
        candidates=place[state.candidates],
        candidate_features=state.candidate_features,
        search_features=state.search_features,
        schema=state.schema,
    )


@cache
def _has_subproblem(name: str, n_row_features: int, n_variable_features: int) -> bool:
    """Return whether features are those of a schema, and what is beside Ecole's is kept."""
    schema = get_schema(name)
    more = schema.of(Side.ROW)[len(ROW_FEATURES) :] + schema.of(Side.VARIABLE)[len(VARIABLE_FEATURES) :]
    fits = (schema.width(Side.ROW), schema.width(Side.VARIABLE)) == (n_row_features, n_variable_features)
    return fits and all(feature.in_subproblem is InSubproblem.KEPT for feature in more)


@kernel(nogil=True)
def _transpose(
    indptr: FixedIntegers,
    indices: FixedShorts,
    values: FixedReals,
    offsets: Integers,
    rows: Shorts,
    sorted_values: Reals,
) -> bool:
    """Write the edges by variable, given zero ``offsets``; return whether all of them are between vertices."""
    n_rows, n_variables, n_outside = indptr.size - 1, offsets.size - 1, 0
    for row in range(n_rows):
        n_outside += indptr[row] > indptr[row + 1]
    for edge in range(values.size):
        n_outside += (indices[edge] < 0) | (indices[edge] >= n_variables)
    if n_outside != 0:
        return False
    for edge in range(values.size):
        offsets[indices[edge]] += 1
    for j in range(n_variables):
        offsets[j + 1] += offsets[j]
    # From the last edge on, as this turns each variable's end into its start.
    for row in range(n_rows - 1, -1, -1):
        for edge in range(indptr[row + 1] - 1, indptr[row] - 1, -1):
            offsets[indices[edge]] -= 1
            place = offsets[indices[edge]]
            rows[place] = row
            sorted_values[place] = values[edge]
    return True


@kernel(nogil=True)
def _choose_variables(variables: FixedRealMatrix, candidates: FixedIntegers, place: Integers) -> int:
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


@kernel(nogil=True)
def _choose_rows(
    variables: FixedRealMatrix,
    place: FixedIntegers,
    offsets: FixedIntegers,
    edge_rows: FixedShorts,
    edge_values: FixedReals,
    bias: Reals,
    starts: Integers,
    row_scale: Reals,
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
                # The most that the row's left-hand side can still become; unbounded with a variable that is not binary.
                highest[row] += max(coefficient, 0.0) if is_binary else np.inf
        elif value != 0.0:  # a fixed variable goes to the right-hand side
            for edge in range(offsets[j], offsets[j + 1]):
                bias[edge_rows[edge]] -= edge_values[edge] * value
    n_rows = 0
    for row in range(bias.size):
        if starts[row + 1] > 0 and highest[row] > bias[row] + SETTLED_TOLERANCE:
            n_rows += 1
        else:
            starts[row + 1] = 0
        starts[row + 1] += starts[row]
        # The norm of what is left of the row: coefficients and bias are divided by it, as in a whole LP.
        row_scale[row] = 1.0 / np.sqrt(row_scale[row]) if row_scale[row] > 0.0 else 1.0
    return n_rows


@kernel(nogil=True)
def _take_variables(variables: FixedRealMatrix, place: FixedIntegers, taken: RealMatrix) -> float:
    """Write the features of the variables that stay, and return what scales the objective."""
    squares = 0.0
    for j in range(place.size):
        if place[j] >= 0:
            for k in range(variables.shape[1]):
                taken[place[j], k] = variables[j, k]
            squares += variables[j, _OBJECTIVE] ** 2
    scale = 1.0 / np.sqrt(squares) if squares > 0.0 else 1.0
    for i in range(taken.shape[0]):
        taken[i, _OBJECTIVE] *= scale
        taken[i, _REDUCED_COST] *= scale
    return scale


@kernel(nogil=True)
def _take_rows(
    rows: FixedRealMatrix,
    bias: FixedReals,
    starts: FixedIntegers,
    row_scale: FixedReals,
    scale: float,
    taken: RealMatrix,
    indptr: Integers,
) -> Integers:
    """Write the rows that stay, features but for their cosines; return every row's new number, or -1."""
    place = np.full(rows.shape[0], -1, dtype=np.int64)
    n_rows = 0
    for row in range(rows.shape[0]):
        if starts[row + 1] > starts[row]:
            place[row] = n_rows
            for k in range(rows.shape[1]):
                taken[n_rows, k] = rows[row, k]
            taken[n_rows, _BIAS] = bias[row] * row_scale[row]
            taken[n_rows, _SIMILARITY] = 0.0
            taken[n_rows, _DUAL] *= row_scale[row] * scale
            n_rows += 1
            indptr[n_rows] = starts[row + 1]
    return place


@kernel(nogil=True)
def _take_edges(
    place: FixedIntegers,
    offsets: FixedIntegers,
    edge_rows: FixedShorts,
    edge_values: FixedReals,
    starts: Integers,
    row_place: FixedIntegers,
    row_scale: FixedReals,
    taken_variables: FixedRealMatrix,
    taken_rows: RealMatrix,
    taken: Shorts,
    taken_values: Reals,
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
                taken[at] = place[j]
                taken_values[at] = edge_values[edge] * row_scale[row]
                taken_rows[row_place[row], _SIMILARITY] += taken_values[at] * objective
