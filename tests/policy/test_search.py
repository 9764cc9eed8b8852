"""A network that sees the search's features: the same in PyTorch, in the runtime, saved, loaded, and in SCIP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gnn_branching.config import ModelConfig
from gnn_branching.contracts import FEATURE_SCHEMA, InputError
from gnn_branching.dataset.data import collate
from gnn_branching.dataset.source import MemorySource, seen_as
from gnn_branching.dataset.synthetic import random_source
from gnn_branching.feature_schema import SEARCH_FEATURES, SEARCH_SCHEMA
from gnn_branching.model.network import BipartiteGCNN, initial_network
from gnn_branching.policy import load_policy
from gnn_branching.solver.settings import SolveLimits
from gnn_branching.solver.solve import solve_instance
from gnn_branching.subproblem import View
from tests.policy.conftest import save

SEEN = ("pseudocost_score", "n_up", "depth")
CONFIG = ModelConfig(hidden_size=20, search="head", search_features=SEEN)
SOURCE = random_source(12, seed=4)


def network(config: ModelConfig = CONFIG) -> BipartiteGCNN:
    source = seen_as(SOURCE, View.of(config))
    fresh = initial_network(config, 3)
    fresh.fit_prenorm([collate([source[i] for i in range(len(source))])])
    return fresh.eval()


@pytest.mark.parametrize("n_rounds", [1, 2])
@pytest.mark.parametrize("graph", ["lp", "subproblem"])
def test_the_runtime_computes_what_pytorch_computes(tmp_path: Path, n_rounds: int, graph: str) -> None:
    config = replace(CONFIG, n_rounds=n_rounds, graph=graph)
    trained = network(config)
    policy, source = load_policy(save(tmp_path / "mine", trained)), seen_as(SOURCE, View.of(config))
    assert policy.feature_schema == SEARCH_SCHEMA
    for i in range(len(source)):
        expected = trained.score(collate([source[i]])).detach().numpy()
        np.testing.assert_allclose(policy.scores(SOURCE[i].state), expected, rtol=1e-4, atol=1e-5)


def test_only_the_chosen_features_are_seen(tmp_path: Path) -> None:
    policy, state = load_policy(save(tmp_path / "mine", network())), SOURCE[0].state
    assert state.search_features is not None
    scores, heard = policy.scores(state), set()
    for position, name in enumerate(SEARCH_FEATURES):
        louder = state.search_features.copy()
        louder[:, position] += 3.0
        if not np.array_equal(policy.scores(replace(state, search_features=louder)), scores):
            heard.add(name)
    assert heard == set(SEEN)


def test_a_network_without_them_does_not_care(tmp_path: Path) -> None:
    policy, state = load_policy(save(tmp_path / "mine", network(ModelConfig(hidden_size=20)))), SOURCE[0].state
    assert policy.feature_schema == FEATURE_SCHEMA
    np.testing.assert_array_equal(policy.scores(state), policy.scores(replace(state, search_features=None)))


def test_what_lacks_them_is_refused(tmp_path: Path) -> None:
    bare = MemorySource([replace(SOURCE[0], state=replace(SOURCE[0].state, search_features=None))])
    with pytest.raises(InputError, match=r"collect samples with collection\.search_features"):
        seen_as(bare, View("lp", "head"))[0]
    policy = load_policy(save(tmp_path / "mine", network()))
    with pytest.raises(ValueError, match="needs the search's features"):
        policy.scores(bare[0].state)
    with pytest.raises(ValueError, match="unknown 'pseudocost'; there are"):
        ModelConfig(search="head", search_features=("pseudocost",))
    with pytest.raises(ValueError, match="hidden_size of at least 16"):
        ModelConfig(search="head", hidden_size=8)


def test_it_branches_in_scip_and_the_optimum_stays(tmp_path: Path, small_instances: Mapping[str, list[Path]]) -> None:
    policy = load_policy(save(tmp_path / "mine", network()))
    decided = 0
    for path in small_instances["combinatorial-auction"][:4]:
        ours, theirs = (
            solve_instance(path, rule=rule, settings="default", seed=0, limits=SolveLimits())
            for rule in (policy, "relpscost")
        )
        assert ours.primal_bound == pytest.approx(theirs.primal_bound, rel=1e-9)
        assert not ours.rule.fallbacks
        decided += ours.rule.n_decisions
    assert decided > 5
