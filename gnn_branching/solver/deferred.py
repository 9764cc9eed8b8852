"""The learned rule with a policy that is loaded while SCIP already solves: its second of imports costs no time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING, Self

import pyscipopt

from gnn_branching.contracts import Policy, RuleStatistics
from gnn_branching.solver.plugin import WeaklyBound
from gnn_branching.solver.settings import RuleSettings

if TYPE_CHECKING:
    from gnn_branching.solver.rule import LearnedBranching

CallbackResult = dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeferredPolicy:
    """A policy that is still to be loaded.

    Args:
        name: Name for tables.
        preset: How the rule uses it unless something else is asked for.
        load: Returns the policy, warmed up; runs in a thread of its own.
    """

    name: str
    preset: str
    load: Callable[[], Policy]


class DeferredBranching(WeaklyBound, pyscipopt.Branchrule):
    """Load a policy beside SCIP's presolving and root, and branch with it from the first decision on.

    The tree is that of :class:`LearnedBranching`, to which every call goes. Solve the model with ``optimizeNogil``, or
    the loading gets no turn.
    """

    def __init__(self, policy: DeferredPolicy, settings: RuleSettings) -> None:
        self._policy = policy
        self._settings = settings
        self._rule: LearnedBranching | None = None
        self._error: Exception | None = None
        self._is_needed, self._has_begun = True, False
        self._thread = Thread(target=self._load, name=f"loading {policy.name}")

    @classmethod
    def attach(cls, model: pyscipopt.Model, policy: DeferredPolicy, settings: RuleSettings) -> Self:
        """Add the rule to a model that has not been solved yet, and begin to load its policy."""
        rule = cls(policy, settings)
        rule.include(model, policy.name, settings)
        rule._thread.start()
        return rule

    @property
    def statistics(self) -> RuleStatistics:
        """What the rule did in the current or last solve."""
        return RuleStatistics(fallbacks={}) if self._rule is None else self._rule.statistics

    def finish(self) -> None:
        """Stop loading what the solve did not need.

        Raises:
            InputError: If the policy was needed and could not be loaded; SCIP was interrupted at the first decision.
        """
        self._is_needed = False
        self._thread.join()
        if self._error is not None:
            raise self._error

    def branchinitsol(self) -> None:
        """Tell the rule of a restart; before its policy is there, it has nothing to forget."""
        if self._rule is not None:
            self._rule.branchinitsol()

    def branchexeclp(self, allowaddcons: bool) -> CallbackResult:
        """Branch at a tree node with a fractional LP solution."""
        rule = self._loaded()
        return rule.branchexeclp(allowaddcons) if rule else self._give_up()

    def branchexecext(self, allowaddcons: bool) -> CallbackResult:
        """Leave external candidates to SCIP."""
        rule = self._loaded()
        return rule.branchexecext(allowaddcons) if rule else self._give_up()

    def branchexecps(self, allowaddcons: bool) -> CallbackResult:
        """Leave tree nodes without a solved LP to SCIP."""
        rule = self._loaded()
        return rule.branchexecps(allowaddcons) if rule else self._give_up()

    def _give_up(self) -> CallbackResult:
        self.model.interruptSolve()
        return {"result": pyscipopt.SCIP_RESULT.DIDNOTRUN}

    def _loaded(self) -> LearnedBranching | None:
        """Wait for the rule and return it; None if its policy cannot be loaded."""
        if not self._has_begun:
            self._thread.join()
            self._has_begun = True
            self.branchinitsol()
        return self._rule

    def _load(self) -> None:
        try:
            from gnn_branching.solver.rule import LearnedBranching

            if not self._is_needed:
                return
            policy = self._policy.load()
            rule = LearnedBranching(policy, self._settings)
        except Exception as error:
            self._error = error
            return
        rule.bind(self.model)
        self._rule = rule
