"""What runs inside a solving process: load and warm up the rule, then hand over to the solver."""

from __future__ import annotations

import math
from pathlib import Path

from gnn_branching.contracts import InputError, Policy, RuleStatistics, SolveFigures, SolveStatus
from gnn_branching.evaluation.solves.agreement import agreement_along_tree
from gnn_branching.evaluation.solves.leavings import PolicyAgreement, write_agreement
from gnn_branching.evaluation.solves.plan import HIGHS, SolveJob
from gnn_branching.evaluation.solves.trees import write_tree
from gnn_branching.solver.settings import SolveLimits
from gnn_branching.solver.solve import PreparedSolve, prepare_solve
from gnn_branching.solver.tree import TreeRecorder

SOLVER_MEMORY_SHARE = 0.9
"""SCIP stops at this share of the limit by itself, and then still reports its figures."""

_NOTHING_SOLVED = SolveFigures(
    status=SolveStatus.OTHER_LIMIT,
    wall_seconds=0.0,
    cpu_seconds=0.0,
    root_seconds=0.0,
    n_tree_nodes=0,
    n_fair_nodes=0,
    n_lp_iterations=0,
    n_strong_branching_lp_iterations=0,
    primal_bound=math.nan,
    dual_bound=math.nan,
    primal_dual_integral=math.nan,
    rule=RuleStatistics(fallbacks={}),
)
"""What a recording that is no solve reports; it never becomes a row."""


def solve_job(job: SolveJob) -> SolveFigures:
    """Solve one job: the same path for SCIP's rules and for learned ones; only ``optimize()`` is timed.

    Raises:
        InputError: If the instance or the policy cannot be used.
    """
    if job.policy.scip_rule == HIGHS and not job.policy.is_learned:
        from gnn_branching.evaluation.solves.highs import solve_with_highs

        return solve_with_highs(job)
    return _prepare(job).run()


def record_tree(job: SolveJob) -> SolveFigures:
    """Solve one job and write its branch-and-bound tree to ``job.recording_path``."""
    prepared = _prepare(job)
    recorder = TreeRecorder.attach(prepared.model, prepared.learned)
    figures = prepared.run()
    write_tree(Path(job.recording_path), recorder.records)
    return figures


def record_agreement(job: SolveJob) -> SolveFigures:
    """Compare a learned policy with strong branching along its tree, and write that to ``job.recording_path``.

    Raises:
        InputError: If the job's policy is one of SCIP's rules.
    """
    policy = load_rule(job)
    if isinstance(policy, str):
        raise InputError(f"{policy} is SCIP's own rule; agreement with strong branching is measured for policies")
    comparison = agreement_along_tree(
        Path(job.instance.path),
        policy,
        settings=job.policy.recipe or job.settings,
        seed=job.seed,
        limits=solve_limits(job),
    )
    own = [PolicyAgreement(policy=job.policy.name, record=record) for record in comparison]
    write_agreement(Path(job.recording_path), own)
    return _NOTHING_SOLVED


def load_rule(job: SolveJob) -> str | Policy:
    """Return the name of SCIP's rule, or the policy, loaded and warm."""
    if not job.policy.is_learned:
        return job.policy.scip_rule
    from gnn_branching.policy import load_policy  # SCIP's own rules start faster without it

    policy = load_policy(job.policy.source)
    policy.warm_up()  # so that compiling is not timed
    return policy


def solve_limits(job: SolveJob) -> SolveLimits:
    """Translate the job's limits into SCIP's."""
    return SolveLimits(
        time_limit_seconds=job.limits.time_limit_seconds,
        node_limit=job.limits.node_limit or None,
        memory_limit_mib=SOLVER_MEMORY_SHARE * job.limits.memory_limit_mib,
    )


def _prepare(job: SolveJob) -> PreparedSolve:
    return prepare_solve(
        Path(job.instance.path),
        rule=load_rule(job),
        settings=job.policy.recipe or job.settings,
        seed=job.seed,
        limits=solve_limits(job),
        rule_settings=job.policy.preset,
    )
