"""Strong branching as a choice and nothing else: the tree that a perfect imitation of the expert would have."""

from __future__ import annotations

from typing import Self

import numpy as np
import pyscipopt

from gnn_branching.contracts import CandidateIndex, CandidateSet
from gnn_branching.solver.candidates import HandoverError, current_candidates
from gnn_branching.solver.expert import limited_strong_branching
from gnn_branching.solver.plugin import WeaklyBound
from gnn_branching.solver.settings import CHOSEN_RULE_PRIORITY


class ExpertBranching(WeaklyBound, pyscipopt.Branchrule):
    """Branch where strong branching in full says; make one with :meth:`attach`.

    Unlike SCIP's own ``fullstrong`` and ``vanillafullstrong`` it creates ordinary children, tightens no bound, cuts off
    no node and teaches SCIP nothing, so that its tree differs from a policy's by the choices alone. Its time means
    nothing, and its LP iterations are not counted.
    """

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
            scores = limited_strong_branching(self.model, candidates, -1)
        except HandoverError:
            return {"result": pyscipopt.SCIP_RESULT.DIDNOTRUN}
        candidates.branch(CandidateIndex(int(np.argmax(scores))))
        return {"result": pyscipopt.SCIP_RESULT.BRANCHED}

    def branchexecext(self, allowaddcons: bool) -> dict[str, int]:
        """Leave external candidates alone."""
        return {"result": pyscipopt.SCIP_RESULT.DIDNOTRUN}

    branchexecps = branchexecext
