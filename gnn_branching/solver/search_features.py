"""What the search has learned of the candidates, and where it stands, read from a live model by compiled code.

Whatever SCIP measures in units of the objective is put in proportion to the same of the other candidates, or to the
gap: no feature changes when the objective is multiplied by a constant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnn_branching.compilation import Integers, RealMatrix, Reals
from gnn_branching.contracts import FloatArray
from gnn_branching.feature_schema import SEARCH_FEATURES
from gnn_branching.solver import scip_library as scip
from gnn_branching.solver.environment import address_of
from gnn_branching.solver.scip_library import compiled

if TYPE_CHECKING:
    from gnn_branching.solver.candidates import Candidates

LEAST_PROPORTION = 1e-3
"""Proportions below this, or above its inverse, are that: their logarithms stay within ±6.9."""
DOWN, UP = 0, 1
"""``SCIP_BRANCHDIR``."""

_Column = {name: position for position, name in enumerate(SEARCH_FEATURES)}
_FRACTIONALITY = _Column["fractionality"]
_PSEUDOCOST_DOWN, _PSEUDOCOST_UP = _Column["pseudocost_down"], _Column["pseudocost_up"]
_SCORE, _TO_BEST = _Column["pseudocost_score"], _Column["pseudocost_score_to_best"]
_N_DOWN, _N_UP = _Column["n_down"], _Column["n_up"]
_DEVIATION_DOWN, _DEVIATION_UP = _Column["deviation_down"], _Column["deviation_up"]
_GAIN_DOWN, _GAIN_UP = _Column["gain_down_to_gap"], _Column["gain_up_to_gap"]
_INFERENCE, _CONFLICT, _CUTOFF = _Column["inference_score"], _Column["conflict_score"], _Column["cutoff_score"]
_DOMAIN = _Column["domain_left"]
_STRONG_KNOWN, _STRONG_SCORE = _Column["is_strong_branching_known"], _Column["strong_branching_score"]
_STRONG_AGE = _Column["strong_branching_age"]
_DEPTH, _PLUNGE = _Column["depth"], _Column["plunge_depth"]
_N_CANDIDATES, _N_NODES, _OPEN = _Column["n_candidates"], _Column["n_nodes"], _Column["open_nodes"]
_HAS_INCUMBENT, _GAP_CLOSED = _Column["has_incumbent"], _Column["gap_closed"]
_POSITION, _ESTIMATE = _Column["bound_position"], _Column["estimate_position"]


def extract_search(candidates: Candidates) -> FloatArray:
    """Return the candidates' features, fresh, float64, (n_candidates, n_search_features).

    Args:
        candidates: Of the current tree node, its LP solved.
    """
    features = np.zeros((len(candidates), len(SEARCH_FEATURES)))
    read_search(address_of(candidates.model), candidates.addresses, candidates.lp_values, features)
    return features


@compiled
def _share(value: float, other: float) -> float:
    """Return how much a value, zero or more, is of itself and another one; 0 of nothing."""
    return value / (value + other) if value > 0.0 else 0.0


@compiled
def _log_proportion(value: float, other: float) -> float:
    """Return the logarithm of a proportion within bounds; 0 if there is nothing to compare with."""
    if not other > 0.0:
        return 0.0
    return float(np.log(min(max(value / other, LEAST_PROPORTION), 1.0 / LEAST_PROPORTION)))


@compiled
def _read_strong_branching(address: int, variable: int, infinity: float, row: Reals) -> None:
    """Write the score and the age of the last strong branching on a variable, if there was one that told gains."""
    age = scip.variable_strong_branching_age(address, variable)
    if not 0 <= age < 2**62:  # SCIP's largest number stands for never
        return
    bounds = np.zeros(4)
    here = bounds.ctypes.data
    # SCIP writes through pointers: the children's bounds to entries 0 and 1, the LP's objective then to entry 3.
    code = scip.variable_strong_branching(address, variable, here, here + 8, 0, 0, 0, here + 24)
    if code != scip.OKAY or not (abs(bounds[0]) < infinity and abs(bounds[1]) < infinity):
        return
    down, up = max(bounds[0] - bounds[3], 0.0), max(bounds[1] - bounds[3], 0.0)
    row[_STRONG_KNOWN] = 1.0
    row[_STRONG_SCORE] = scip.branch_score(address, variable, down, up)
    row[_STRONG_AGE] = np.log1p(np.float64(age))


@compiled
def _read_standing(address: int, objective: float, upper: float, has_incumbent: bool, out: RealMatrix) -> None:
    """Write what is the same for all candidates."""
    n_nodes = np.float64(scip.n_nodes(address))
    n_open = np.float64(scip.n_open_nodes(address))
    closed = position = estimate = 0.0
    if has_incumbent:
        lower, root = scip.lower_bound(address), scip.root_lower_bound(address)
        closed = _share(max(lower - root, 0.0), max(upper - lower, 0.0))
        position = _share(max(objective - lower, 0.0), max(upper - objective, 0.0))
        estimate = _share(max(scip.estimate(address) - objective, 0.0), max(upper - objective, 0.0))
    for i in range(out.shape[0]):
        row = out[i]
        row[_DEPTH] = np.log1p(np.float64(scip.depth(address)))
        row[_PLUNGE] = np.log1p(np.float64(scip.plunge_depth(address)))
        row[_N_CANDIDATES] = np.log(np.float64(out.shape[0]))
        row[_N_NODES] = np.log1p(n_nodes)
        row[_OPEN] = _share(n_open, n_nodes)
        row[_HAS_INCUMBENT] = 1.0 if has_incumbent else 0.0
        row[_GAP_CLOSED], row[_POSITION], row[_ESTIMATE] = closed, position, estimate


@compiled
def read_search(address: int, candidates: Integers, lp_values: Reals, out: RealMatrix) -> None:
    """Write all features; ``out`` holds zeros."""
    infinity, objective = scip.infinity(address), scip.lp_objective(address)
    upper = scip.upper_bound(address)
    has_incumbent = upper < infinity
    gap = max(upper - objective, 0.0) if has_incumbent else infinity
    learned_down = scip.n_pseudocosts(address, DOWN, 0) > 0.0
    learned_up = scip.n_pseudocosts(address, UP, 0) > 0.0
    n = candidates.size
    for i in range(n):
        variable, row = candidates[i], out[i]
        fraction = lp_values[i] - scip.floor(address, lp_values[i])
        row[_FRACTIONALITY] = min(fraction, 1.0 - fraction)
        down, up = scip.variable_pseudocost(address, variable, DOWN), scip.variable_pseudocost(address, variable, UP)
        row[_PSEUDOCOST_DOWN], row[_PSEUDOCOST_UP] = down * fraction, up * (1.0 - fraction)
        row[_SCORE] = scip.branch_score(address, variable, row[_PSEUDOCOST_DOWN], row[_PSEUDOCOST_UP])
        row[_N_DOWN] = np.log1p(scip.variable_n_pseudocosts(address, variable, DOWN))
        row[_N_UP] = np.log1p(scip.variable_n_pseudocosts(address, variable, UP))
        deviation = np.sqrt(max(scip.variable_pseudocost_variance(address, variable, DOWN, 0), 0.0))
        row[_DEVIATION_DOWN] = _share(deviation, down)
        deviation = np.sqrt(max(scip.variable_pseudocost_variance(address, variable, UP, 0), 0.0))
        row[_DEVIATION_UP] = _share(deviation, up)
        if has_incumbent:
            row[_GAIN_DOWN] = _share(row[_PSEUDOCOST_DOWN], gap) if learned_down else 0.0
            row[_GAIN_UP] = _share(row[_PSEUDOCOST_UP], gap) if learned_up else 0.0
        row[_INFERENCE] = scip.variable_inference_score(address, variable)
        row[_CONFLICT] = scip.variable_conflict_score(address, variable)
        row[_CUTOFF] = scip.variable_cutoff_score(address, variable)
        whole = scip.variable_global_upper_bound(variable) - scip.variable_global_lower_bound(variable)
        left = scip.variable_local_upper_bound(variable) - scip.variable_local_lower_bound(variable)
        row[_DOMAIN] = left / whole if 0.0 < whole < infinity else 1.0
        _read_strong_branching(address, variable, infinity, row)
    # A second pass: only now is known what each candidate's values are to be compared with.
    mean_score = out[:, _SCORE].mean() if n else 0.0
    best_score = out[:, _SCORE].max() if n else 0.0
    mean_down, mean_up = out[:, _PSEUDOCOST_DOWN].sum() / max(n, 1), out[:, _PSEUDOCOST_UP].sum() / max(n, 1)
    mean_inference, mean_conflict = out[:, _INFERENCE].sum() / max(n, 1), out[:, _CONFLICT].sum() / max(n, 1)
    mean_cutoff = out[:, _CUTOFF].sum() / max(n, 1)
    for i in range(n):
        row = out[i]
        row[_PSEUDOCOST_DOWN] = _log_proportion(row[_PSEUDOCOST_DOWN], mean_down)
        row[_PSEUDOCOST_UP] = _log_proportion(row[_PSEUDOCOST_UP], mean_up)
        # Before the score itself is overwritten by its proportion to the mean.
        row[_TO_BEST] = _log_proportion(row[_SCORE], best_score)
        row[_SCORE] = _log_proportion(row[_SCORE], mean_score)
        row[_INFERENCE] = _share(row[_INFERENCE], mean_inference)
        row[_CONFLICT] = _share(row[_CONFLICT], mean_conflict)
        row[_CUTOFF] = _share(row[_CUTOFF], mean_cutoff)
        if row[_STRONG_KNOWN] != 0.0:
            row[_STRONG_SCORE] = _log_proportion(row[_STRONG_SCORE], mean_score)
    _read_standing(address, objective, upper, has_incumbent, out)
