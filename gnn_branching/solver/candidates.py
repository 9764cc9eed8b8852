"""The one candidate set: the same object for the expert, the sampler and the branching rule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyscipopt

from gnn_branching.contracts import CandidateSet, FloatArray, IndexArray


class HandoverError(Exception):
    """SCIP's own rule must decide at this tree node; ``reason`` is a short key for statistics.

    Args:
        reason: For example ``columns-not-in-lp``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Branching candidates of the current tree node, in SCIP's order.

    Args:
        variables: SCIP's variables; valid only during the current callback.
        indices: int64, (n_candidates,): ``VarIndex`` of each.
        lp_values: float64, (n_candidates,): value of each in the LP solution.
    """

    variables: list[pyscipopt.Variable]
    indices: IndexArray
    lp_values: FloatArray


def current_candidates(model: pyscipopt.Model, kind: CandidateSet) -> Candidates:
    """Return the candidates of the current tree node.

    Only candidates of the highest branching priority are returned, as SCIP requires of every rule
    (``SCIPgetLPBranchCands``, SCIP 10, scip_branch.h). Fractional implicit integers are left out, likewise.

    Args:
        model: A model inside a branching callback.
        kind: Which set.

    Raises:
        HandoverError: If not all columns are in the LP, so that positions in the LP are no variable indices.
    """
    if not model.allColsInLP() or model.getNLPCols() != model.getNVars():
        raise HandoverError("columns-not-in-lp")
    if kind is CandidateSet.LP:
        found, values, _, _, n_best, _ = model.getLPBranchCands()
        variables, lp_values = found[:n_best], values[:n_best]
    else:
        found, _, n_best = model.getPseudoBranchCands()
        variables = found[:n_best]
        lp_values = [variable.getLPSol() for variable in variables]
    indices = [variable.getCol().getLPPos() for variable in variables]
    return Candidates(
        variables=variables,
        indices=np.array(indices, dtype=np.int64),
        lp_values=np.array(lp_values, dtype=np.float64),
    )
