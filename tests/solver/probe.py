"""A branching rule for tests: runs a check at every tree node, and keeps its exceptions for the test to see."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyscipopt

from gnn_branching.contracts import FEATURE_SCHEMA, BranchingState, CandidateSet, FloatArray
from gnn_branching.solver.candidates import Candidates, current_candidates
from gnn_branching.solver.features import FeatureExtractor
from gnn_branching.solver.problem import read_problem
from gnn_branching.solver.settings import SolveLimits, apply_settings

Check = Callable[[pyscipopt.Model, Candidates], FloatArray | None]


class Probe(pyscipopt.Branchrule):
    """Call ``check`` at each tree node; branch on the best of the scores it returns, if any."""

    def __init__(self, check: Check, kind: CandidateSet) -> None:
        self.check, self.kind = check, kind
        self.n_calls = 0
        self.error: BaseException | None = None

    def branchexeclp(self, allowaddcons: bool) -> dict[str, int]:
        try:
            candidates = current_candidates(self.model, self.kind)
            scores = self.check(self.model, candidates)
            self.n_calls += 1
        except BaseException as error:
            self.error = self.error or error
            self.model.interruptSolve()
            return {"result": pyscipopt.SCIP_RESULT.DIDNOTRUN}
        if scores is None:
            return {"result": pyscipopt.SCIP_RESULT.DIDNOTRUN}
        self.model.branchVar(candidates.variables[int(np.argmax(scores))])
        return {"result": pyscipopt.SCIP_RESULT.BRANCHED}

    def branchexecps(self, allowaddcons: bool) -> dict[str, int]:
        return {"result": pyscipopt.SCIP_RESULT.DIDNOTRUN}

    branchexecext = branchexecps


def probe(
    path: Path, check: Check, *, kind: CandidateSet = CandidateSet.LP, n_nodes: int = 40, settings: str = "paper"
) -> int:
    """Solve with a probe; raise what its check raised; return the number of tree nodes it saw."""
    model = read_problem(path)
    apply_settings(model, settings, seed=1, limits=SolveLimits(node_limit=n_nodes))
    rule = Probe(check, kind)
    model.includeBranchrule(rule, "probe", "test", 3_000_000, -1, 1.0)
    model.optimize()
    if rule.error is not None:
        raise rule.error
    return rule.n_calls


def states_of(paths: Iterable[Path], settings: str = "paper", schema: str = FEATURE_SCHEMA) -> list[BranchingState]:
    """Return what a policy would see at the tree nodes of solves by SCIP's own rule."""
    states: list[BranchingState] = []

    def look(model: pyscipopt.Model, candidates: Candidates) -> None:
        states.append(FeatureExtractor(schema).extract(model, candidates))

    for path in paths:
        probe(path, look, settings=settings)
    return states
