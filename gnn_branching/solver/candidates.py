"""Candidates of one tree node: the same object for the expert, the sampler and the branching rule."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyscipopt

from gnn_branching.compilation import Integers, Reals
from gnn_branching.contracts import CandidateIndex, CandidateSet, FloatArray, IndexArray
from gnn_branching.solver import scip_library as scip
from gnn_branching.solver.environment import address_of
from gnn_branching.solver.scip_library import compiled

PROBLEMS = ("", "columns-not-in-lp", "no-candidates")
"""What may be wrong with the candidates of a tree node: reasons for handing over."""


class HandoverError(Exception):
    """SCIP's own rule must decide at this tree node; ``reason`` is a short key for statistics.

    Args:
        reason: For example ``columns-not-in-lp``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """Branching candidates of the current tree node, in SCIP's order; valid only during the current callback.

    Args:
        model: The model.
        kind: Which set they are.
        addresses: int64, (n_candidates,): SCIP's variables.
        indices: int64, (n_candidates,): ``SCIPvarGetProbindex`` of each.
        lp_values: float64, (n_candidates,): value of each in the LP solution.
    """

    model: pyscipopt.Model
    kind: CandidateSet
    addresses: IndexArray
    indices: IndexArray
    lp_values: FloatArray

    def __len__(self) -> int:
        """Return how many there are."""
        return int(self.indices.size)

    @cached_property
    def variables(self) -> list[pyscipopt.Variable]:
        """The variables as PySCIPOpt's objects, made only when asked for: each costs as much as its features."""
        lp = self.kind is CandidateSet.LP
        found = self.model.getLPBranchCands()[0] if lp else self.model.getPseudoBranchCands()[0]
        return list(found[: len(self)])

    def branch(self, chosen: CandidateIndex) -> None:
        """Create SCIP's ordinary children for one candidate.

        Raises:
            RuntimeError: If SCIP refuses.
        """
        code = branch(address_of(self.model), self.addresses[chosen])
        if code != scip.OKAY:
            raise RuntimeError(f"SCIPbranchVar failed with code {code}")


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
    problem, addresses, indices, lp_values = find(address_of(model), kind is CandidateSet.LP)
    if problem:
        raise HandoverError(PROBLEMS[problem])
    return Candidates(model=model, kind=kind, addresses=addresses, indices=indices, lp_values=lp_values)


@compiled
def find(address: int, lp: bool) -> tuple[int, Integers, Integers, Reals]:
    """Return a position in ``PROBLEMS``, and addresses, indices and LP values of the candidates of highest priority."""
    arrays, counts = np.zeros(2, dtype=np.int64), np.zeros(2, dtype=np.int32)
    found, solution = arrays.ctypes.data, arrays.ctypes.data + arrays.itemsize
    total, best = counts.ctypes.data, counts.ctypes.data + counts.itemsize
    problem = 0
    if scip.all_columns_in_lp(address) == 0 or scip.n_lp_columns(address) != scip.n_variables(address):
        problem = 1
    elif lp:
        problem = 0 if scip.lp_candidates(address, found, solution, 0, total, best, 0) == scip.OKAY else 2
    else:
        problem = 0 if scip.pseudo_candidates(address, found, total, best) == scip.OKAY else 2
    n = 0 if problem else counts[1]
    addresses, indices, values = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64), np.empty(n)
    if n:
        variables, solution_values = scip.addresses_at(arrays[0], n), scip.reals_at(arrays[1], n if lp else 0)
        for i in range(n):
            addresses[i] = variables[i]
            indices[i] = scip.column_index(scip.variable_column(addresses[i]))
            values[i] = solution_values[i] if lp else scip.variable_lp_value(addresses[i])
    return problem, addresses, indices, values


@compiled
def branch(address: int, variable: int) -> int:
    """Create the children of a variable; return SCIP's code."""
    return int(scip.branch_on_variable(address, variable, 0, 0, 0))


def pseudocost_scores(candidates: Candidates) -> FloatArray:
    """Return SCIP's pseudocost score of each candidate, float64, (n_candidates,)."""
    scores = np.empty(len(candidates))
    read_pseudocost_scores(address_of(candidates.model), candidates.addresses, candidates.lp_values, scores)
    return scores


@compiled
def read_pseudocost_scores(address: int, candidates: Integers, lp_values: Reals, out: Reals) -> None:
    """Write SCIP's pseudocost scores."""
    for i in range(candidates.size):
        out[i] = scip.variable_pseudocost_score(address, candidates[i], lp_values[i])
