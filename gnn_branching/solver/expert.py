"""Experts that label tree nodes: strong branching through Ecole, or by SCIP's own calls; and as a rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
import pyscipopt

from gnn_branching.contracts import CandidateIndex, CandidateSet, FloatArray
from gnn_branching.solver.candidates import Candidates, HandoverError, current_candidates
from gnn_branching.solver.ecole_module import ecole_name, load_ecole
from gnn_branching.solver.plugin import WeaklyBound
from gnn_branching.solver.settings import CHOSEN_RULE_PRIORITY

NO_ITERATION_LIMIT = 2**31 - 1
"""C's ``INT_MAX``, which SCIP's own rules give."""

ScoringExpert = Callable[[pyscipopt.Model, Candidates], FloatArray]
"""Gives one float64 score per candidate, (n_candidates,); may raise a HandoverError."""


def make_expert(kind: CandidateSet, iteration_limit: int = 0, *, with_ecole: bool | None = None) -> ScoringExpert:
    """Return the strong-branching expert for a candidate set.

    Args:
        kind: The candidate set that will be scored. It must be the one the candidates come from: Ecole scores LP
            candidates only unless told otherwise, and leaves NaN elsewhere.
        iteration_limit: LP iterations per child; 0 means none, and strong branching in full.
        with_ecole: Whether Ecole scores, where there is no limit; None for wherever it is installed.

    Raises:
        InputError: If Ecole is to score and cannot be imported.
    """
    if with_ecole is None:
        with_ecole = bool(ecole_name())
    if iteration_limit or not with_ecole:
        most = iteration_limit or NO_ITERATION_LIMIT
        return lambda model, candidates: limited_strong_branching(model, candidates, most)
    ecole = load_ecole()
    scorer = ecole.observation.StrongBranchingScores(kind is CandidateSet.PSEUDO)

    def score(model: pyscipopt.Model, candidates: Candidates) -> FloatArray:
        scores = scorer.extract(ecole.scip.Model.from_pyscipopt(model), False)
        if scores is None:
            raise HandoverError("no-expert-scores")
        chosen = np.asarray(scores, dtype=np.float64)[candidates.indices]
        if not (np.isfinite(chosen).all() and (chosen >= 0).all()):
            raise HandoverError("expert-score-undefined")
        return chosen

    return score


def limited_strong_branching(
    model: pyscipopt.Model,
    candidates: Candidates,
    iteration_limit: int,
    positions: Sequence[int] | None = None,
    *,
    idempotent: bool = True,
) -> FloatArray:
    """Score candidates by strong branching with at most ``iteration_limit`` LP iterations per child.

    The score is SCIP's: the product of the two gains in the LP's objective, each at least SCIP's epsilon
    (``SCIPgetBranchScore``, SCIP 10, branch.c). A candidate whose value is integral has a third child, which keeps the
    LP solution and gains nothing: the two smallest gains count (``branch_vanillafullstrong.c``, which Ecole calls).
    SCIP's state stays as it was if idempotent, its counters too.

    Args:
        model: A model inside a branching callback, its LP solved to optimality.
        candidates: What to score.
        iteration_limit: -1 or ``NO_ITERATION_LIMIT`` for no limit.
        positions: Which candidates; None for all.
        idempotent: Whether SCIP is to forget the results, and the LP iterations that they took.

    Returns:
        float64, (n_candidates,), or as many as there are positions.

    Raises:
        HandoverError: If an LP could not be solved.
    """
    lp_objective = model.getLPObjVal()
    chosen = range(len(candidates)) if positions is None else positions
    scores = np.empty(len(chosen))
    model.startStrongbranch()
    try:
        for place, position in enumerate(chosen):
            variable, value = candidates.variables[position], candidates.lp_values[position]
            integral = bool(model.isFeasIntegral(value))
            down, up, _, _, _, _, _, _, failed = model.getVarStrongbranch(
                variable, iteration_limit, idempotent=idempotent, integral=integral
            )
            if failed:
                raise HandoverError("expert-lp-failed")
            gains = [max(down - lp_objective, 0.0), max(up - lp_objective, 0.0), *([0.0] if integral else [])]
            scores[place] = model.getBranchScoreMultiple(variable, gains)
    finally:
        model.endStrongbranch()
    return scores


class ExpertBranching(WeaklyBound, pyscipopt.Branchrule):
    """Branch where strong branching in full says; make one with :meth:`attach`.

    Unlike SCIP's own ``fullstrong`` and ``vanillafullstrong`` it creates ordinary children, tightens no bound, cuts off
    no node and teaches SCIP nothing, so that its tree differs from a policy's by the choices alone. Its time means
    nothing, and its LP iterations are not counted.
    """

    def __init__(self) -> None:
        # Without Ecole, which switches off the log of every model that it looks at.
        self._expert = make_expert(CandidateSet.LP, with_ecole=False)

    @classmethod
    def attach(cls, model: pyscipopt.Model) -> Self:
        """Add the rule to a model that has not been solved yet."""
        rule = cls()
        model.includeBranchrule(rule, "expert", "strong branching's choice alone", CHOSEN_RULE_PRIORITY, -1, 1.0)
        rule.bind(model)
        return rule

    def branchexeclp(self, allowaddcons: bool) -> dict[str, int]:
        """Branch, or leave it to SCIP's own rule where an LP cannot be solved."""
        try:
            candidates = current_candidates(self.model, CandidateSet.LP)
            scores = self._expert(self.model, candidates)
        except HandoverError:
            return {"result": pyscipopt.SCIP_RESULT.DIDNOTRUN}
        candidates.branch(CandidateIndex(int(np.argmax(scores))))
        return {"result": pyscipopt.SCIP_RESULT.BRANCHED}

    def branchexecext(self, allowaddcons: bool) -> dict[str, int]:
        """Leave external candidates alone."""
        return {"result": pyscipopt.SCIP_RESULT.DIDNOTRUN}

    branchexecps = branchexecext
