"""Models whose costs are all equal, shown to a policy in the size that it was trained on.

Ecole's ``NodeBipartite`` divides by the norm of the objective. Where n costs are all equal, each one becomes 1/sqrt(n),
and whatever else is divided by the norm shrinks with it: of the objective nothing is left but the model's size. A
network that was trained on models of one size has never seen another number there, and what it makes of one is noise.
So the objective of a larger or smaller model is scaled until its coefficients are those of the training.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gnn_branching.compilation import FixedRealMatrix, kernel
from gnn_branching.contracts import BranchingState, FeatureRanges
from gnn_branching.feature_schema import ROW_FEATURES, VARIABLE_FEATURES

_OBJECTIVE = VARIABLE_FEATURES.index("objective")
_OF_VARIABLES = (_OBJECTIVE, VARIABLE_FEATURES.index("normed_reduced_cost"))
_OF_ROWS = (ROW_FEATURES.index("objective_cosine_similarity"), ROW_FEATURES.index("dual_solution_value"))
"""Columns with the norm of the objective in their denominators."""
TOLERANCE = 1e-9
"""Coefficients that differ by no more are equal."""


class EqualCosts:
    """Tells by what to scale the objective of a model whose costs are all equal.

    Args:
        ranges: What was seen in training; None where that is not known.
    """

    def __init__(self, ranges: FeatureRanges | None) -> None:
        low, high = (np.nan, np.nan) if ranges is None else ranges.variable[:, _OBJECTIVE]
        self._trained = float(low) if high - low <= TOLERANCE else 0.0

    def scale(self, state: BranchingState) -> float:
        """Return what makes a model's coefficients those of the training; 1 unless both have one only, of one sign.

        Args:
            state: A tree node's whole LP.
        """
        if not self._trained:
            return 1.0
        cost = float(only_cost(np.ascontiguousarray(state.variable_features)))
        if abs(cost - self._trained) <= TOLERANCE or not cost * self._trained > 0.0:
            return 1.0
        return float(self._trained / cost)


def scaled(state: BranchingState, scale: float) -> BranchingState:
    """Return a state with its objective multiplied by ``scale``, which its normalisation does not undo."""
    if scale == 1.0:
        return state
    rows, variables = state.row_features.copy(), state.variable_features.copy()
    rows[:, _OF_ROWS] *= scale
    variables[:, _OF_VARIABLES] *= scale
    return replace(state, row_features=rows, variable_features=variables)


@kernel(nogil=True)
def only_cost(variables: FixedRealMatrix) -> float:
    """Return the one normalised objective coefficient that all variables have; 0 if there are several, or none.

    Args:
        variables: float64, (n_variables, n_variable_features).
    """
    if variables.shape[0] == 0:
        return 0.0
    first = float(variables[0, _OBJECTIVE])
    for j in range(variables.shape[0]):
        if not abs(variables[j, _OBJECTIVE] - first) <= TOLERANCE:
            return 0.0
    return first
