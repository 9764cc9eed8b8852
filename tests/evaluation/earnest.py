"""SCIP in earnest, with a policy that needs no training."""

from __future__ import annotations

import numpy as np

from gnn_branching.contracts import FEATURE_SCHEMA, BranchingState, CandidateSet, FloatArray, SolveFigures
from gnn_branching.evaluation.solves import solving
from gnn_branching.evaluation.solves.plan import SolveJob


class FirstCandidate:
    """A policy that needs no training: prefers the candidate that covers most."""

    name = "first"
    feature_schema = FEATURE_SCHEMA
    candidate_set = CandidateSet.LP

    def scores(self, state: BranchingState) -> FloatArray:
        n_nonzeros = np.bincount(state.edges.indices, minlength=state.n_variables)
        return n_nonzeros[state.candidates].astype(np.float64)


def prepare_toy(job: SolveJob) -> str | FirstCandidate:
    return FirstCandidate() if job.policy.is_learned else job.policy.name


def solve_in_earnest(job: SolveJob) -> SolveFigures:
    solving.prepare_rule = prepare_toy  # type: ignore[assignment]
    return solving.solve_job(job)


def record_tree(job: SolveJob) -> SolveFigures:
    solving.prepare_rule = prepare_toy  # type: ignore[assignment]
    return solving.record_tree(job)


def record_agreement(job: SolveJob) -> SolveFigures:
    solving.prepare_rule = prepare_toy  # type: ignore[assignment]
    return solving.record_agreement(job)
