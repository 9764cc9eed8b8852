"""Labels are right: the expert's scores are those of SCIP's own strong branching of each candidate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import ecole
import numpy as np
import pyscipopt
import pytest

from gnn_branching.config import CollectionConfig
from gnn_branching.contracts import CandidateIndex, CandidateSet
from gnn_branching.solver.candidates import Candidates, HandoverError, current_candidates
from gnn_branching.solver.expert import limited_strong_branching, make_expert
from gnn_branching.solver.sampling import run_episode
from gnn_branching.solver.settings import SolveLimits
from gnn_branching.solver.solve import prepare_solve
from tests.conftest import SMALL_FAMILIES
from tests.solver.probe import probe
from tests.solver.test_random_programs import write_program


@pytest.mark.parametrize("family", SMALL_FAMILIES)
@pytest.mark.parametrize("kind", CandidateSet)
def test_scores_equal_scips_own_strong_branching(
    small_instances: Mapping[str, list[Path]], family: str, kind: CandidateSet
) -> None:
    expert = make_expert(kind, with_ecole=True)

    def check(model: pyscipopt.Model, candidates: Candidates) -> np.ndarray:
        scores = expert(model, candidates)
        assert np.isfinite(scores).all()
        # One by one: getVarStrongbranch for each candidate, combined by SCIP's score function.
        np.testing.assert_allclose(scores, limited_strong_branching(model, candidates, -1), rtol=1e-6, atol=0)
        return scores

    assert sum(probe(path, check, kind=kind, n_nodes=8) for path in small_instances[family][:3]) > 5


def test_other_candidates_than_the_experts_are_refused(small_instances: Mapping[str, list[Path]]) -> None:
    """Pseudo candidates asked of an expert for LP candidates have NaN labels: they must never become samples."""
    seen = []

    def check(model: pyscipopt.Model, candidates: Candidates) -> None:
        scorer = ecole.observation.StrongBranchingScores(False)
        raw = scorer.extract(ecole.scip.Model.from_pyscipopt(model), False)[candidates.indices]
        seen.append(np.isnan(raw).any())
        with pytest.raises(HandoverError, match="expert-score-undefined"):
            make_expert(CandidateSet.LP, with_ecole=True)(model, candidates)

    assert probe(small_instances["combinatorial-auction"][1], check, kind=CandidateSet.PSEUDO, n_nodes=5) > 1
    assert all(seen)


@pytest.mark.parametrize("family", SMALL_FAMILIES)
@pytest.mark.parametrize("kind", CandidateSet)
def test_scip_alone_gives_ecoles_samples(
    small_instances: Mapping[str, list[Path]], family: str, kind: CandidateSet
) -> None:
    """Whole solves apart from each other: the same tree nodes, candidates in the same order, scores to the last bit."""
    config = CollectionConfig(expert_probability=0.7, node_limit=20, candidates=kind)
    n_samples = sum(assert_same_samples(path, config) for path in small_instances[family][:3])
    assert n_samples > 5


def test_scip_alone_gives_ecoles_samples_of_general_integers(tmp_path: Path) -> None:
    """Candidates with an integral value between their bounds have children on both sides, and one in the middle."""
    config = CollectionConfig(expert_probability=1.0, node_limit=20, candidates=CandidateSet.PSEUDO)
    n_samples = 0
    for seed in range(30):
        write_program(tmp_path / "a.lp", seed)
        n_samples += assert_same_samples(tmp_path / "a.lp", config)
    assert n_samples > 20


def assert_same_samples(path: Path, config: CollectionConfig) -> int:
    """Compare an episode that Ecole labels with one that SCIP labels; return how many samples each has."""
    ecole_samples, scip_samples = (
        run_episode(str(path), episode=0, scip_seed=1, config=config, instance_sha256="0" * 64, with_ecole=who).samples
        for who in (True, False)
    )
    for one, other in zip(ecole_samples, scip_samples, strict=True):
        assert one.origin == other.origin
        np.testing.assert_array_equal(one.state.candidates, other.state.candidates)
        np.testing.assert_array_equal(one.scores, other.scores)
    return len(scip_samples)


def test_the_iteration_limit_changes_scores_and_leaves_scip_alone(small_instances: Mapping[str, list[Path]]) -> None:
    differs = []

    def check(model: pyscipopt.Model, candidates: Candidates) -> None:
        before = [variable.getLPSol() for variable in candidates.variables]
        full, limited = (limited_strong_branching(model, candidates, limit) for limit in (-1, 1))
        assert before == [variable.getLPSol() for variable in candidates.variables]
        assert (limited <= full * (1 + 1e-9)).all()
        differs.append(not np.allclose(full, limited))

    assert probe(small_instances["set-cover"][1], check, n_nodes=5) > 1
    assert any(differs)


@pytest.mark.parametrize("kind", CandidateSet)
def test_an_episode_gives_the_same_samples_twice(small_instances: Mapping[str, list[Path]], kind: CandidateSet) -> None:
    config = CollectionConfig(expert_probability=0.3, node_limit=40, candidates=kind)
    path = str(small_instances["combinatorial-auction"][1])
    first, second = (
        run_episode(path, episode=5, scip_seed=11, config=config, instance_sha256="0" * 64) for _ in range(2)
    )
    assert len(first.samples) == len(second.samples) > 2
    for one, other in zip(first.samples, second.samples, strict=True):
        np.testing.assert_array_equal(one.scores, other.scores)
        np.testing.assert_array_equal(one.state.variable_features, other.state.variable_features)
        np.testing.assert_array_equal(one.state.edges.values, other.state.edges.values)
        assert one.origin == other.origin
    assert first.samples[0].origin.episode == 5
    assert not first.discarded
    depths = [sample.origin.depth for sample in first.samples]
    assert len({sample.origin.tree_node for sample in first.samples}) == len(depths)


def test_an_episode_stops_at_its_sample_limit(small_instances: Mapping[str, list[Path]]) -> None:
    config = CollectionConfig(expert_probability=1.0, n_samples_per_episode=3)
    path = str(small_instances["set-cover"][1])
    episode = run_episode(path, episode=0, scip_seed=0, config=config, instance_sha256="")
    assert len(episode.samples) == 3


@pytest.mark.parametrize("family", ["set-cover", "combinatorial-auction"])
def test_the_experts_tree_is_that_of_a_policy_with_its_scores(
    small_instances: Mapping[str, list[Path]], family: str
) -> None:
    class Oracle(pyscipopt.Branchrule):
        """Chooses by Ecole's strong-branching scores, one tree node after the other."""

        def branchexeclp(self, allowaddcons: bool) -> dict[str, int]:
            candidates = current_candidates(self.model, CandidateSet.LP)
            candidates.branch(CandidateIndex(int(np.argmax(make_expert(CandidateSet.LP)(self.model, candidates)))))
            return {"result": pyscipopt.SCIP_RESULT.BRANCHED}

    n_compared = 0
    for path in small_instances[family][:3]:
        limits = SolveLimits(node_limit=100)
        own = prepare_solve(path, rule="expert", settings="paper", seed=1, limits=limits).run()
        other = prepare_solve(path, rule="relpscost", settings="paper", seed=1, limits=limits)
        other.model.includeBranchrule(Oracle(), "oracle", "", 4_000_000, -1, 1.0)
        theirs = other.run()
        assert (own.n_tree_nodes, own.n_fair_nodes) == (theirs.n_tree_nodes, own.n_tree_nodes)
        assert own.n_strong_branching_lp_iterations == 0
        n_compared += own.n_tree_nodes
    assert n_compared > 20
