"""Samples a second of our sampler, against the plain loop over Ecole's ``Branching`` environment.

Both solve the same instances under the same settings, seeds, node limit and expert probability, in turns, in one
process and thread, and both write what they sampled to disk. Rates are per second of CPU time, which other load on the
machine changes less than wall time.

    python -m benchmarks.collection --family set-cover --n-instances 4
"""

from __future__ import annotations

import argparse
import gzip
import json
import pickle
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import ecole
import numpy as np

from benchmarks.instances import write_instance
from gnn_branching.config import CollectionConfig
from gnn_branching.seeding import derive_seed
from gnn_branching.shards import write_episode
from gnn_branching.solver.sampling import run_episode
from gnn_branching.solver.settings import NAMED_SETTINGS

DEFAULT_NODE_LIMIT = 400


@dataclass(slots=True, kw_only=True)
class Tally:
    """What a way of sampling has done so far.

    Args:
        n_samples: Samples written.
        n_tree_nodes: Tree nodes solved.
        cpu_seconds: CPU time of this process.
        wall_seconds: Wall time.
        expert_seconds: Wall time inside the expert.
        sampler_seconds: Wall time inside the sampler, the expert's included.
    """

    n_samples: int = 0
    n_tree_nodes: int = 0
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    expert_seconds: float = 0.0
    sampler_seconds: float = 0.0


def benchmark(
    *,
    family: str = "set-cover",
    size: str = "easy",
    n_instances: int = 4,
    n_episodes_per_instance: int = 1,
    expert_probability: float = 0.05,
    node_limit: int = DEFAULT_NODE_LIMIT,
    seed: int = 0,
) -> dict[str, float]:
    """Sample some instances both ways.

    Args:
        family: A registered family.
        size: One of its sizes.
        n_instances: Instances to solve.
        n_episodes_per_instance: Solves of each, with different seeds.
        expert_probability: Of asking the expert at a tree node.
        node_limit: Tree nodes per solve.
        seed: Root of all seeds.

    Returns:
        Rates, their ratio ``speedup``, and the share of our sampler's time that is spent inside the expert.
    """
    config = CollectionConfig(expert_probability=expert_probability, node_limit=node_limit)
    ours, reference = Tally(), Tally()
    with tempfile.TemporaryDirectory(prefix="gnn-branching-benchmark-") as name:
        folder = Path(name)
        for index in range(n_instances):
            path = write_instance(folder, family, size, "train", index, seed)
            for repetition in range(n_episodes_per_instance):
                scip_seed = derive_seed(seed, "benchmark", index, repetition)
                _timed(ours, lambda: sample_ours(path, scip_seed, config, folder, ours))  # noqa: B023
                _timed(reference, lambda: sample_with_environment(path, scip_seed, config, folder, reference))  # noqa: B023
    return _figures(ours, reference)


def sample_ours(path: Path, scip_seed: int, config: CollectionConfig, folder: Path, tally: Tally) -> None:
    """Run one episode of the package's sampler, and write its shard."""
    episode = run_episode(str(path), episode=0, scip_seed=scip_seed, config=config, instance_sha256="0" * 64)
    write_episode(folder / "episode-000000.arrow", episode.samples)
    tally.n_samples += len(episode.samples)
    tally.n_tree_nodes += episode.n_tree_nodes
    tally.expert_seconds += episode.expert_seconds
    tally.sampler_seconds += episode.sampler_seconds


class ExploreThenStrongBranch:
    """Strong-branching scores with some probability, else pseudocosts: the observation of Ecole's published example."""

    def __init__(self, probability: float, seed: int) -> None:
        self._probability = probability
        self._rng = np.random.default_rng(seed)
        self._pseudocosts = ecole.observation.Pseudocosts()
        self._strong_branching = ecole.observation.StrongBranchingScores(False)

    def before_reset(self, model: ecole.scip.Model) -> None:
        """Reset both observations."""
        self._pseudocosts.before_reset(model)
        self._strong_branching.before_reset(model)

    def extract(self, model: ecole.scip.Model, done: bool) -> tuple[np.ndarray | None, bool]:
        """Return scores, and whether they are the expert's."""
        if self._rng.random() < self._probability:
            return self._strong_branching.extract(model, done), True
        return self._pseudocosts.extract(model, done), False


def sample_with_environment(path: Path, scip_seed: int, config: CollectionConfig, folder: Path, tally: Tally) -> None:
    """Run one episode of the plain loop, one gzipped pickle a sample, as in Ecole's example."""
    parameters = {
        **NAMED_SETTINGS[config.settings],
        "randomization/permutationseed": scip_seed,
        "randomization/randomseedshift": scip_seed,
        "limits/totalnodes": config.node_limit,
        "limits/time": config.time_limit_seconds,
        "timing/clocktype": 2,
    }
    environment = ecole.environment.Branching(
        observation_function=(
            ExploreThenStrongBranch(config.expert_probability, scip_seed),
            ecole.observation.NodeBipartite(),
        ),
        scip_params=parameters,
    )
    environment.seed(scip_seed)
    observation, action_set, _, done, _ = environment.reset(str(path))
    while not done:
        (scores, is_expert), graph = observation
        action = action_set[scores[action_set].argmax()]
        if is_expert:
            with gzip.open(folder / f"sample-{tally.n_samples}.pkl", "wb") as stream:
                pickle.dump({"graph": graph, "action": action, "action_set": action_set, "scores": scores}, stream)
            tally.n_samples += 1
        observation, action_set, _, done, _ = environment.step(action)
    tally.n_tree_nodes += environment.model.as_pyscipopt().getNTotalNodes()


def _timed(tally: Tally, work: Callable[[], None]) -> None:
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    tally.cpu_seconds += time.process_time() - cpu
    tally.wall_seconds += time.perf_counter() - wall


def _figures(ours: Tally, reference: Tally) -> dict[str, float]:
    rate = ours.n_samples / ours.cpu_seconds
    reference_rate = reference.n_samples / reference.cpu_seconds
    return {
        "samples_per_second_per_core": rate,
        "expert_seconds_per_sample": ours.expert_seconds / max(ours.n_samples, 1),
        "reference_samples_per_second_per_core": reference_rate,
        "speedup": rate / reference_rate if reference_rate else float("inf"),
        "expert_share_of_sampler": ours.expert_seconds / ours.sampler_seconds if ours.sampler_seconds else 0.0,
        "n_samples": ours.n_samples,
        "reference_n_samples": reference.n_samples,
        "n_tree_nodes": ours.n_tree_nodes,
        "reference_n_tree_nodes": reference.n_tree_nodes,
        "cpu_seconds": ours.cpu_seconds,
        "reference_cpu_seconds": reference.cpu_seconds,
        "wall_seconds": ours.wall_seconds,
        "reference_wall_seconds": reference.wall_seconds,
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", default="set-cover")
    parser.add_argument("--size", default="easy")
    parser.add_argument("--n-instances", type=int, default=4)
    parser.add_argument("--n-episodes-per-instance", type=int, default=1)
    parser.add_argument("--expert-probability", type=float, default=0.05)
    parser.add_argument("--node-limit", type=int, default=DEFAULT_NODE_LIMIT)
    parser.add_argument("--seed", type=int, default=0)
    print(json.dumps(benchmark(**vars(parser.parse_args())), indent=1))


if __name__ == "__main__":
    main()
