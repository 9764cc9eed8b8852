"""Frozen records and protocols that pass between the stages; NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gnn_branching.edges import Edges

FloatArray = NDArray[np.float64]
IndexArray = NDArray[np.int64]

CandidateIndex = NewType("CandidateIndex", int)
"""Position in ``BranchingState.candidates``; what a policy's scores are indexed by."""


FEATURE_SCHEMA = "ecole-node-bipartite-1"
"""Name of the schema of the graph alone, ``feature_schema.NODE_BIPARTITE``."""


class InputError(ValueError):
    """Bad input from a user: the message is one line that names the value, what is allowed and the remedy."""


class BarrenError(InputError):
    """Models that give no samples: SCIP solves them at the root, or nearly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchingState:
    """What a policy sees at one tree node: a bipartite graph of LP rows and variables, and the candidates.

    A ranged or equality row appears twice, once per side, its left-hand side negated (Ecole's ``NodeBipartite``,
    Gasse et al. 2019, table 1). All values are finite: unknown incumbent values were replaced by
    ``solver.lp_graph``. Edges are the same object at the next tree node if they are the same edges.

    Args:
        row_features: float64, (n_rows, n_row_features).
        variable_features: float64, (n_variables, n_variable_features).
        edges: The nonzeros, row by row.
        candidates: int64, (n_candidates,): rows of ``variable_features`` (``SCIPvarGetProbindex``), in SCIP's order.
        candidate_features: float64, (n_candidates, n_candidate_features), Ecole's ``Khalil2016``; None unless asked
            for, as they cost far more than all the rest.
        search_features: float64, (n_candidates, n_search_features): what is known of each candidate and of the tree
            node; None unless asked for.
        schema: Name of the schema of all features but Khalil's, which says what the columns are.
    """

    row_features: FloatArray
    variable_features: FloatArray
    edges: Edges
    candidates: IndexArray
    candidate_features: FloatArray | None = None
    search_features: FloatArray | None = None
    schema: str = FEATURE_SCHEMA

    @property
    def n_rows(self) -> int:
        """Number of rows of the bipartite graph."""
        return int(self.row_features.shape[0])

    @property
    def n_variables(self) -> int:
        """Number of variables of the bipartite graph."""
        return int(self.variable_features.shape[0])

    @property
    def n_edges(self) -> int:
        """Number of nonzeros."""
        return int(self.edges.values.shape[0])

    @property
    def n_candidates(self) -> int:
        """Number of branching candidates."""
        return int(self.candidates.shape[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureRanges:
    """Between what values 99 hundredths of each feature of the graph lay in training.

    Args:
        row: float64, (2, n_row_features): lower and upper end.
        edge: float64, (2, 1).
        variable: float64, (2, n_variable_features).
    """

    row: FloatArray
    edge: FloatArray
    variable: FloatArray


class CandidateSet(StrEnum):
    """Which variables may be branched on; one object serves expert, sampler and rule.

    ``LP``: integer variables that are fractional in the LP solution (``SCIPgetLPBranchCands``).
    ``PSEUDO``: all non-fixed integer variables (``SCIPgetPseudoBranchCands``), as in the published code.
    """

    LP = "lp"
    PSEUDO = "pseudo"


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleOrigin:
    """Where a sample came from.

    Args:
        instance: Name of the instance file, without folder.
        instance_sha256: Hash of the instance file's bytes, hexadecimal.
        episode: Number of the episode (one solve) within its dataset.
        scip_seed: Seed given to SCIP in this episode.
        tree_node: SCIP's number of the tree node; unique within an episode.
        depth: Depth of the tree node; the root has 0.
        primal_bound: Objective of the incumbent, in the original problem's sense; infinite if there is none.
        dual_bound: Global dual bound, in the original problem's sense.
    """

    instance: str
    instance_sha256: str
    episode: int
    scip_seed: int
    tree_node: int
    depth: int
    primal_bound: float
    dual_bound: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One labelled tree node.

    Args:
        state: What the expert saw; its arrays are this sample's own.
        scores: float64, (n_candidates,): the expert's score per candidate, finite and not negative.
        origin: Where it came from.

    Raises:
        ValueError: If a score is missing, NaN, infinite or negative.
    """

    state: BranchingState
    scores: FloatArray
    origin: SampleOrigin

    def __post_init__(self) -> None:
        """Refuse a label that no expert could have given."""
        if self.scores.shape != self.state.candidates.shape:
            raise ValueError(f"{self.scores.shape[0]} scores for {self.state.n_candidates} candidates")
        if not (np.isfinite(self.scores).all() and (self.scores >= 0).all()):
            raise ValueError("a score is NaN, infinite or negative: the sample must be discarded, not stored")


@runtime_checkable
class Policy(Protocol):
    """Whatever scores candidates: a trained network, a baseline, a user's function behind an adapter."""

    @property
    def name(self) -> str:
        """Short name for tables."""
        ...

    @property
    def feature_schema(self) -> str:
        """The feature layout it reads: a name of ``feature_schema``; others are refused."""
        ...

    @property
    def candidate_set(self) -> CandidateSet:
        """The candidate set it was trained on."""
        ...

    def scores(self, state: BranchingState) -> FloatArray:
        """Return one float64 score per candidate, (n_candidates,); higher is better."""
        ...


class SolveStatus(StrEnum):
    """Why a solve ended. The first four settle the problem."""

    OPTIMAL = "optimal"
    INFEASIBLE = "infeasible"
    UNBOUNDED = "unbounded"
    INFEASIBLE_OR_UNBOUNDED = "infeasible-or-unbounded"
    TIME_LIMIT = "time-limit"
    NODE_LIMIT = "node-limit"
    MEMORY_LIMIT = "memory-limit"
    GAP_LIMIT = "gap-limit"
    INTERRUPTED = "interrupted"
    OTHER_LIMIT = "other-limit"
    CRASHED = "crashed"
    KILLED_TIME = "killed-time"
    KILLED_MEMORY = "killed-memory"

    @property
    def solved(self) -> bool:
        """Whether the problem was settled: solved, or proved infeasible or unbounded."""
        return self in (
            SolveStatus.OPTIMAL,
            SolveStatus.INFEASIBLE,
            SolveStatus.UNBOUNDED,
            SolveStatus.INFEASIBLE_OR_UNBOUNDED,
        )

    @property
    def crashed(self) -> bool:
        """Whether the process ended without SCIP's own figures."""
        return self in (SolveStatus.CRASHED, SolveStatus.KILLED_TIME, SolveStatus.KILLED_MEMORY)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleStatistics:
    """What a branching rule did in one solve, in its own process and clock.

    Args:
        n_decisions: Calls in which the policy decided.
        n_reductions: Decisions in which strong branching tightened a bound or cut off the tree node instead.
        decision_seconds: Wall time inside the rule, all parts.
        feature_seconds: Wall time of candidate and feature extraction.
        inference_seconds: Wall time inside the policy.
        fallbacks: Tree nodes handed over to SCIP's own rule, by reason.
    """

    n_decisions: int = 0
    n_reductions: int = 0
    decision_seconds: float = 0.0
    feature_seconds: float = 0.0
    inference_seconds: float = 0.0
    fallbacks: Mapping[str, int]

    @property
    def n_fallbacks(self) -> int:
        """Tree nodes handed over, for any reason."""
        return sum(self.fallbacks.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class SolveFigures:
    """What one solve that came back reported.

    Args:
        status: Why it ended.
        wall_seconds: Wall time inside ``optimize()``.
        cpu_seconds: CPU time of the process inside ``optimize()``.
        root_seconds: Wall time until the first branching; the whole time if nothing was branched on; NaN if unknown.
        n_tree_nodes: Branch-and-bound nodes processed (``SCIPgetNTotalNodes``).
        n_fair_nodes: ``n_tree_nodes`` + 2 · (branching calls that reduced a domain + calls that cut off a node)
            (Gamrath and Schubert 2018; Gasse et al. 2019).
        n_lp_iterations: LP iterations, strong branching included.
        n_strong_branching_lp_iterations: LP iterations inside strong branching.
        primal_bound: Objective of the incumbent in the original sense; infinite if none.
        dual_bound: Dual bound in the original sense.
        primal_dual_integral: SCIP's primal-dual integral, per cent · seconds.
        rule: What the learned rule did; all zero for SCIP's own rules.
    """

    status: SolveStatus
    wall_seconds: float
    cpu_seconds: float
    root_seconds: float
    n_tree_nodes: int
    n_fair_nodes: int
    n_lp_iterations: int
    n_strong_branching_lp_iterations: int
    primal_bound: float
    dual_bound: float
    primal_dual_integral: float
    rule: RuleStatistics

    def __post_init__(self) -> None:
        """Keep a process that never reported from posing as a fast solve."""
        if self.status.crashed:
            raise ValueError(f"{self.status!s} has no figures")


@dataclass(frozen=True, slots=True, kw_only=True)
class SolveRecord:
    """One row of ``evaluate``: what was asked, and how it ended.

    Args:
        instance: Path or name of the instance, unique within the evaluation.
        family: Family, or the folder's name.
        size: Size, or an empty string.
        policy: Name of the policy or of SCIP's rule.
        settings: Named SCIP settings, ``paper`` or ``default``.
        seed: SCIP's seed.
        status: Why the solve ended; read it before any number.
        figures: The numbers; None iff the process crashed or was killed.
        detail: One line on a crash; empty otherwise.
        versions: Versions and machine, as compact JSON.
    """

    instance: str
    family: str
    size: str
    policy: str
    settings: str
    seed: int
    status: SolveStatus
    figures: SolveFigures | None
    detail: str = ""
    versions: str = ""

    def __post_init__(self) -> None:
        """Keep a failure from posing as a fast solve."""
        if (self.figures is None) != self.status.crashed:
            raise ValueError(
                f"figures={'none' if self.figures is None else 'given'} contradicts status {self.status!s}"
            )
        if self.figures is not None and self.figures.status is not self.status:
            raise ValueError(f"status {self.status!s} contradicts its figures' {self.figures.status!s}")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownOptimum:
    """What is known of one instance, and from where.

    Args:
        status: Optimal, infeasible or unbounded.
        value: Optimal value; NaN unless optimal.
        source: Name of the file that says so.
    """

    status: SolveStatus
    value: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeNodeRecord:
    """One processed node of a branch-and-bound tree.

    Args:
        number: SCIP's number of the node; unique in the tree.
        parent: Number of its parent; 0 for the root.
        depth: Depth; the root has 0.
        lower_bound: The node's own dual bound after processing, in the original sense; infinite if infeasible.
        variable: Variable branched on; empty for a leaf.
        score: The rule's score of that variable; NaN where the rule gives none.
        wall_seconds: Wall time since ``optimize()`` when the node was done.
        primal_bound: Global primal bound then, in the original sense; infinite without an incumbent.
        dual_bound: Global dual bound then, in the original sense.
    """

    number: int
    parent: int
    depth: int
    lower_bound: float
    variable: str
    score: float
    wall_seconds: float
    primal_bound: float
    dual_bound: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementRecord:
    """Policy against strong branching at one tree node that the policy branched at.

    Args:
        instance: Name of the instance.
        depth: Depth of the tree node.
        n_candidates: Candidates there.
        agrees: Whether the policy's choice has the expert's best score, ties counting.
        in_top: Whether one of the policy's five best has it.
        score_ratio: Expert's score of the policy's choice over its best, in [0, 1]; 1 if all are zero.
    """

    instance: str
    depth: int
    n_candidates: int
    agrees: bool
    in_top: bool
    score_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFile:
    """One problem file and what is known of it.

    Args:
        path: Where it is, as given.
        family: Family it was generated from, or the folder's name.
        size: Size within the family, or an empty string.
        seed: Seed it was generated with; None for a user's file.
        sha256: Hash of the file's bytes, hexadecimal.
        generator: Who wrote it, of several who can; empty if nobody else can, or unknown.
    """

    path: str
    family: str
    size: str
    seed: int | None
    sha256: str
    generator: str = ""
