"""A sampler without a solver: quick, deterministic, and as unreliable as a test wants it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from gnn_branching.collection import EpisodeJob
from gnn_branching.config import CollectionConfig, ExperimentConfig
from gnn_branching.contracts import InputError, InstanceFile, Sample
from gnn_branching.instances import InstanceSplits
from tests.shards.samples import random_episode


def toy_sampler(job: EpisodeJob) -> Sequence[Sample]:
    """Return up to five samples after a moment; what is in the instance's file decides whether it fails."""
    rng = np.random.default_rng(job.scip_seed)
    text = Path(job.instance.path).read_text()
    if text == "broken":
        raise InputError(f"SCIP cannot read {Path(job.instance.path).name}: broken")
    if text == "crashes":
        os.kill(os.getpid(), signal.SIGSEGV)
    if text.startswith("dies once"):
        marker = Path(job.instance.path).with_suffix(f".{job.split}{job.episode}")
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    if text == "solved at the root":
        return []
    time.sleep(rng.random() * 0.02)
    samples = random_episode(rng, job.episode, int(rng.integers(0, 6)), n_rows=30, n_variables=60)
    name = Path(job.instance.path).name
    origins = [replace(sample.origin, instance=name, scip_seed=job.scip_seed) for sample in samples]
    return [replace(sample, origin=origin) for sample, origin in zip(samples, origins, strict=True)]


def toy_instances(folder: Path, *contents: str) -> InstanceSplits:
    """Return splits of files; the given contents are those of training files, beside a good one."""
    folder.mkdir(parents=True, exist_ok=True)

    def file(name: str, content: str) -> InstanceFile:
        path = folder / name
        path.write_text(content)
        return InstanceFile(path=str(path), family="toy", size="", seed=None, sha256=name.rjust(64, "0"))

    train = [file(f"train-{number}.lp", content) for number, content in enumerate([*contents, "good"])]
    return InstanceSplits(train=tuple(train), valid=(file("valid.lp", "good"),), test=(file("test.lp", "good"),))


def toy_config(n_train: int = 60, n_valid: int = 12, n_test: int = 5, seed: int = 3) -> ExperimentConfig:
    """Return an experiment of a few samples."""
    counts = CollectionConfig(n_train_samples=n_train, n_valid_samples=n_valid, n_test_samples=n_test)
    return ExperimentConfig(seed=seed, collection=counts)


def contents(dataset: Path) -> dict[str, bytes]:
    """Return every file of a dataset but the lock."""
    files = [path for path in dataset.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(dataset)): path.read_bytes() for path in files}
