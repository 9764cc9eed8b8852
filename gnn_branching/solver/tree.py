"""Record a branch-and-bound tree while SCIP builds it; for looking at, never in a solve that is timed."""

from __future__ import annotations

from math import inf, nan
from time import perf_counter

import pyscipopt

from gnn_branching.contracts import TreeNodeRecord
from gnn_branching.solver.plugin import WeaklyBound
from gnn_branching.solver.rule import LearnedBranching
from gnn_branching.solver.solve import bound

NODE_EVENTS = (
    pyscipopt.SCIP_EVENTTYPE.NODEFEASIBLE,
    pyscipopt.SCIP_EVENTTYPE.NODEINFEASIBLE,
    pyscipopt.SCIP_EVENTTYPE.NODEBRANCHED,
)


class TreeRecorder(WeaklyBound, pyscipopt.Eventhdlr):
    """Keep one record per processed tree node, in the order they are done.

    Args:
        learned: The rule whose scores are recorded; None where one of SCIP's own branches.
    """

    def __init__(self, learned: LearnedBranching | None) -> None:
        self._learned = learned
        self._start = perf_counter()
        self.records: list[TreeNodeRecord] = []

    @classmethod
    def attach(cls, model: pyscipopt.Model, learned: LearnedBranching | None) -> TreeRecorder:
        """Add a recorder to a model that has not been solved yet."""
        recorder = cls(learned)
        model.includeEventhdlr(recorder, "treerecorder", "records the branch-and-bound tree")
        recorder.bind(model)
        return recorder

    def eventinit(self) -> None:
        """Listen; SCIP calls this once a solve."""
        self._start = perf_counter()
        self.records.clear()
        for event in NODE_EVENTS:
            self.model.catchEvent(event, self)

    def eventexit(self) -> None:
        """Stop listening; a model that is gone frees what it caught by itself."""
        if self.outlives_its_model:
            return
        for event in NODE_EVENTS:
            self.model.dropEvent(event, self)

    def eventexec(self, event: pyscipopt.scip.Event) -> None:
        """Record the node that the event is about."""
        kind, node, model = event.getType(), event.getNode(), self.model
        parent = node.getParent()
        branched = kind == pyscipopt.SCIP_EVENTTYPE.NODEBRANCHED
        infeasible = kind == pyscipopt.SCIP_EVENTTYPE.NODEINFEASIBLE
        lower_bound = node.getLowerbound()
        sense = -1.0 if model.getObjectiveSense() == "maximize" else 1.0
        self.records.append(
            TreeNodeRecord(
                number=int(node.getNumber()),
                parent=int(parent.getNumber()) if parent is not None else 0,
                depth=int(node.getDepth()),
                lower_bound=sense * inf if infeasible else self._original(lower_bound),
                variable=self._branched_on() if branched else "",
                score=self._learned.last_score if branched and self._learned is not None else nan,
                wall_seconds=perf_counter() - self._start,
                primal_bound=bound(model, model.getPrimalbound()),
                dual_bound=bound(model, model.getDualbound()),
            )
        )

    def _original(self, transformed: float) -> float:
        """Translate a bound of the transformed problem into the original one's sense, offset and scale."""
        model = self.model
        lower, dual = model.getLowerbound(), model.getDualbound()
        upper, primal = model.getUpperbound(), model.getPrimalbound()
        if model.isInfinity(abs(transformed)):
            return bound(model, transformed)
        # The map is affine; two known points give it, or one and the sense while there is no incumbent.
        if not model.isInfinity(abs(upper)) and not model.isInfinity(abs(primal)) and abs(upper - lower) > 1e-9:
            slope = (primal - dual) / (upper - lower)
            return float(dual + slope * (transformed - lower))
        sense = -1.0 if model.getObjectiveSense() == "maximize" else 1.0
        return float(dual + sense * (transformed - lower))

    def _branched_on(self) -> str:
        """Return the variable that the new children differ in."""
        _, children, _ = self.model.getOpenNodes()
        branchings = children[0].getParentBranchings() if children else None
        return str(branchings[0][0].name) if branchings else ""
