"""Datasets on disk whose samples can be learned, without a solver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from gnn_branching.contracts import Sample
from gnn_branching.dataset.synthetic import random_sample
from gnn_branching.shards import (
    DatasetDescription,
    EpisodeEntry,
    SplitDescription,
    episode_path,
    write_description,
    write_episode,
)

N_PER_EPISODE = 5


def synthetic_dataset(
    folder: Path,
    counts: Mapping[str, int],
    *,
    seed: int = 0,
    candidates: str = "lp",
    settings: str = "paper",
    shared_instances: bool = False,
) -> Path:
    """Write a dataset with so many samples per split, five to an episode, each episode of an instance of its own.

    Args:
        folder: Where.
        counts: Samples by split.
        seed: Of the samples and the instances' hashes.
        candidates: What the recipe says.
        settings: What the recipe says.
        shared_instances: Whether the splits are of the same instances, as they must not be.
    """
    splits = {}
    for split, count in counts.items():
        entries = []
        for episode in range(-(-count // N_PER_EPISODE)):
            name = f"{seed}-{'all' if shared_instances else split}-{episode}"
            n = min(N_PER_EPISODE, count - episode * N_PER_EPISODE)
            samples = [_sample(name, split, episode, position, seed) for position in range(n)]
            write_episode(episode_path(folder, split, episode), samples)
            entries.append(EpisodeEntry(episode=episode, n_samples=n))
        splits[split] = SplitDescription(
            n_samples=count, n_episodes=len(entries), n_failed_episodes=0, episodes=tuple(entries)
        )
    recipe = {"collection": {"candidates": candidates, "settings": settings}}
    write_description(folder, DatasetDescription(recipe=recipe, splits=splits))
    return folder


def _sample(name: str, split: str, episode: int, position: int, seed: int) -> Sample:
    code = int.from_bytes(sha256(f"{name}-{split}-{position}".encode()).digest()[:4])
    sample = random_sample(code, ties=position == 0)
    origin = replace(
        sample.origin, instance=name, instance_sha256=sha256(name.encode()).hexdigest(), episode=episode, scip_seed=seed
    )
    return replace(sample, origin=origin)
