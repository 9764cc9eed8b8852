"""Features that are taken at the root: objective, number and degrees of rows, coefficients."""

from __future__ import annotations

import numpy as np

from gnn_branching.compilation import Integers, RealMatrix, Reals
from gnn_branching.solver import scip_library as scip
from gnn_branching.solver.scip_library import compiled

OBJECTIVE, N_ROWS, DEGREE, POSITIVE, NEGATIVE = 0, 3, 4, 8, 13
"""First columns: objective (as it is, its positive, its negative part); rows; their degrees (mean, deviation, least,
most); coefficients of either sign (count, mean, deviation, least, most)."""
N_STATIC = 18
TINY = float(np.finfo(np.float64).tiny)
"""Where Ecole starts to look for a maximum: C++'s ``numeric_limits<double>::min()``."""
HUGE = float(np.finfo(np.float64).max)


@compiled
def write_degrees(rows: Integers, in_lp: bool, out: Reals, first: int) -> None:
    """Write mean, standard deviation, minimum and maximum of the rows' degrees; zeros without rows.

    Args:
        rows: SCIP's rows.
        in_lp: Whether only nonzeros of columns in the LP count.
        out: Gets four numbers.
        first: Position of the first of them.
    """
    out[first : first + 4] = 0.0
    if rows.size == 0:
        return
    total, least, most = 0, 2**31 - 1, 0
    for row in rows:
        degree = int(scip.row_n_nonzeros(row)) if in_lp else int(scip.row_n_all_nonzeros(row))
        total, least, most = total + degree, min(least, degree), max(most, degree)
    mean = np.float64(total) / rows.size
    squares = 0.0
    for row in rows:
        degree = int(scip.row_n_nonzeros(row)) if in_lp else int(scip.row_n_all_nonzeros(row))
        squares += (degree - mean) ** 2
    out[first], out[first + 1] = mean, np.sqrt(squares / rows.size)
    out[first + 2], out[first + 3] = least, most


@compiled
def write_coefficients(coefficients: Reals, sign: float, out: Reals, first: int) -> None:
    """Write count, mean, standard deviation, minimum and maximum of the coefficients of one sign; zeros without any."""
    out[first : first + 5] = 0.0
    total, count, least, most = 0.0, 0.0, HUGE, TINY
    for value in coefficients:
        if sign * value > 0.0:
            count += 1.0
            total += value
            least, most = min(least, value), max(most, value)
    if count == 0.0:
        return
    mean = np.float64(np.uint64(np.int64(total))) / count  # Ecole keeps the sum as an unsigned integer
    squares = 0.0
    for value in coefficients:
        if sign * value > 0.0:
            squares += (value - mean) ** 2
    out[first], out[first + 1], out[first + 2] = count, mean, np.sqrt(squares / count)
    out[first + 3], out[first + 4] = least, most


@compiled
def read_static(address: int, features: RealMatrix) -> None:
    """Write the features of all columns of the LP, in its order, (n_columns, n_static)."""
    columns = scip.addresses_at(scip.lp_columns(address), features.shape[0])
    for i in range(features.shape[0]):
        column, out = columns[i], features[i]
        n_nonzeros = int(scip.column_n_nonzeros(column))
        rows = scip.addresses_at(scip.column_rows(column), n_nonzeros)
        coefficients = scip.reals_at(scip.column_coefficients(column), n_nonzeros)
        objective = scip.column_objective(column)
        out[OBJECTIVE], out[OBJECTIVE + 1], out[OBJECTIVE + 2] = objective, max(objective, 0.0), min(objective, 0.0)
        out[N_ROWS] = n_nonzeros
        write_degrees(rows, False, out, DEGREE)
        write_coefficients(coefficients, 1.0, out, POSITIVE)
        write_coefficients(coefficients, -1.0, out, NEGATIVE)
