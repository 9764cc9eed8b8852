"""Ask strong branching along the tree that a policy builds: how often would it have chosen the same?"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gnn_branching.contracts import AgreementRecord, BranchingState, FloatArray, Policy
from gnn_branching.labels import tied_for_best
from gnn_branching.solver.candidates import current_candidates
from gnn_branching.solver.expert import make_expert
from gnn_branching.solver.rule import FunctionPolicy
from gnn_branching.solver.settings import SolveLimits
from gnn_branching.solver.solve import prepare_solve

N_TOP = 5


def agreement_along_tree(
    path: str | Path,
    policy: Policy,
    *,
    settings: str,
    seed: int,
    limits: SolveLimits,
) -> list[AgreementRecord]:
    """Solve with a policy, and score its candidates by strong branching at the tree nodes it visits.

    The expert leaves SCIP's state as it was, so that the tree is the one the policy builds alone.

    Args:
        path: Problem file.
        policy: Who branches.
        settings: Named SCIP settings.
        seed: SCIP's seed.
        limits: When to stop.
    """
    records: list[AgreementRecord] = []
    expert = make_expert(policy.candidate_set)

    def scores(state: BranchingState) -> FloatArray:
        chosen = policy.scores(state)
        candidates = current_candidates(model, policy.candidate_set)
        depth = int(model.getDepth())
        records.append(compare_scores(chosen, expert(model, candidates), instance=Path(path).name, depth=depth))
        return chosen

    watched = FunctionPolicy(
        function=scores,
        name=policy.name,
        feature_schema=policy.feature_schema,
        candidate_set=policy.candidate_set,
    )
    prepared = prepare_solve(path, rule=watched, settings=settings, seed=seed, limits=limits)
    model = prepared.model
    prepared.run()
    return records


def compare_scores(policy: FloatArray, expert: FloatArray, *, instance: str, depth: int) -> AgreementRecord:
    """Compare a policy's scores with the expert's, both float64 (n_candidates,)."""
    best = float(expert.max())
    is_best = tied_for_best(expert)
    order = np.argsort(-policy, kind="stable")
    return AgreementRecord(
        instance=instance,
        depth=depth,
        n_candidates=len(expert),
        agrees=bool(is_best[order[0]]),
        in_top=bool(is_best[order[:N_TOP]].any()),
        score_ratio=float(expert[order[0]] / best) if best > 0 else 1.0,
    )
