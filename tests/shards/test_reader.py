from __future__ import annotations

import pickle
from pathlib import Path

import fsspec
import numpy as np
import pytest

from gnn_branching.contracts import InputError, Sample
from gnn_branching.shards import (
    DatasetDescription,
    EpisodeEntry,
    SplitDescription,
    episode_path,
    open_dataset,
    read_description,
    reader,
    write_description,
    write_episode,
)
from tests.shards.samples import assert_same_samples, random_episode

EPISODE_SIZES = (3, 0, 1, 4)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for number, size in enumerate(EPISODE_SIZES):
        write_episode(episode_path(tmp_path, "train", number), random_episode(rng, number, size))
    return tmp_path


@pytest.fixture
def samples() -> list[Sample]:
    rng = np.random.default_rng(0)
    return [sample for number, size in enumerate(EPISODE_SIZES) for sample in random_episode(rng, number, size)]


def describe(dataset: Path, *entries: tuple[int, int]) -> None:
    episodes = tuple(EpisodeEntry(episode=number, n_samples=size) for number, size in entries)
    n_samples = sum(entry.n_samples for entry in episodes)
    split = SplitDescription(n_samples=n_samples, n_episodes=4, n_failed_episodes=0, episodes=episodes)
    write_description(dataset, DatasetDescription(splits={"train": split}))


def test_samples_are_in_episode_order(dataset: Path, samples: list[Sample]) -> None:
    opened = open_dataset(dataset, "train")
    assert len(opened) == 8
    assert_same_samples(list(opened), samples)
    assert_same_samples([opened[-1], *opened[2:5]], [samples[-1], *samples[2:5]])
    assert opened.origin(5) == samples[5].origin
    for index in (8, -9):
        with pytest.raises(IndexError, match=f"sample {index} of 8"):
            opened[index]


def test_the_description_cuts_the_last_episode(dataset: Path, samples: list[Sample]) -> None:
    describe(dataset, (0, 3), (2, 1), (3, 2))
    assert_same_samples(list(open_dataset(str(dataset), "train")), samples[:6])
    assert read_description(dataset).splits["train"].n_samples == 6


def test_a_dataset_is_read_through_a_url(dataset: Path, samples: list[Sample]) -> None:
    describe(dataset, (0, 3), (2, 1), (3, 4))
    memory = fsspec.filesystem("memory")
    memory.put(str(dataset), "/far/away", recursive=True)
    opened = open_dataset("memory://far/away", "train")
    assert_same_samples(list(opened), samples)
    memory.rm("/far/away/dataset.json")
    assert_same_samples(list(open_dataset("memory://far/away/", "train")), samples)
    memory.rm("/far/away/train/episode-000002.arrow")
    opened = pickle.loads(pickle.dumps(opened))
    with pytest.raises(InputError, match=r"cannot read memory://far/away/train/episode-000002\.arrow"):
        list(opened)
    memory.rm("/far", recursive=True)


def test_small_caches_change_nothing(dataset: Path, samples: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "N_OPEN_EPISODES", 1)
    monkeypatch.setattr(reader, "STRUCTURE_CACHE_BYTES", 0)
    opened = open_dataset(dataset, "train")
    order = np.random.default_rng(0).integers(0, 8, 50).tolist()
    assert_same_samples([opened[index] for index in order], [samples[index] for index in order])
    assert_same_samples(list(pickle.loads(pickle.dumps(opened))), samples)


def test_edges_are_shared_and_read_only(dataset: Path) -> None:
    opened = open_dataset(dataset, "train")
    assert opened[0].state.edges is opened[1].state.edges
    with pytest.raises(ValueError, match="read-only"):
        opened[0].state.edges.values[0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        opened[0].state.edges.indices[0] = 1
    opened[0].state.variable_features[:] = 7.0
    assert not (opened[0].state.variable_features == 7.0).any()


@pytest.mark.parametrize("described", [False, True])
def test_a_corrupt_shard_is_refused_or_skipped(dataset: Path, samples: list[Sample], described: bool) -> None:
    if described:
        describe(dataset, (0, 3), (2, 1), (3, 4))
    path = episode_path(dataset, "train", 0)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"episode-000000\.arrow is corrupt: a checksum does not match"):
        list(open_dataset(dataset, "train"))
    opened = open_dataset(dataset, "train", on_corrupt="skip")
    assert len(opened.skipped) == 1
    assert "episode-000000.arrow" in opened.skipped[0]
    assert_same_samples(list(opened), samples[3:])


def test_what_is_not_there_is_named(dataset: Path) -> None:
    with pytest.raises(InputError, match="no split 'valid' at"):
        open_dataset(dataset, "valid")
    with pytest.raises(InputError, match="elsewhere is no folder"):
        open_dataset(dataset / "elsewhere", "train")
    with pytest.raises(InputError, match=r"no finished split in dataset\.json"):
        read_description(dataset)
    describe(dataset, (0, 5))
    with pytest.raises(InputError, match=r"has 3 samples, dataset\.json counts 5"):
        open_dataset(dataset, "train")[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "no JSON object with a version"), ('{"version": 7}', "has version 7"), ('{"version": 1, "x": 2}', "at x")],
)
def test_a_damaged_description_is_refused(dataset: Path, content: str, message: str) -> None:
    (dataset / "dataset.json").write_text(content)
    with pytest.raises(InputError, match=message):
        open_dataset(dataset, "train")
