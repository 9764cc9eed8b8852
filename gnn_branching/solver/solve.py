"""Solve one instance with one rule, and report what happened: the one path that all methods take."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from math import inf, nan
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING

import pyscipopt

from gnn_branching.config import EXPERT
from gnn_branching.contracts import Policy, RuleStatistics, SolveFigures
from gnn_branching.solver.deferred import DeferredBranching, DeferredPolicy
from gnn_branching.solver.plugin import WeaklyBound
from gnn_branching.solver.problem import read_problem
from gnn_branching.solver.settings import (
    RULE_NAME,
    RuleSettings,
    SolveLimits,
    apply_settings,
    as_rule_settings,
    prefer_scip_rule,
    solve_status,
)

if TYPE_CHECKING:
    from gnn_branching.solver.rule import LearnedBranching

CLOCK_NAME = "rootclock"
NO_RULE = RuleStatistics(fallbacks={})
"""What a learned rule did where there is none."""


class RootClock(WeaklyBound, pyscipopt.Branchrule):
    """Note when the first branching decision is asked for; decide nothing."""

    def __init__(self) -> None:
        self.first_call: float | None = None

    def branchexeclp(self, allowaddcons: bool) -> dict[str, int]:
        """Note the time once."""
        if self.first_call is None:
            self.first_call = perf_counter()
        return {"result": pyscipopt.SCIP_RESULT.DIDNOTRUN}

    branchexecext = branchexeclp
    branchexecps = branchexeclp


@dataclass(slots=True, kw_only=True)
class PreparedSolve:
    """A model with its settings and its rule, ready to be solved once.

    Args:
        model: The model.
        learned: The learned rule; None where one of SCIP's own branches.
        clock: Notes when branching starts.
    """

    model: pyscipopt.Model
    learned: LearnedBranching | DeferredBranching | None
    clock: RootClock

    def run(self) -> SolveFigures:
        """Solve, and report; the clocks run during ``optimize()`` alone.

        Raises:
            InputError: If a policy that is loaded meanwhile cannot be loaded.
        """
        deferred = self.learned if isinstance(self.learned, DeferredBranching) else None
        optimize = self.model.optimizeNogil if deferred else self.model.optimize
        start_cpu, start = process_time(), perf_counter()
        optimize()
        wall_seconds, cpu_seconds = perf_counter() - start, process_time() - start_cpu
        if deferred:
            deferred.finish()
        first_call = self.clock.first_call
        return collect_figures(
            self.model,
            wall_seconds=wall_seconds,
            cpu_seconds=cpu_seconds,
            root_seconds=wall_seconds if first_call is None else first_call - start,
            rule=self.learned.statistics if self.learned else NO_RULE,
        )


def prepare_solve(
    path: str | Path,
    *,
    rule: str | Policy | DeferredPolicy,
    settings: str,
    seed: int,
    limits: SolveLimits,
    rule_settings: RuleSettings | str | None = None,
) -> PreparedSolve:
    """Read an instance and give it its settings and its rule: the one path that all methods take.

    Args:
        path: Problem file.
        rule: A policy, which may be loaded while SCIP solves; the name of one of SCIP's own rules; or ``expert``,
            strong branching as a choice alone.
        settings: Named SCIP settings, or a parameter file.
        seed: SCIP's seed.
        limits: When to stop.
        rule_settings: How a policy is used; or the name of a preset; None leaves it to the policy.

    Raises:
        InputError: If the file, the settings or the rule are not usable.
    """
    model = read_problem(path)
    apply_settings(model, settings, seed=seed, limits=limits)
    learned: LearnedBranching | DeferredBranching | None = None
    # Compiled code is imported where it is needed alone: SCIP's own rules must not wait for it.
    if rule == EXPERT:
        from gnn_branching.solver.expert import ExpertBranching

        ExpertBranching.attach(model)
    elif isinstance(rule, str):
        prefer_scip_rule(model, rule)
    elif isinstance(rule, DeferredPolicy):
        learned = DeferredBranching.attach(model, rule, as_rule_settings(rule_settings, rule.preset))
    else:
        from gnn_branching.solver.rule import LearnedBranching

        learned = LearnedBranching.attach(model, rule, rule_settings)
    clock = RootClock()
    # Depth 0 only: one call in a solve, for every method alike.
    model.includeBranchrule(clock, CLOCK_NAME, "notes when branching starts", 5_000_000, 0, 1.0)
    clock.bind(model)
    return PreparedSolve(model=model, learned=learned, clock=clock)


def collect_figures(
    model: pyscipopt.Model, *, wall_seconds: float, cpu_seconds: float, root_seconds: float, rule: RuleStatistics
) -> SolveFigures:
    """Read the figures of a finished solve from a model."""
    n_tree_nodes = int(model.getNTotalNodes())
    # SCIP refuses the question, loudly, where a solve ended in presolving: no node, no strong branching.
    branched = model.getStage() in (pyscipopt.SCIP_STAGE.SOLVING, pyscipopt.SCIP_STAGE.SOLVED)
    n_strong_branching_lp_iterations = int(model.getNStrongbranchLPIterations()) if branched else 0
    return SolveFigures(
        status=solve_status(model),
        wall_seconds=wall_seconds,
        cpu_seconds=cpu_seconds,
        root_seconds=root_seconds,
        n_tree_nodes=n_tree_nodes,
        n_fair_nodes=n_tree_nodes + 2 * (n_free_reductions(model) + rule.n_reductions),
        n_lp_iterations=int(model.getNLPIterations()) + n_strong_branching_lp_iterations,
        n_strong_branching_lp_iterations=n_strong_branching_lp_iterations,
        primal_bound=bound(model, model.getPrimalbound()),
        dual_bound=bound(model, model.getDualbound()),
        primal_dual_integral=float(model.getPrimalDualIntegral()),
        rule=rule,
    )


def bound(model: pyscipopt.Model, value: float) -> float:
    """Return a bound with SCIP's infinity made the float's, and NaN where SCIP has none."""
    if value != value:
        return nan
    return inf if model.isInfinity(value) else -inf if model.isInfinity(-value) else float(value)


def n_free_reductions(model: pyscipopt.Model) -> int:
    """Count the branching calls that cut off a node or reduced a domain instead of branching.

    Strong-branching rules get these for free, so fair node numbers add two nodes for each (Gamrath and Schubert 2018).
    SCIP counts calls, cut-offs and children of each rule; a call that made no children and cut off nothing reduced a
    domain (or added a constraint, which relpscost does only beside reductions). Calls that the learned rule hands over
    make nothing and are no reductions; its own reductions are in its statistics.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "statistics.json"
        model.writeStatisticsJson(str(file))
        # SCIP prints infinities that JSON does not know; none of them is among the figures read here.
        # A solve that ends in presolving has no branching rules in its statistics.
        rules = json.loads(file.read_text()).get("branchrules", {"plugins": {}})["plugins"]
    total = 0
    for name, figures in rules.items():
        if name not in (RULE_NAME, CLOCK_NAME):
            total += max(figures["nlpcalls"] - figures["nchildren"] // 2, figures["ncutoffs"])
    return total
