"""A policy of one's own without any learning: any function of a tree node's state to one score per candidate."""

from __future__ import annotations

import numpy as np
import pyscipopt

from gnn_branching import LearnedBranching
from gnn_branching.contracts import BranchingState, FloatArray, RuleStatistics
from gnn_branching.feature_schema import VARIABLE_FEATURES

FRACTION = VARIABLE_FEATURES.index("solution_frac")


def most_infeasible(state: BranchingState) -> FloatArray:
    """Prefer the candidate whose value in the LP is nearest to one half."""
    return -np.abs(state.variable_features[state.candidates, FRACTION] - 0.5)


def solve(file: str) -> RuleStatistics:
    """Solve a model with it."""
    model = pyscipopt.Model()
    model.hideOutput()
    model.readProblem(file)
    rule = LearnedBranching.attach(model, most_infeasible)
    model.optimize()
    return rule.statistics
