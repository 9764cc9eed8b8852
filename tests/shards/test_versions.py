"""Shards written before are read beside new ones, and what they hold is written as it was."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from gnn_branching.contracts import Sample
from gnn_branching.shards import encode_episode, episode_path, open_dataset, open_episode, write_episode
from tests.shards.samples import assert_same_samples, on_the_same_graph, random_sample

FILES = Path(__file__).parents[1] / "data" / "shards"
"""Written when a state held a list of edges: version 1 without the search's features, version 2 with them."""


def written(version: int) -> list[Sample]:
    rng = np.random.default_rng(version)
    first = random_sample(rng, khalil=True, search=version == 2)
    second = on_the_same_graph(first.state, rng, tree_node=2)
    return [first, second, random_sample(rng, n_rows=5, khalil=True, search=version == 2, tree_node=3)]


@pytest.mark.parametrize("version", [1, 2])
def test_old_shards_are_read_and_would_be_written_the_same(version: int) -> None:
    path = FILES / f"version-{version}.arrow"
    episode = open_episode(path)
    found = [episode.sample(position) for position in range(episode.n_samples)]
    assert_same_samples(found, written(version))
    assert encode_episode(found) == path.read_bytes()


def test_old_shards_lie_beside_new_ones(tmp_path: Path) -> None:
    new = [random_sample(np.random.default_rng(7), search=True, episode=2)]
    write_episode(episode_path(tmp_path, "train", 2), new)
    for version in (1, 2):
        shutil.copy(FILES / f"version-{version}.arrow", episode_path(tmp_path, "train", version - 1))
    assert_same_samples(list(open_dataset(tmp_path, "train")), [*written(1), *written(2), *new])
