"""Verify a policy's best candidates by limited strong branching, and use what it proves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyscipopt

from gnn_branching.contracts import CandidateIndex, FloatArray
from gnn_branching.solver.candidates import Candidates


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduction:
    """Strong branching settled the tree node without branching.

    Args:
        result: SCIP's result code: a domain was reduced, or the tree node cut off.
    """

    result: int


def verify_best(
    model: pyscipopt.Model, candidates: Candidates, scores: FloatArray, *, n_best: int, iteration_limit: int
) -> CandidateIndex | Reduction:
    """Choose among the policy's best candidates by SCIP's score of limited strong branching.

    Args:
        model: A model inside a branching callback, its LP solved to optimality.
        candidates: The candidates.
        scores: float64, (n_candidates,): the policy's scores.
        n_best: How many to verify.
        iteration_limit: LP iterations per child.

    Returns:
        The candidate to branch on; or what strong branching proved instead: with one child infeasible the bound is
        tightened as SCIP's own rules do (``SCIP_REDUCEDDOM``), with both the tree node is cut off.
    """
    order = np.argsort(-scores, kind="stable")[:n_best]
    lp_objective = model.getLPObjVal()
    chosen, best_score = int(order[0]), -1.0
    model.startStrongbranch()
    try:
        for position in order:
            # A pseudo candidate may be integral; SCIP's strong branching here is for fractional ones alone.
            variable = candidates.variables[position]
            value = float(candidates.lp_values[position])
            if model.isFeasIntegral(value):
                continue
            down, up, _, _, down_infeasible, up_infeasible, _, _, failed = model.getVarStrongbranch(
                variable, iteration_limit, idempotent=False, integral=False
            )
            # An infeasible child changes the tree node, so that scores of further candidates would be worth nothing.
            if failed or down_infeasible or up_infeasible:
                break
            gains = [max(down - lp_objective, 0.0), max(up - lp_objective, 0.0)]
            score = model.getBranchScoreMultiple(variable, gains)
            if score > best_score:
                chosen, best_score = int(position), score
        else:
            return CandidateIndex(chosen)
    finally:
        model.endStrongbranch()
    if failed:
        return CandidateIndex(chosen)
    if down_infeasible and up_infeasible:
        return Reduction(result=pyscipopt.SCIP_RESULT.CUTOFF)
    if down_infeasible:
        infeasible, tightened = model.tightenVarLb(variable, float(np.ceil(value)), force=True)
    else:
        infeasible, tightened = model.tightenVarUb(variable, float(np.floor(value)), force=True)
    if infeasible:
        return Reduction(result=pyscipopt.SCIP_RESULT.CUTOFF)
    return Reduction(result=pyscipopt.SCIP_RESULT.REDUCEDDOM) if tightened else CandidateIndex(chosen)
