"""A feature of one's own, an entry and a reader, is read, stored, learned from, and seen in a solve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gnn_branching.config import CollectionConfig, ModelConfig, TrainingConfig
from gnn_branching.contracts import FEATURE_SCHEMA, FloatArray, InputError, Sample
from gnn_branching.dataset.source import MemorySource, seen_as
from gnn_branching.feature_schema import (
    NODE_BIPARTITE,
    SEARCH,
    SEARCH_SCHEMA,
    SEARCHED,
    Feature,
    FeatureSchema,
    InSubproblem,
    Side,
    get_schema,
    made_up_state,
    register_schema,
)
from gnn_branching.model.network import initial_network
from gnn_branching.policy import load_policy
from gnn_branching.shards import episode_path, open_dataset, write_episode
from gnn_branching.solver.candidates import Candidates
from gnn_branching.solver.features import FeatureExtractor
from gnn_branching.solver.sampling import run_episode
from gnn_branching.solver.settings import SolveLimits
from gnn_branching.solver.solve import prepare_solve
from gnn_branching.subproblem import View, subproblem
from gnn_branching.training.loop import train
from tests.policy.conftest import save
from tests.shards.samples import assert_same_samples


def read_n_locks(candidates: Candidates) -> FloatArray:
    """Return log(1 + locks) of each candidate: rows that could keep it from moving."""
    return np.log1p([v.getNLocksDown() + v.getNLocksUp() for v in candidates.variables])


def read_global_width(candidates: Candidates) -> FloatArray:
    """Return the width of each variable's global domain, at most 10."""
    variables = candidates.model.getVars(transformed=True)  # in the order of the rows
    return np.array([[min(v.getUbGlobal() - v.getLbGlobal(), 10.0)] for v in variables])


LOCKS = Feature(name="n_locks", side=Side.CANDIDATE, reader=f"{__name__}:read_n_locks", unit="log(1 + locks)")
WIDTH = Feature(name="global_width", side=Side.VARIABLE, reader=f"{__name__}:read_global_width")
OWN = register_schema(FeatureSchema(name="tests-own-1", features=(*SEARCH.features, LOCKS, WIDTH)))
SHAPE = ModelConfig(
    hidden_size=16, search="head", search_features=("pseudocost_score", "n_locks"), schema=OWN.name, graph="subproblem"
)
COLLECTION = CollectionConfig(
    expert_probability=1.0, strong_branching_iteration_limit=10, n_samples_per_episode=8, schema=OWN.name
)


@pytest.fixture(scope="module")
def samples(small_instances: Mapping[str, list[Path]]) -> list[Sample]:
    paths = small_instances["combinatorial-auction"][:3]
    found = [
        run_episode(str(path), episode=number, scip_seed=0, config=COLLECTION, instance_sha256="0" * 64)
        for number, path in enumerate(paths)
    ]
    return [sample for episode in found for sample in episode.samples]


def test_it_is_read_and_stored_beside_samples_without_it(samples: list[Sample], tmp_path: Path) -> None:
    assert len(samples) > 4
    for sample in samples:
        state = sample.state
        assert state.schema == OWN.name
        assert state.search_features is not None
        assert state.search_features.shape == (state.n_candidates, SEARCH.width(*SEARCHED) + 1)
        assert (state.search_features[:, -1] > 0).all()
        assert state.variable_features.shape == (state.n_variables, NODE_BIPARTITE.width(Side.VARIABLE) + 1)
        assert set(state.variable_features[:, -1]) <= {0.0, 1.0}  # all are binary, and some fixed for good
        assert (state.variable_features[state.candidates, -1] == 1).all()
        seen = subproblem(state)
        assert (seen.variable_features[seen.candidates, -1] == 1).all()
    write_episode(episode_path(tmp_path, "train", 0), samples)
    plain = [
        replace(
            sample,
            state=replace(
                sample.state,
                variable_features=np.ascontiguousarray(sample.state.variable_features[:, :-1]),
                search_features=None,
                schema=FEATURE_SCHEMA,
            ),
        )
        for sample in samples
    ]
    write_episode(episode_path(tmp_path, "train", 1), plain)
    assert_same_samples(list(open_dataset(tmp_path, "train")), [*samples, *plain])
    with pytest.raises(ValueError, match="different schemas"):
        write_episode(episode_path(tmp_path, "train", 2), [samples[0], plain[0]])
    with pytest.raises(InputError, match="needs the search's features, and this tree node has none"):
        seen_as(MemorySource(plain), View.of(SHAPE))[0]
    with pytest.raises(InputError, match=f"features of schema '{OWN.name}' for a network that sees '{SEARCH_SCHEMA}'"):
        seen_as(MemorySource(samples), View("lp", "head"))[0]


def test_it_is_learned_from_saved_and_seen_in_a_solve(
    samples: list[Sample], tmp_path: Path, small_instances: Mapping[str, list[Path]]
) -> None:
    network, source = initial_network(SHAPE, 0), MemorySource(samples)
    training = TrainingConfig(n_epochs=1, n_batches_per_epoch=0, batch_size=4, n_threads=1)
    train(network, source, source, training, seed=0, run_folder=tmp_path / "run", display="none")
    policy = load_policy(save(tmp_path / "mine", network))
    assert policy.feature_schema == policy.card.architecture.schema == OWN.name
    policy.warm_up()
    state = samples[0].state
    assert state.search_features is not None
    scores = policy.scores(state)
    for name in ("search_features", "variable_features"):
        louder = getattr(state, name).copy()
        louder[:, -1] += np.linspace(1, 4, len(louder))
        assert not np.allclose(policy.scores(replace(state, **{name: louder})), scores)
    record = prepare_solve(
        small_instances["combinatorial-auction"][0],
        rule=policy,
        settings="paper",
        seed=0,
        limits=SolveLimits(node_limit=20),
    ).run()
    assert record.rule.n_decisions > 0
    assert not record.rule.fallbacks


def test_schemas_are_found_by_name_and_checked() -> None:
    assert get_schema(OWN.name) is register_schema(OWN) is OWN
    with pytest.raises(InputError, match="'tests-own-1' exists already"):
        register_schema(FeatureSchema(name=OWN.name, features=SEARCH.features))
    with pytest.raises(InputError, match="must begin with the row features"):
        register_schema(FeatureSchema(name="other", features=(LOCKS,)))
    with pytest.raises(InputError, match="features 'nothing' are unknown; allowed"):
        get_schema("nothing")
    with pytest.raises(ValueError, match="features 'nothing' are unknown"):
        ModelConfig(schema="nothing")
    for reader in ("tests.nowhere:read", f"{__name__}:read_nothing"):
        name = f"unreadable {reader}"
        register_schema(FeatureSchema(name=name, features=(*SEARCH.features, replace(LOCKS, reader=reader))))
        with pytest.raises(InputError, match="cannot be imported"):
            FeatureExtractor(name)
    changing = replace(WIDTH, in_subproblem=InSubproblem.RECOMPUTED)
    register_schema(FeatureSchema(name="tests-changing", features=(*SEARCH.features, changing)))
    with pytest.raises(ValueError, match="20 variable features have no known subproblem"):
        subproblem(made_up_state("tests-changing"))
