"""Which samples of which datasets are trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gnn_branching.config import CollectionConfig
from gnn_branching.contracts import CandidateSet, InputError, Sample
from gnn_branching.dataset.selection import select_samples
from gnn_branching.dataset.source import ConcatSource, MemorySource
from gnn_branching.dataset.synthetic import random_source
from gnn_branching.shards import open_dataset
from tests.dataset.shards import synthetic_dataset

COUNTS = {"train": 23, "valid": 7, "test": 6}


def asked(n_train: int = 23, n_valid: int = 7, n_test: int = 6) -> CollectionConfig:
    return CollectionConfig(n_train_samples=n_train, n_valid_samples=n_valid, n_test_samples=n_test)


def same(first: Sample, second: Sample) -> bool:
    return first.origin == second.origin and np.array_equal(first.scores, second.scores)


def test_the_first_samples_in_episode_order(tmp_path: Path) -> None:
    folder = synthetic_dataset(tmp_path, COUNTS)
    whole = open_dataset(folder, "train")
    selected = select_samples([folder], asked(n_train=12))
    assert (len(selected.train), len(selected.valid), len(selected.test)) == (12, 7, 6)
    assert all(same(selected.train[i], whole[i]) for i in range(12))
    assert selected.notices == (f"{folder}: the first 12 of 23 train samples (collection.n_train_samples = 12)",)


def test_fewer_than_asked_for_is_said(tmp_path: Path) -> None:
    folder = synthetic_dataset(tmp_path, COUNTS)
    selected = select_samples([folder], asked(n_train=24))
    assert len(selected.train) == 23
    assert selected.notices == (
        f"{folder}: holds only 23 train samples, all are used (collection.n_train_samples = 24)",
    )
    assert select_samples([folder], asked()).notices == ()


def test_several_datasets_each_with_its_first_samples(tmp_path: Path) -> None:
    first = synthetic_dataset(tmp_path / "a", COUNTS)
    second = synthetic_dataset(tmp_path / "b", {"train": 9}, seed=1, settings="default")
    selected = select_samples([first, second], asked(n_train=11))
    assert (len(selected.train), len(selected.valid), len(selected.test)) == (20, 7, 6)
    parts = open_dataset(first, "train"), open_dataset(second, "train")
    assert all(same(selected.train[i], parts[0][i]) for i in range(11))
    assert all(same(selected.train[11 + i], parts[1][i]) for i in range(9))
    assert selected.trained_on == (
        {"n_samples": 11, "recipe": {"collection": {"candidates": "lp", "settings": "paper"}}},
        {"n_samples": 9, "recipe": {"collection": {"candidates": "lp", "settings": "default"}}},
    )


def test_an_instance_in_two_splits_is_refused(tmp_path: Path) -> None:
    first = synthetic_dataset(tmp_path / "a", COUNTS, shared_instances=True)
    second = synthetic_dataset(tmp_path / "b", COUNTS, seed=1)
    with pytest.raises(InputError, match=r"is a valid instance of .* and trained on in"):
        select_samples([second, first], asked())


def test_other_candidates_are_refused(tmp_path: Path) -> None:
    folder = synthetic_dataset(tmp_path, COUNTS, candidates="pseudo")
    with pytest.raises(InputError, match=r"has pseudo candidates.*collection\.candidates=pseudo"):
        select_samples([folder], asked())
    config = CollectionConfig(n_train_samples=1, candidates=CandidateSet.PSEUDO)
    assert len(select_samples([folder], config).train) == 1


def test_a_split_that_none_has_is_refused(tmp_path: Path) -> None:
    folder = synthetic_dataset(tmp_path, {"train": 5, "valid": 5})
    with pytest.raises(InputError, match=r"no test samples in .*collect that split"):
        select_samples([folder], asked())


def test_concatenation_is_one_after_the_other() -> None:
    parts = [random_source(3, seed=1), MemorySource([]), random_source(2, seed=2)]
    whole = ConcatSource(parts)
    assert len(whole) == 5
    assert [whole[i].origin.episode for i in range(5)] == [
        *(parts[0][i].origin.episode for i in range(3)),
        *(parts[2][i].origin.episode for i in range(2)),
    ]
    with pytest.raises(IndexError):
        whole[5]
