"""Collection with SCIP in earnest, on small instances."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gnn_branching.collection import collect_dataset, inspect_dataset
from gnn_branching.config import CollectionConfig, ExperimentConfig
from gnn_branching.contracts import (
    FEATURE_SCHEMA,
    BranchingState,
    CandidateSet,
    FloatArray,
    InputError,
    InstanceFile,
    Policy,
)
from gnn_branching.execution import LocalExecutor
from gnn_branching.feature_schema import N_KHALIL_FEATURES, VARIABLE_FEATURES
from gnn_branching.instances import InstanceSplits
from gnn_branching.provenance import file_sha256
from gnn_branching.shards import open_dataset
from tests.collection.toys import contents

FRACTION = VARIABLE_FEATURES.index("solution_frac")
CONFIG = ExperimentConfig(
    seed=5,
    collection=CollectionConfig(
        n_train_samples=14,
        n_valid_samples=4,
        n_test_samples=3,
        expert_probability=0.3,
        node_limit=40,
        n_samples_per_episode=5,
    ),
)


class MostFractional:
    """Branches on the variable nearest to one half."""

    name = "most-fractional"
    feature_schema = FEATURE_SCHEMA

    def scores(self, state: BranchingState) -> FloatArray:
        fractions = state.variable_features[state.candidates, FRACTION]
        return np.minimum(fractions, 1 - fractions)


def load_toy_policy(name: str) -> Policy:
    assert name == "most-fractional"
    return MostFractional()


@pytest.fixture
def instances(small_instances: Mapping[str, list[Path]], bushy_instances: list[Path]) -> InstanceSplits:
    def describe(path: Path) -> InstanceFile:
        return InstanceFile(path=str(path), family="small", size="", seed=None, sha256=file_sha256(path))

    graphs, auctions = bushy_instances, small_instances["combinatorial-auction"]
    return InstanceSplits(
        train=tuple(map(describe, (*graphs[:4], auctions[1], auctions[3]))),
        valid=tuple(map(describe, graphs[6:8])),
        test=(describe(graphs[8]),),
    )


def test_workers_change_no_sample(instances: InstanceSplits, tmp_path: Path) -> None:
    for workers in (1, 3):
        collect_dataset(CONFIG, instances, tmp_path / str(workers), LocalExecutor(workers=workers))
    assert contents(tmp_path / "1") == contents(tmp_path / "3")
    summary = inspect_dataset(tmp_path / "1")
    assert summary.all_problems == ()
    assert summary.splits["train"].n_samples == 14
    samples = open_dataset(tmp_path / "1", "train")
    assert max(np.bincount([sample.origin.episode for sample in samples])) <= 5
    known = {Path(instance.path).name: instance.sha256 for instance in instances.train}
    assert all(known[sample.origin.instance] == sample.origin.instance_sha256 for sample in samples)


def test_an_unreadable_instance_is_set_aside(instances: InstanceSplits, tmp_path: Path) -> None:
    broken = tmp_path / "broken.lp"
    broken.write_text("Minimize\n obj: x y z >= <=\n")
    file = InstanceFile(path=str(broken), family="small", size="", seed=None, sha256=file_sha256(broken))
    mixed = replace(instances, train=(file, *instances.train[:2]))
    collect_dataset(CONFIG, mixed, tmp_path / "d", LocalExecutor(workers=2))
    entries = [json.loads(line) for line in (tmp_path / "d" / "set-aside.jsonl").read_text().splitlines()]
    assert {Path(entry["instance"]).name for entry in entries} == {"broken.lp"}
    assert all("SCIP cannot read" in entry["reason"] for entry in entries)
    assert len(open_dataset(tmp_path / "d", "train")) == 14


def test_a_policy_explores(instances: InstanceSplits, tmp_path: Path) -> None:
    few = replace(CONFIG.collection, n_train_samples=4, n_valid_samples=1, n_test_samples=1)
    config = replace(CONFIG, collection=replace(few, exploration="most-fractional"))
    collect_dataset(config, instances, tmp_path / "p", LocalExecutor(workers=2), load_policy=load_toy_policy)
    collect_dataset(replace(CONFIG, collection=few), instances, tmp_path / "s", LocalExecutor(workers=2))
    assert inspect_dataset(tmp_path / "p").all_problems == ()
    assert (
        contents(tmp_path / "p")["train/episode-000000.arrow"] != contents(tmp_path / "s")["train/episode-000000.arrow"]
    )


def test_samples_are_taken_under_a_parameter_file(instances: InstanceSplits, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.set"

    def shard(name: str, settings: str) -> bytes:
        few = replace(CONFIG.collection, n_train_samples=4, n_valid_samples=1, n_test_samples=1, settings=settings)
        config = replace(CONFIG, collection=few)
        collect_dataset(config, instances, tmp_path / name, LocalExecutor(workers=2))
        return contents(tmp_path / name)["train/episode-000000.arrow"]

    recipe.write_text("separating/maxrounds = 0\npresolving/maxrestarts = 0\nrandomization/permutevars = TRUE\n")
    assert shard("file", str(recipe)) == shard("paper", "paper")
    recipe.write_text("")
    with pytest.raises(InputError, match="settings_sha256"):
        shard("file", str(recipe))
    assert shard("stock", str(recipe)) != shard("paper", "paper")


def test_pseudo_candidates_and_khalil_features_are_kept(instances: InstanceSplits, tmp_path: Path) -> None:
    collection = CollectionConfig(
        n_train_samples=2,
        n_valid_samples=1,
        n_test_samples=1,
        expert_probability=0.5,
        node_limit=20,
        n_samples_per_episode=1,
        candidates=CandidateSet.PSEUDO,
        khalil_features=True,
    )
    config = ExperimentConfig(seed=1, collection=collection)
    collect_dataset(config, instances, tmp_path / "d", LocalExecutor(workers=2))
    for sample in open_dataset(tmp_path / "d", "train"):
        features = sample.state.candidate_features
        assert features is not None
        assert features.shape == (sample.state.n_candidates, N_KHALIL_FEATURES)
        assert (sample.state.variable_features[sample.state.candidates, FRACTION] == 0).any()
    assert inspect_dataset(tmp_path / "d").all_problems == ()
