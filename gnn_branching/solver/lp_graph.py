"""The bipartite graph of the current LP, read from a live model by compiled code.

The values are those of Ecole's ``NodeBipartite`` (which Gasse et al. 2019, table 1, describe); rows whose coefficients
cannot have changed since the last tree node are not read again.
"""

from __future__ import annotations

import numpy as np
import pyscipopt

from gnn_branching.compilation import IntegerMatrix, Integers, RealMatrix, Reals, Shorts
from gnn_branching.contracts import FloatArray
from gnn_branching.edges import Edges, read_only
from gnn_branching.feature_schema import ROW_FEATURES, VARIABLE_FEATURES
from gnn_branching.solver import scip_library as scip
from gnn_branching.solver.environment import address_of
from gnn_branching.solver.scip_library import compiled

UNKNOWN_INCUMBENT_VALUE = 0.0
"""Stands for the incumbent's value, and the average incumbent's, while there is none (Ecole gives NaN)."""
AGE_OFFSET = 5.0
"""Added to the number of LPs that ages are divided by."""
MODIFIABLE = -1
"""Stands for the number of a row that may change."""

_BIAS, _SIMILARITY, _TIGHT, _DUAL, _ROW_AGE = range(len(ROW_FEATURES))
_Variable = {name: position for position, name in enumerate(VARIABLE_FEATURES)}
_OBJECTIVE = _Variable["objective"]
_TYPES = _Variable["is_type_binary"]
_HAS_LOWER, _HAS_UPPER = _Variable["has_lower_bound"], _Variable["has_upper_bound"]
_REDUCED_COST = _Variable["normed_reduced_cost"]
_SOLUTION, _FRACTION = _Variable["solution_value"], _Variable["solution_frac"]
_AT_LOWER, _AT_UPPER = _Variable["is_solution_at_lower_bound"], _Variable["is_solution_at_upper_bound"]
_AGE = _Variable["scaled_age"]
_INCUMBENT, _AVERAGE = _Variable["incumbent_value"], _Variable["average_incumbent_value"]
_BASIS = _Variable["is_basis_lower"]
_CONTINUOUS = 3
"""``SCIP_VARTYPE_CONTINUOUS``; types and basis states number the columns of their features, one after the other."""


class LpGraph:
    """The graph of one model's LP.

    Rows are told apart by their numbers, which SCIP gives once in a solve, and by how many of their nonzeros are in the
    LP. A row of the LP that is not modifiable is locked: SCIP refuses to change its coefficients (``SCIProwLock``,
    lp.c). So as long as rows and variables are those of the last tree node, so are the edges.

    Args:
        model: A model in the solving stage, whose plug-ins read from this graph until the stage ends; not kept alive.
    """

    def __init__(self, model: pyscipopt.Model) -> None:
        self.address = address_of(model)
        self._variables = np.empty(0, dtype=np.int64)
        self._rows = np.empty((0, 2), dtype=np.int64)
        self._products = np.empty(0)
        self._n_rows = 0
        self.edges = Edges(indptr=np.zeros(1, dtype=np.int64), indices=np.empty(0, dtype=np.int32), values=np.empty(0))
        self.edges_are_finite = True

    def read(self) -> tuple[FloatArray, FloatArray]:
        """Read the features of the current tree node, its LP solved, and the edges if they may have changed.

        Returns:
            Row features (n_rows, n_row_features) and variable features (n_variables, n_variable_features), fresh.
        """
        # A few comparisons a row instead of reading every coefficient: between neighbours in the tree little changes.
        if not same_graph(self.address, self._variables, self._rows):
            self._read_structure()
        row_features = np.empty((self._n_rows, len(ROW_FEATURES)))
        variable_features = np.empty((self._variables.size, len(VARIABLE_FEATURES)))
        read_features(self.address, self._variables, self._products, row_features, variable_features)
        return row_features, variable_features

    def _read_structure(self) -> None:
        n_variables, n_lp_rows, self._n_rows, n_edges = (int(n) for n in count_graph(self.address))
        self._variables = np.empty(n_variables, dtype=np.int64)
        self._rows = np.empty((n_lp_rows, 2), dtype=np.int64)
        self._products = np.empty(n_lp_rows)
        indptr, indices = np.zeros(self._n_rows + 1, dtype=np.int64), np.empty(n_edges, dtype=np.int32)
        values = np.empty(n_edges)
        read_structure(self.address, self._variables, self._rows, self._products, indptr, indices, values)
        self.edges_are_finite = bool(np.isfinite(values).all())
        self.edges = Edges(indptr=read_only(indptr), indices=read_only(indices), values=read_only(values))


@compiled
def sides(address: int, row: int) -> int:
    """Return 1 for a finite left-hand side, plus 2 for a finite right-hand side."""
    infinity = scip.infinity(address)
    has_left, has_right = abs(scip.row_left(row)) < infinity, abs(scip.row_right(row)) < infinity
    return (1 if has_left else 0) + (2 if has_right else 0)


@compiled
def shape(address: int, row: int) -> int:
    """Return the number of a row's nonzeros in the LP and its sides, in one number."""
    return 4 * int(scip.row_n_nonzeros(row)) + sides(address, row)


@compiled
def same_graph(address: int, known_variables: Integers, known_rows: IntegerMatrix) -> bool:
    """Return whether variables and rows are the known ones."""
    n_variables, n_rows = scip.n_variables(address), scip.n_lp_rows(address)
    if n_variables != known_variables.size or n_rows != known_rows.shape[0]:
        return False
    variables = scip.addresses_at(scip.variables(address), n_variables)
    for i in range(n_variables):
        if variables[i] != known_variables[i]:
            return False
    rows = scip.addresses_at(scip.lp_rows(address), n_rows)
    for i in range(n_rows):
        if known_rows[i, 0] != scip.row_number(rows[i]) or known_rows[i, 1] != shape(address, rows[i]):
            return False
    return True


@compiled
def count_graph(address: int) -> tuple[int, int, int, int]:
    """Return the numbers of variables, of the LP's rows, of the graph's rows, one a side, and of its edges."""
    n_lp_rows = scip.n_lp_rows(address)
    rows = scip.addresses_at(scip.lp_rows(address), n_lp_rows)
    n_rows = n_edges = 0
    for i in range(n_lp_rows):
        n_sides = (sides(address, rows[i]) + 1) // 2
        n_rows += n_sides
        n_edges += n_sides * scip.row_n_nonzeros(rows[i])
    return int(scip.n_variables(address)), int(n_lp_rows), n_rows, n_edges


@compiled
def read_structure(
    address: int,
    known_variables: Integers,
    known_rows: IntegerMatrix,
    products: Reals,
    indptr: Integers,
    indices: Shorts,
    edge_values: Reals,
) -> None:
    """Write what stays: variables, numbers and shapes of rows, the rows' products with the objective, edges."""
    variables = scip.addresses_at(scip.variables(address), known_variables.size)
    for i in range(known_variables.size):
        known_variables[i] = variables[i]
    rows = scip.addresses_at(scip.lp_rows(address), known_rows.shape[0])
    vertex = edge = 0
    for i in range(known_rows.shape[0]):
        row = rows[i]
        # A row that may be changed never matches its number again, so that it is read anew at every tree node.
        known_rows[i, 0] = MODIFIABLE if scip.row_is_modifiable(row) != 0 else int(scip.row_number(row))
        known_rows[i, 1] = shape(address, row)
        n = scip.row_n_nonzeros(row)
        columns = scip.addresses_at(scip.row_columns(row), n)
        values = scip.reals_at(scip.row_coefficients(row), n)
        norm = scip.row_norm(row)
        norm = norm if norm > 0.0 else 1.0
        products[i] = 0.0
        for k in range(n):
            products[i] += values[k] * scip.column_objective(columns[k])
        # A ranged row or an equation is two vertices: its left-hand side, signs turned, then its right-hand side.
        for side in range(2):
            if sides(address, row) & (1 << side):
                sign = 1.0 if side else -1.0
                for k in range(n):
                    indices[edge] = scip.column_index(columns[k])
                    edge_values[edge] = sign * values[k] / norm
                    edge += 1
                vertex += 1
                indptr[vertex] = edge


@compiled
def read_rows(address: int, products: Reals, objective_norm: float, age_scale: float, features: RealMatrix) -> None:
    """Write row features."""
    rows = scip.addresses_at(scip.lp_rows(address), products.size)
    objective_scale = objective_norm if objective_norm > 0.0 else 1.0
    vertex = 0
    for i in range(products.size):
        row = rows[i]
        norm = scip.row_norm(row)
        similarity = 0.0
        if scip.is_positive(address, norm * objective_norm) != 0:
            similarity = products[i] / (norm * objective_norm)
        norm = norm if norm > 0.0 else 1.0
        dual = scip.row_dual_value(row) / (norm * objective_scale)
        age = scip.row_age(row) / age_scale
        activity, constant = scip.row_activity(address, row), scip.row_constant(row)
        present = sides(address, row)
        for side in range(2):
            if present & (1 << side):
                sign = 1.0 if side else -1.0
                bound = scip.row_right(row) if side else scip.row_left(row)
                features[vertex, _BIAS] = sign * (bound - constant) / norm
                features[vertex, _SIMILARITY] = sign * similarity
                features[vertex, _TIGHT] = 1.0 if scip.is_equal(address, activity, bound) != 0 else 0.0
                features[vertex, _DUAL] = sign * dual
                features[vertex, _ROW_AGE] = age
                vertex += 1


@compiled
def read_variables(
    address: int, variables: Integers, objective_norm: float, age_scale: float, features: RealMatrix
) -> None:
    """Write variable features."""
    infinity, incumbent = scip.infinity(address), scip.best_solution(address)
    features[:] = 0.0
    for i in range(variables.size):
        variable, out = variables[i], features[i]
        column, kind = scip.variable_column(variable), scip.variable_type(variable)
        value = scip.variable_lp_value(variable)
        out[_OBJECTIVE] = scip.variable_objective(variable) / objective_norm
        out[_TYPES + kind] = 1.0
        lower, upper = scip.column_lower_bound(column), scip.column_upper_bound(column)
        position = scip.column_solution_value(column)
        if abs(lower) < infinity:
            out[_HAS_LOWER] = 1.0
            out[_AT_LOWER] = 1.0 if scip.is_equal(address, position, lower) != 0 else 0.0
        if abs(upper) < infinity:
            out[_HAS_UPPER] = 1.0
            out[_AT_UPPER] = 1.0 if scip.is_equal(address, position, upper) != 0 else 0.0
        out[_REDUCED_COST] = scip.variable_reduced_cost(address, variable) / objective_norm
        out[_SOLUTION] = value
        if kind != _CONTINUOUS:
            out[_FRACTION] = scip.fraction(address, value)
        out[_AGE] = scip.column_age(column) / age_scale
        out[_INCUMBENT] = out[_AVERAGE] = UNKNOWN_INCUMBENT_VALUE
        if incumbent != 0:
            out[_INCUMBENT] = scip.solution_value(address, incumbent, variable)
            out[_AVERAGE] = scip.variable_average(variable)
        out[_BASIS + scip.column_basis_status(column)] = 1.0


@compiled
def read_features(
    address: int,
    variables: Integers,
    products: Reals,
    row_features: RealMatrix,
    variable_features: RealMatrix,
) -> None:
    """Write the features of the current tree node."""
    objective_norm = scip.objective_norm(address)
    age_scale = np.float64(scip.n_lps(address)) + AGE_OFFSET
    read_rows(address, products, objective_norm, age_scale, row_features)
    scale = objective_norm if objective_norm > 0.0 else 1.0
    read_variables(address, variables, scale, age_scale, variable_features)
