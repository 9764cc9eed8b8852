"""The branching rule plug-in: any policy branches inside SCIP, and SCIP's own rule is the fallback."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import nan
from time import perf_counter
from typing import Protocol, Self, runtime_checkable

import numpy as np
import pyscipopt

from gnn_branching.config import DEFAULT_PRESET
from gnn_branching.contracts import (
    FEATURE_SCHEMA,
    BranchingState,
    CandidateIndex,
    CandidateSet,
    FeatureRanges,
    FloatArray,
    InputError,
    Policy,
    RuleStatistics,
)
from gnn_branching.solver.candidates import Candidates, HandoverError, current_candidates, pseudocost_scores
from gnn_branching.solver.features import FeatureExtractor, all_finite
from gnn_branching.solver.guard import GainGuard, InputGuard
from gnn_branching.solver.plugin import WeaklyBound
from gnn_branching.solver.settings import RULE_NAME, ParameterValue, RuleSettings, as_rule_settings, leave_parameters
from gnn_branching.solver.verify import Reduction, verify_best

UNSEEN_CONSTRAINTS = frozenset(
    ("nonlinear", "SOS1", "SOS2", "indicator", "superindicator", "cardinality", "disjunction", "cumulative")
)
"""Constraint handlers whose constraints are not, or not wholly, rows of the LP: the policy cannot see them."""

LEAST_PSEUDOCOST_SCORE = 1e-12
"""SCIP's score of a candidate without any gain: a product of two factors of 1e-6 at least."""

CallbackResult = dict[str, int]
ScoreFunction = Callable[[BranchingState], FloatArray]


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionPolicy:
    """Make a policy of a function that scores candidates.

    Args:
        function: Takes a state, returns one score per candidate.
        name: Name for tables.
        feature_schema: The features it reads.
        candidate_set: The candidates it scores.
        gives_logits: Whether its scores are logits, to which a large tree's pseudocosts may be added
            (``RuleSettings.pseudocosts_after``).
    """

    function: ScoreFunction
    name: str = "function"
    feature_schema: str = FEATURE_SCHEMA
    candidate_set: CandidateSet = CandidateSet.LP
    gives_logits: bool = False

    def scores(self, state: BranchingState) -> FloatArray:
        """Return the function's scores as float64."""
        return np.asarray(self.function(state), dtype=np.float64)


@runtime_checkable
class HasRecipe(Protocol):
    """A policy that may have been proven with settings of its own."""

    def recipe_parameters(self) -> Mapping[str, ParameterValue]:
        """Return the parameters of SCIP that its recipe changes; none if it has no recipe."""
        ...


class LearnedBranching(WeaklyBound, pyscipopt.Branchrule):
    """Branch with a policy inside SCIP; make one with :meth:`attach`.

    The rule decides at tree nodes whose LP was solved to optimality. Everywhere else, and whenever the policy fails or
    the problem holds something a policy cannot see, it reports ``SCIP_DIDNOTRUN``, so that SCIP's own rule decides, and
    counts why. It creates SCIP's ordinary children only: whatever a policy says, the optimum stays the same.
    """

    def __init__(self, policy: Policy, settings: RuleSettings) -> None:
        self._policy = policy
        self._settings = settings
        self._candidate_set = settings.candidates or policy.candidate_set
        self._extractor = FeatureExtractor(policy.feature_schema)
        self._blocked = ""
        gives_logits: bool = getattr(policy, "gives_logits", False)
        self._pseudocosts_after = settings.pseudocosts_after if gives_logits else None
        self._ranges: FeatureRanges | None = getattr(policy, "ranges", None) if settings.guard else None
        self._reset()

    @classmethod
    def attach(
        cls, model: pyscipopt.Model, policy: Policy | ScoreFunction, settings: RuleSettings | str | None = None
    ) -> Self:
        """Add the rule to a model that has not been solved yet.

        Args:
            model: The model; it holds the rule for as long as it lives.
            policy: A policy, or a function from a :class:`BranchingState` to one score per candidate.
            settings: Settings, or the name of a preset; None takes the policy's own preset, or ``guarded``.

        Returns:
            The rule; read ``statistics`` after the solve.

        Raises:
            InputError: If the model has such a rule already, the preset is unknown, or the policy needs other features.
        """
        settings = as_rule_settings(settings, str(getattr(policy, "preset", DEFAULT_PRESET)))
        if f"branching/{RULE_NAME}/priority" in model.getParams():
            raise InputError("this model has a learned branching rule already; use another model for another policy")
        if not isinstance(policy, Policy):
            policy = FunctionPolicy(function=policy, name=getattr(policy, "__name__", "function"))
        rule = cls(policy, settings)
        rule.include(model, policy.name, settings)
        return rule

    @property
    def statistics(self) -> RuleStatistics:
        """What the rule did in the current or last solve."""
        return RuleStatistics(
            n_decisions=self._n_decisions,
            n_reductions=self._n_reductions,
            decision_seconds=self._decision_seconds,
            feature_seconds=self._feature_seconds,
            inference_seconds=self._inference_seconds,
            fallbacks=dict(self._fallbacks),
        )

    def branchinit(self) -> None:
        """Start counting anew: SCIP calls this once a solve."""
        self._reset()

    def branchinitsol(self) -> None:
        """Look for what a policy cannot see: SCIP calls this when branch and bound starts, and after a restart."""
        if self.is_in_another_model:
            return
        self._extractor.watch(self.model)
        # After a restart presolving may have made other constraints of them, so look again.
        handlers = {constraint.getConshdlrName() for constraint in self.model.getConss()}
        unseen = sorted(handlers & UNSEEN_CONSTRAINTS)
        self._blocked = f"constraint-{unseen[0]}" if unseen else ""

    def branchexeclp(self, allowaddcons: bool) -> CallbackResult:
        """Branch at a tree node with a fractional LP solution."""
        start = perf_counter()
        try:
            result = self._decide()
        except HandoverError as handover:
            result = self._hand_over(handover.reason)
        except Exception as error:
            # An exception must not cross into C; SCIP's own rule can always go on from here.
            result = self._hand_over(f"{type(error).__name__} in policy")
        self._decision_seconds += perf_counter() - start
        return result

    def branchexecext(self, allowaddcons: bool) -> CallbackResult:
        """Leave external candidates, which no policy has seen in training, to SCIP."""
        return self._hand_over("external-candidates")

    def branchexecps(self, allowaddcons: bool) -> CallbackResult:
        """Leave tree nodes without a solved LP to SCIP."""
        return self._hand_over("no-lp")

    def __reduce__(self) -> tuple[object, ...]:
        """Refuse pickling: the rule belongs to one live model."""
        raise TypeError("a LearnedBranching rule belongs to one model; send the policy's folder and attach there")

    def _reset(self) -> None:
        self._fallbacks: Counter[str] = Counter()
        self._n_calls = self._n_decisions = self._n_reductions = 0
        self._decision_seconds = self._feature_seconds = self._inference_seconds = 0.0
        self._too_slow = False
        self._input_guard = InputGuard(self._ranges) if self._ranges is not None else None
        self._gain_guard = GainGuard() if self._ranges is not None else None
        self.last_score = nan

    def _hand_over(self, reason: str) -> CallbackResult:
        # A model of another kind, not a choice that went wrong: its recipe does harm as well.
        is_foreign = reason == "guard-input" or (self._blocked and self._settings.guard)
        if is_foreign and self._leave_recipe():
            return self._hand_over("guard-recipe")
        self._fallbacks[reason] += 1
        self.last_score = nan
        return {"result": pyscipopt.SCIP_RESULT.DIDNOTRUN}

    def _decide(self) -> CallbackResult:
        if self.is_in_another_model:
            raise HandoverError("included-in-another-model")
        # Before anything that may hand over: features of the root are wanted deeper in the tree too.
        if self.model.getDepth() == 0:
            self._extractor.note_root(self.model)
        self._check_turn()
        start = perf_counter()
        candidates = current_candidates(self.model, self._candidate_set)
        state = self._extractor.extract(self.model, candidates)
        if self._input_guard is not None and not self._input_guard.is_home(state):
            raise HandoverError("guard-input")
        extracted = perf_counter()
        self._feature_seconds += extracted - start
        scores = self._policy.scores(state)
        inferred = perf_counter()
        self._inference_seconds += inferred - extracted
        limit = self._settings.time_limit_seconds
        # This decision counts still; from the next one on SCIP decides.
        self._too_slow = limit is not None and inferred - start > limit
        self._check_scores(scores, state.n_candidates)
        scores = self._with_pseudocosts(candidates, scores)
        self._check_gains(candidates, CandidateIndex(int(np.argmax(scores))))
        return self._branch(candidates, scores)

    def _leave_recipe(self) -> bool:
        """At the root of a foreign model, return to SCIP's own settings and restart; return whether that was needed.

        A recipe made for another family can do more harm than the branching: the root, too, was solved under it.
        """
        if self.model.getDepth() > 0 or not isinstance(self._policy, HasRecipe):
            return False
        if not leave_parameters(self.model, self._policy.recipe_parameters()):
            return False
        self.model.restartSolve()
        return True

    def _check_turn(self) -> None:
        """Hand over where the settings or the problem say so."""
        self._n_calls += 1
        if self._blocked:
            raise HandoverError(self._blocked)
        if self._n_calls <= self._settings.warm_up_nodes:
            raise HandoverError("warm-up")
        if self._settings.max_decisions is not None and self._n_decisions >= self._settings.max_decisions:
            raise HandoverError("decision-limit")
        if self._too_slow:
            raise HandoverError("time-limit")

    def _check_scores(self, scores: FloatArray, n_candidates: int) -> None:
        """Hand over if the scores decide nothing."""
        if np.shape(scores) != (n_candidates,):
            raise HandoverError("wrong-number-of-scores")
        if not all_finite(np.ascontiguousarray(scores, dtype=np.float64)):
            raise HandoverError("score-not-finite")
        if self._settings.confidence and n_candidates > 1:
            # The two largest probabilities of a softmax, their difference taken without an overflow.
            second, best = np.partition(scores, -2)[-2:]
            total = np.exp(scores - best).sum()
            if (1.0 - np.exp(second - best)) / total < self._settings.confidence:
                raise HandoverError("not-confident")

    def _with_pseudocosts(self, candidates: Candidates, scores: FloatArray) -> FloatArray:
        """Return the scores, in a large tree those of a product of experts: the policy and SCIP's pseudocosts."""
        after = self._pseudocosts_after
        if after is None or self._n_decisions < after:
            return scores
        return scores + np.log(np.maximum(pseudocost_scores(candidates), LEAST_PSEUDOCOST_SCORE))

    def _check_gains(self, candidates: Candidates, chosen: CandidateIndex) -> None:
        """Hand over while the policy's choices are found to be worse than SCIP's."""
        guard = self._gain_guard
        if guard is None:
            return
        if guard.may_compare(self.model):
            guard.compare(candidates, chosen)
        if guard.has_lost:
            raise HandoverError("guard-gain")

    def _branch(self, candidates: Candidates, scores: FloatArray) -> CallbackResult:
        best = CandidateIndex(int(np.argmax(scores)))
        deepest = self._settings.strong_branching_max_depth
        is_high = deepest < 0 or self.model.getDepth() <= deepest
        if self._settings.strong_branching_top_k > 1 and is_high:
            verdict = verify_best(
                self.model,
                candidates,
                scores,
                n_best=self._settings.strong_branching_top_k,
                iteration_limit=self._settings.strong_branching_iteration_limit,
            )
            # Strong branching found a child infeasible, or the node: SCIP tightens, and asks again or goes on.
            if isinstance(verdict, Reduction):
                self._n_decisions += 1
                self._n_reductions += 1
                return {"result": verdict.result}
            best = verdict
        self.last_score = float(scores[best])
        candidates.branch(best)
        self._n_decisions += 1
        return {"result": pyscipopt.SCIP_RESULT.BRANCHED}
