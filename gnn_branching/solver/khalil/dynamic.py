"""Features that are taken at every tree node: pseudocosts, cutoffs, degrees, ratios of coefficients, active rows."""

from __future__ import annotations

import numpy as np

from gnn_branching.compilation import Booleans, Integers, RealMatrix, Reals
from gnn_branching.solver import scip_library as scip
from gnn_branching.solver.khalil.static import DEGREE, HUGE, N_STATIC, TINY, write_degrees
from gnn_branching.solver.scip_library import compiled

LEAST_PSEUDOCOST = 1e-5
"""Stands for smaller ones where two are put in proportion."""
DOWN, UP = 0, 1
"""``SCIP_BRANCHDIR``."""
FRACTION, PSEUDOCOST, CUTOFF, LP_DEGREE, TO_SIDE, TO_ALL, ACTIVE = N_STATIC, 20, 25, 29, 36, 40, 48
"""First columns: distances to the integers below and above; pseudocosts; cutoffs; degrees in the LP; coefficients
against sides; against the sums of their rows; in active rows, six columns a weight."""
N_WEIGHTS = 4
POSITIVE_SUM, NEGATIVE_SUM = 0, 1


@compiled
def _quotient(value: float, other: float) -> float:
    """Return a quotient, 0 if one divides by 0."""
    return value / other if other != 0.0 else 0.0


@compiled
def _inverse(value: float) -> float:
    """Return an inverse, 1 of nothing."""
    return 1.0 / value if value != 0.0 else 1.0


@compiled
def pseudo_candidates(address: int) -> Booleans:
    """Return which variables are integer and not fixed, by index."""
    found = np.zeros(scip.n_variables(address), dtype=np.bool_)
    arrays, counts = np.zeros(1, dtype=np.int64), np.zeros(2, dtype=np.int32)
    here = counts.ctypes.data
    if scip.pseudo_candidates(address, arrays.ctypes.data, here, here + counts.itemsize) == scip.OKAY and counts[0]:
        for variable in scip.addresses_at(arrays[0], counts[0]):
            found[scip.column_index(scip.variable_column(variable))] = True
    return found


@compiled
def write_sums(row: int, out: Reals) -> None:
    """Write the sums of a row's positive and of its negative coefficients."""
    positive = negative = 0.0
    for value in scip.reals_at(scip.row_coefficients(row), int(scip.row_n_all_nonzeros(row))):
        if value > 0.0:
            positive += value
        else:
            negative += value
    out[POSITIVE_SUM], out[NEGATIVE_SUM] = positive, negative


@compiled
def unknown_sums(candidates: Integers) -> RealMatrix:
    """Return room for the sums of the candidates' rows, by number, NaN: those of cuts outside the LP are long."""
    most = -1
    for candidate in candidates:
        column = scip.variable_column(candidate)
        for row in scip.addresses_at(scip.column_rows(column), int(scip.column_n_nonzeros(column))):
            most = max(most, int(scip.row_number(row)))
    return np.full((most + 1, 2), np.nan)


@compiled
def is_active(address: int, row: int) -> bool:
    """Return whether a row of the LP holds with equality."""
    activity = scip.row_current_activity(address, row)
    at_right = scip.is_equal(address, activity, scip.row_right(row)) != 0
    return bool(at_right or scip.is_equal(address, activity, scip.row_left(row)) != 0)


@compiled
def read_weights(address: int, candidates: Booleans) -> RealMatrix:
    """Return the weights of each row of the LP, NaN unless it is active.

    They are: one; the inverse of the sum of all absolute coefficients; of those of ``candidates``; the dual value.
    """
    n_rows = int(scip.n_lp_rows(address))
    rows, weights = scip.addresses_at(scip.lp_rows(address), n_rows), np.full((n_rows, N_WEIGHTS), np.nan)
    for i in range(n_rows):
        row, out = rows[i], weights[i]
        if not is_active(address, row):
            continue
        n = int(scip.row_n_all_nonzeros(row))
        columns = scip.addresses_at(scip.row_columns(row), n)
        values = scip.reals_at(scip.row_coefficients(row), n)
        every = some = 0.0
        for k in range(n):
            every += abs(values[k])
            index = int(scip.column_index(columns[k]))
            if index >= 0 and candidates[index]:
                some += abs(values[k])
        out[0], out[1], out[2], out[3] = 1.0, _inverse(every), _inverse(some), abs(scip.row_dual_value(row))
    return weights


@compiled
def write_search(address: int, variable: int, column: int, out: Reals) -> None:
    """Write fractionality, pseudocosts and cutoffs."""
    below = scip.fraction(address, scip.column_solution_value(column))
    above = 1.0 - below
    up = above * scip.variable_pseudocost(address, variable, UP)
    down = below * scip.variable_pseudocost(address, variable, DOWN)
    least, most = max(min(up, down), LEAST_PSEUDOCOST), max(max(up, down), LEAST_PSEUDOCOST)
    out[FRACTION], out[FRACTION + 1] = min(below, above), above
    out[PSEUDOCOST], out[PSEUDOCOST + 1], out[PSEUDOCOST + 2] = up, down, _quotient(least, most)
    out[PSEUDOCOST + 3], out[PSEUDOCOST + 4] = up + down, up * down
    for place, direction in enumerate((UP, DOWN)):
        cutoffs = scip.variable_cutoffs(variable, direction)
        out[CUTOFF + place] = cutoffs
        out[CUTOFF + 2 + place] = _quotient(cutoffs, np.float64(scip.variable_n_branchings(variable, direction)))


@compiled
def write_lp_degrees(rows: Integers, out: Reals) -> None:
    """Write the rows' degrees in the LP, and their proportion to those at the root."""
    write_degrees(rows, True, out, LP_DEGREE)
    for place, statistic in enumerate((0, 2, 3)):
        there, here = out[DEGREE + statistic], out[LP_DEGREE + statistic]
        out[LP_DEGREE + 4 + place] = _quotient(here, there + here)


@compiled
def _note_side(coefficient: float, side: float, out: Reals) -> None:
    """Take a coefficient's proportion to a right-hand side into the extremes of sides of that sign."""
    ratio = _quotient(coefficient, abs(coefficient) + abs(side))
    first = TO_SIDE if side >= 0.0 else TO_SIDE + 2
    out[first], out[first + 1] = min(out[first], ratio), max(out[first + 1], ratio)


@compiled
def write_side_ratios(address: int, rows: Integers, coefficients: Reals, out: Reals) -> None:
    """Write least and largest proportion of coefficients to sides, positive and negative; left sides are negated."""
    infinity = scip.infinity(address)
    for place in range(2):
        out[TO_SIDE + 2 * place], out[TO_SIDE + 2 * place + 1] = 1.0, -1.0
    for i in range(rows.size):
        right, left = scip.row_right(rows[i]), scip.row_left(rows[i])
        if abs(right) < infinity:
            _note_side(coefficients[i], right, out)
        if abs(left) < infinity:
            _note_side(-coefficients[i], -left, out)


@compiled
def write_sum_ratios(rows: Integers, coefficients: Reals, sums: RealMatrix, out: Reals) -> None:
    """Write least and largest proportion of coefficients, by sign, to their rows' sums of either sign.

    Sums are by number of the row, taken once a tree node, and noted.
    """
    for place in range(4):
        out[TO_ALL + 2 * place], out[TO_ALL + 2 * place + 1] = 1.0, 0.0
    for i in range(rows.size):
        value, sum_of = coefficients[i], sums[int(scip.row_number(rows[i]))]
        if np.isnan(sum_of[POSITIVE_SUM]):
            write_sums(rows[i], sum_of)
        if value > 0.0:
            first, to_positive = TO_ALL, value / sum_of[POSITIVE_SUM]
            to_negative = value / (value - sum_of[NEGATIVE_SUM])
        elif value < 0.0:
            first, to_positive = TO_ALL + 4, value / (value - sum_of[POSITIVE_SUM])
            to_negative = value / sum_of[NEGATIVE_SUM]
        else:
            continue
        out[first], out[first + 1] = min(out[first], to_positive), max(out[first + 1], to_positive)
        out[first + 2], out[first + 3] = min(out[first + 2], to_negative), max(out[first + 3], to_negative)


@compiled
def write_active(rows: Integers, coefficients: Reals, weights: RealMatrix, out: Reals) -> None:
    """Write, per weight, its sum over active rows, and sum, mean, deviation and extremes of weighted coefficients."""
    out[ACTIVE : ACTIVE + 6 * N_WEIGHTS] = 0.0
    n_active = 0
    for i in range(rows.size):
        position = int(scip.row_position(rows[i]))
        n_active += position >= 0 and not np.isnan(weights[position, 0])
    if n_active == 0:
        return
    for k in range(N_WEIGHTS):
        count, total, least, most, last = 0.0, 0.0, HUGE, TINY, 0.0
        for i in range(rows.size):
            position = int(scip.row_position(rows[i]))
            if position >= 0 and not np.isnan(weights[position, 0]):
                weight = weights[position, k]
                last = weight * abs(coefficients[i])
                count, total, least, most = count + weight, total + last, min(least, last), max(most, last)
        mean, first = total / n_active, ACTIVE + 6 * k
        out[first], out[first + 1], out[first + 2] = count, total, mean
        out[first + 3] = np.sqrt((last - mean) ** 2 / n_active)
        out[first + 4], out[first + 5] = least, most


@compiled
def read_dynamic(address: int, candidates: Integers, features: RealMatrix) -> None:
    """Write the features of candidates beside the static ones, which are there already.

    Args:
        address: The model, its LP solved.
        candidates: SCIP's variables, (n_candidates,).
        features: (n_candidates, n_khalil_features).
    """
    weights, sums = read_weights(address, pseudo_candidates(address)), unknown_sums(candidates)
    for i in range(candidates.size):
        column, out = scip.variable_column(candidates[i]), features[i]
        n_nonzeros = int(scip.column_n_nonzeros(column))
        rows = scip.addresses_at(scip.column_rows(column), n_nonzeros)
        coefficients = scip.reals_at(scip.column_coefficients(column), n_nonzeros)
        write_search(address, candidates[i], column, out)
        write_lp_degrees(rows, out)
        write_side_ratios(address, rows, coefficients, out)
        write_sum_ratios(rows, coefficients, sums, out)
        write_active(rows, coefficients, weights, out)
