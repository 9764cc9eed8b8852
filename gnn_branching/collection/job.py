"""One episode, as a job that any process on any machine can do and that depends on nothing but its seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gnn_branching.config import CollectionConfig
from gnn_branching.contracts import InstanceFile, Policy, Sample
from gnn_branching.seeding import derive_seed
from gnn_branching.shards import encode_episode

LoadPolicy = Callable[[str], Policy]
"""Turns ``exploration`` into a policy; an importable function."""


Sampler = Callable[["EpisodeJob"], Sequence[Sample]]
"""Solves a job's instance and returns the samples; an importable function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeJob:
    """One solve that gives samples.

    Args:
        split: The split it is for.
        episode: Its number within the split.
        scip_seed: SCIP's seed.
        instance: What to solve.
        config: How samples are taken.
        sampler: What takes them.
        load_policy: How to load the policy that ``config.exploration`` names; None if SCIP's own rule explores.
        with_ecole: Whether Ecole labels; None for wherever it is installed.
    """

    split: str
    episode: int
    scip_seed: int
    instance: InstanceFile
    config: CollectionConfig
    sampler: Sampler
    load_policy: LoadPolicy | None = None
    with_ecole: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeShard:
    """An episode's samples, ready to be written.

    Args:
        content: Bytes of the shard.
        n_samples: Samples in it.
    """

    content: bytes
    n_samples: int


def collect_episode(job: EpisodeJob) -> EpisodeShard:
    """Take an episode's samples and encode them, here rather than where they are written, as it takes time."""
    samples = job.sampler(job)
    return EpisodeShard(content=encode_episode(samples), n_samples=len(samples))


def sample_with_scip(job: EpisodeJob) -> Sequence[Sample]:
    """Solve with SCIP and sample the tree; SCIP is loaded only here."""
    from gnn_branching.solver.sampling import run_episode

    return run_episode(
        job.instance.path,
        episode=job.episode,
        scip_seed=job.scip_seed,
        config=job.config,
        instance_sha256=job.instance.sha256,
        exploration=job.load_policy(job.config.exploration) if job.load_policy else None,
        with_ecole=job.with_ecole,
    ).samples


def instance_of_episode(root: int, split: str, episode: int, n_instances: int) -> int:
    """Return which instance an episode solves: drawn with replacement, by names alone."""
    return derive_seed(root, "draw instance", split, episode) % n_instances


def make_job(
    root: int,
    split: str,
    episode: int,
    instances: Sequence[InstanceFile],
    config: CollectionConfig,
    sampler: Sampler,
    load_policy: LoadPolicy | None,
    with_ecole: bool | None,
) -> EpisodeJob:
    """Return the job of an episode, which depends on the seed, the split and the episode's number alone."""
    chosen = instances[instance_of_episode(root, split, episode, len(instances))]
    return EpisodeJob(
        split=split,
        episode=episode,
        scip_seed=derive_seed(root, "collect", split, episode),
        instance=replace(chosen, path=str(Path(chosen.path).absolute())),
        config=config,
        sampler=sampler,
        load_policy=load_policy,
        with_ecole=with_ecole,
    )
