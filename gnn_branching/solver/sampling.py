"""Take labelled samples from one solve: the expert is asked at random tree nodes, and followed there."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from time import perf_counter

import numpy as np
import pyscipopt

from gnn_branching.config import CollectionConfig
from gnn_branching.contracts import FEATURE_SCHEMA, CandidateIndex, Policy, Sample, SampleOrigin, SolveStatus
from gnn_branching.feature_schema import KHALIL_SCHEMA, SEARCH_SCHEMA
from gnn_branching.seeding import generator
from gnn_branching.solver.candidates import HandoverError, current_candidates
from gnn_branching.solver.expert import make_expert
from gnn_branching.solver.features import FeatureExtractor
from gnn_branching.solver.plugin import WeaklyBound
from gnn_branching.solver.problem import read_problem
from gnn_branching.solver.rule import LearnedBranching
from gnn_branching.solver.settings import (
    CHOSEN_RULE_PRIORITY,
    RuleSettings,
    SolveLimits,
    apply_settings,
    prefer_scip_rule,
    solve_status,
)
from gnn_branching.solver.solve import bound

SAMPLER_PRIORITY = 2 * CHOSEN_RULE_PRIORITY
"""The sampler goes before the exploration rule, which decides wherever the sampler does not."""


@dataclass(slots=True, kw_only=True)
class EpisodeOutcome:
    """What one solve gave.

    Args:
        samples: The labelled tree nodes, in the order they were met.
        status: Why the solve ended.
        n_tree_nodes: Tree nodes of the solve.
        expert_seconds: Wall time inside the expert.
        sampler_seconds: Wall time inside the sampler, the expert's included.
        discarded: Expert calls that gave no sample, by reason.
    """

    samples: list[Sample] = field(default_factory=list)
    status: SolveStatus = SolveStatus.OTHER_LIMIT
    n_tree_nodes: int = 0
    expert_seconds: float = 0.0
    sampler_seconds: float = 0.0
    discarded: Counter[str] = field(default_factory=Counter)


class SamplingRule(WeaklyBound, pyscipopt.Branchrule):
    """Ask the expert with a fixed probability at each tree node, keep what it says, and follow it.

    Args:
        config: How samples are taken.
        rng: Decides when to ask; one draw per tree node.
        origin: Gives instance, episode and seed of every sample.
        with_ecole: Who scores, as ``make_expert`` takes it.
    """

    def __init__(
        self,
        config: CollectionConfig,
        rng: np.random.Generator,
        origin: SampleOrigin,
        *,
        with_ecole: bool | None = None,
    ) -> None:
        self._config = config
        self._rng = rng
        self._origin = origin
        graph_alone = not config.search_features and config.schema == SEARCH_SCHEMA
        khalil = [KHALIL_SCHEMA] if config.khalil_features else []
        schema = FEATURE_SCHEMA if graph_alone else config.schema
        self._extractor = FeatureExtractor(schema, *khalil)
        limit = config.strong_branching_iteration_limit
        self._expert = make_expert(config.candidates, limit, with_ecole=with_ecole)
        self.episode = EpisodeOutcome()

    def branchinitsol(self) -> None:
        """Get ready; SCIP calls this when branch and bound starts, and after a restart."""
        self._extractor.watch(self.model)

    def branchexeclp(self, allowaddcons: bool) -> dict[str, int]:
        """Sample this tree node, or leave it to the exploration rule."""
        if self._config.khalil_features and self.model.getDepth() == 0:
            self._extractor.note_root(self.model)
        # The draw first, full or not: one a tree node, whatever the limit on samples.
        if self._rng.random() >= self._config.expert_probability or self._is_full():
            return {"result": pyscipopt.SCIP_RESULT.DIDNOTRUN}
        start = perf_counter()
        try:
            return self._sample()
        except Exception as error:
            # Nothing may cross into C; the tree node is simply not sampled.
            reason = error.reason if isinstance(error, HandoverError) else f"{type(error).__name__}: {error}"
            self.episode.discarded[reason] += 1
            return {"result": pyscipopt.SCIP_RESULT.DIDNOTRUN}
        finally:
            self.episode.sampler_seconds += perf_counter() - start

    def branchexecext(self, allowaddcons: bool) -> dict[str, int]:
        """Leave external candidates alone."""
        return {"result": pyscipopt.SCIP_RESULT.DIDNOTRUN}

    branchexecps = branchexecext

    def _is_full(self) -> bool:
        limit = self._config.n_samples_per_episode
        return bool(limit) and len(self.episode.samples) >= limit

    def _sample(self) -> dict[str, int]:
        model = self.model
        candidates = current_candidates(model, self._config.candidates)
        state = self._extractor.extract(model, candidates)
        start = perf_counter()
        try:
            scores = self._expert(model, candidates)
        finally:
            self.episode.expert_seconds += perf_counter() - start
        self.episode.samples.append(Sample(state=state, scores=scores, origin=self._here()))
        candidates.branch(CandidateIndex(int(np.argmax(scores))))
        if self._is_full():  # what SCIP would still find is of no use
            model.interruptSolve()
        return {"result": pyscipopt.SCIP_RESULT.BRANCHED}

    def _here(self) -> SampleOrigin:
        node = self.model.getCurrentNode()
        return replace(
            self._origin,
            tree_node=int(node.getNumber()),
            depth=int(node.getDepth()),
            primal_bound=bound(self.model, self.model.getPrimalbound()),
            dual_bound=bound(self.model, self.model.getDualbound()),
        )


def run_episode(
    instance_path: str,
    *,
    episode: int,
    scip_seed: int,
    config: CollectionConfig,
    instance_sha256: str,
    exploration: Policy | None = None,
    with_ecole: bool | None = None,
) -> EpisodeOutcome:
    """Solve one instance and sample its tree.

    Args:
        instance_path: Problem file.
        episode: Number of the episode, kept with every sample.
        scip_seed: SCIP's seed; it also seeds when the expert is asked.
        config: How samples are taken.
        instance_sha256: Hash of the file, kept with every sample.
        exploration: The policy that branches where the expert is not asked; None for the SCIP rule that
            ``config.exploration`` names.
        with_ecole: Whether Ecole labels rather than SCIP by itself; None for wherever it is installed.

    Returns:
        The samples, and where the time went. Limits in nodes give the same samples everywhere; limits in time do not.

    Raises:
        InputError: If the instance or the exploration rule is not usable, or Ecole is to label and is not there.
    """
    model = read_problem(instance_path)
    limits = SolveLimits(time_limit_seconds=config.time_limit_seconds, node_limit=config.node_limit or None)
    apply_settings(model, config.settings, seed=scip_seed, limits=limits)
    origin = SampleOrigin(
        instance=Path(instance_path).name,
        instance_sha256=instance_sha256,
        episode=episode,
        scip_seed=scip_seed,
        tree_node=0,
        depth=0,
        primal_bound=inf,
        dual_bound=-inf,
    )
    sampler = SamplingRule(config, generator(scip_seed, "ask the expert"), origin, with_ecole=with_ecole)
    model.includeBranchrule(sampler, "sampler", "asks the expert at random", SAMPLER_PRIORITY, -1, 1.0)
    sampler.bind(model)
    if exploration is None:
        prefer_scip_rule(model, config.exploration)
    else:
        LearnedBranching.attach(model, exploration, RuleSettings(candidates=config.candidates))
    model.optimize()
    sampler.episode.status = solve_status(model)
    sampler.episode.n_tree_nodes = int(model.getNTotalNodes())
    return sampler.episode
