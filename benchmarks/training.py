"""Samples a second and peak memory of training, against the plain network on PyTorch Geometric.

Both networks have the same weights and go through the same batches of real tree nodes with the same optimizer, reading
and collating included; the package's, as in training, through the candidates' receptive field alone. Each is in
processes of its own, one after the other, in turns: a process's highest resident memory counts everything it ever held,
libraries too. It is read twice: after the training steps, and after a validation batch of the size training uses, which
ends every epoch.

The gradients of the first batch are compared with each other, and with those of the reference in float64: sums over a
million edges round, in the reference more than here.

    python -m benchmarks.training --family set-cover --n-rounds 3
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from statistics import median
from time import perf_counter

import psutil
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from gnn_branching.config import CollectionConfig, ModelConfig, TrainingConfig
from gnn_branching.dataset.data import BranchingData
from gnn_branching.dataset.loader import training_batches
from gnn_branching.dataset.source import SampleSource, near_candidates
from gnn_branching.model.network import BipartiteGCNN, Implementation, initial_network
from gnn_branching.provenance import available_cores
from gnn_branching.seeding import derive_seed
from gnn_branching.shards import episode_path, open_dataset, write_episode
from gnn_branching.training.losses import tie_aware_cross_entropy
from gnn_branching.training.validation import forward, validate

MIB = 2**20
LEARNING_RATE = 1e-3
VALID_BATCH_SIZE = TrainingConfig().valid_batch_size
N_PRENORM_SAMPLES = 32
EXPERT_PROBABILITY = 0.3
NODE_LIMIT = 60
"""Of the solves that samples are taken from: the graphs are of full size at any tree node."""
N_SAMPLES_PER_EPISODE = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a process measures.

    Args:
        implementation: Which network.
        dataset: Samples to train on.
        folder: Has ``weights.safetensors``, gets the gradients of the first batch.
        hidden_size: Width.
        batch_size: Samples per step.
        n_batches: Steps that are timed, after one that is not.
        n_threads: Threads.
        seed: Of the batches.
        exact: Whether to compute the gradients of the first batch in float64, and nothing else.
    """

    implementation: Implementation
    dataset: str
    folder: str
    hidden_size: int
    batch_size: int
    n_batches: int
    n_threads: int
    seed: int
    exact: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What a process found.

    Args:
        samples_per_second: Over the timed steps, reading and collating included.
        step_samples_per_second: The same without reading and collating.
        peak_rss_mib: Highest resident memory of the process, after the steps and a validation batch.
        train_peak_rss_mib: The same after the steps alone.
        base_rss_mib: Resident memory before the first batch: libraries and weights.
    """

    samples_per_second: float
    step_samples_per_second: float
    peak_rss_mib: float
    train_peak_rss_mib: float
    base_rss_mib: float


def benchmark(
    *,
    family: str = "set-cover",
    size: str = "easy",
    dataset: Path | None = None,
    n_samples: int = 64,
    hidden_size: int = 64,
    batch_size: int = 32,
    n_batches: int = 24,
    n_reference_batches: int = 3,
    n_rounds: int = 3,
    n_threads: int = 0,
    seed: int = 0,
) -> dict[str, float]:
    """Train a little with both networks.

    Args:
        family: A registered family.
        size: One of its sizes.
        dataset: Collected samples to train on; without, some are taken from SCIP, and kept in the temporary folder.
        n_samples: Samples to take.
        hidden_size: Width of the network.
        batch_size: Samples per step.
        n_batches: Steps of the package's network a round.
        n_reference_batches: Steps of the reference a round.
        n_rounds: Rounds; rates are the medians over them.
        n_threads: Threads of either; 0 means the cores there are.
        seed: Root of all seeds.

    Returns:
        Rates, their ratio ``speedup``, peak memory, and how far the gradients are apart.
    """
    samples = str(dataset or sampled_dataset(family, size, n_samples, seed))
    with tempfile.TemporaryDirectory(prefix="gnn-branching-benchmark-") as folder:
        write_weights(Path(folder), samples, hidden_size, batch_size, seed)

        task = Task(
            implementation="fused",
            dataset=samples,
            folder=folder,
            hidden_size=hidden_size,
            batch_size=batch_size,
            n_batches=n_batches,
            n_threads=n_threads or available_cores(),
            seed=seed,
        )
        plain = replace(task, implementation="reference", n_batches=n_reference_batches)
        pairs = [(in_a_process(task), in_a_process(plain)) for _ in range(n_rounds)]
        in_a_process(replace(plain, exact=True))
        differences = gradient_differences(Path(folder))
    ours, reference = ([pair[side] for pair in pairs] for side in (0, 1))
    return {
        **compared(ours, reference),
        **differences,
        "batch_size": batch_size,
        "valid_batch_size": VALID_BATCH_SIZE,
        "hidden_size": hidden_size,
        "n_threads": task.n_threads,
        "n_samples": len(open_dataset(samples, "train")),
    }


def compared(ours: Sequence[Measurement], reference: Sequence[Measurement]) -> dict[str, float]:
    """Return the medians of both sides, and their ratios."""
    figures: dict[str, float] = {}
    for field in fields(Measurement):
        figures[field.name] = median(getattr(one, field.name) for one in ours)
        figures[f"reference_{field.name}"] = median(getattr(one, field.name) for one in reference)
    for name, rate in (("speedup", "samples_per_second"), ("step_speedup", "step_samples_per_second")):
        figures[name] = figures[rate] / figures[f"reference_{rate}"]
    for peak in ("peak_rss_mib", "train_peak_rss_mib"):
        figures[peak.replace("mib", "ratio")] = figures[peak] / figures[f"reference_{peak}"]
    return figures


def sampled_dataset(family: str, size: str, n_samples: int, seed: int) -> Path:
    """Return a folder of samples of the family; take them from SCIP unless an earlier run has."""
    folder = Path(tempfile.gettempdir()) / f"gnn-branching-bench-{os.getuid()}" / f"{family}-{size}-{n_samples}-{seed}"
    done = folder / "complete"
    if done.exists():
        return folder
    # Only here: what SCIP takes must not count in the processes that train.
    from benchmarks.instances import write_instance
    from gnn_branching.solver.sampling import run_episode

    config = CollectionConfig(
        expert_probability=EXPERT_PROBABILITY, node_limit=NODE_LIMIT, n_samples_per_episode=N_SAMPLES_PER_EPISODE
    )
    n, episode = 0, 0
    while n < n_samples:
        path = write_instance(folder, family, size, "train", episode, seed)
        scip_seed = derive_seed(seed, "benchmark", episode)
        found = run_episode(str(path), episode=episode, scip_seed=scip_seed, config=config, instance_sha256="0" * 64)
        write_episode(episode_path(folder, "train", episode), found.samples)
        n, episode = n + len(found.samples), episode + 1
        print(f"sampled {n} tree nodes of {n_samples}", file=sys.stderr)
    done.touch()
    return folder


def write_weights(folder: Path, dataset: str, hidden_size: int, batch_size: int, seed: int) -> None:
    """Write the weights that both networks start from, prenorm fitted."""
    network = initial_network(ModelConfig(hidden_size=hidden_size), seed)
    source = open_dataset(dataset, "train")
    n_batches = -(-N_PRENORM_SAMPLES // batch_size)
    network.fit_prenorm(training_batches(source, batch_size=batch_size, seed=seed, n_batches=n_batches))
    save_file(network.state_dict(), folder / "weights.safetensors")


def in_a_process(task: Task) -> Measurement:
    """Measure in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.training", "--task", json.dumps(asdict(task))]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, text=True)
    return Measurement(**json.loads(done.stdout.splitlines()[-1]))


def measure(task: Task) -> Measurement:
    """Train for some steps in this process, after one that compiles and allocates."""
    torch.set_num_threads(task.n_threads)
    network = BipartiteGCNN(ModelConfig(hidden_size=task.hidden_size), implementation=task.implementation)
    network.load_state_dict(load_file(Path(task.folder) / "weights.safetensors"))
    if task.exact:
        network.double()
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    source: SampleSource = open_dataset(task.dataset, "train")
    if task.implementation == "fused":
        source = near_candidates(source, network)
    base = psutil.Process().memory_info().rss
    step_seconds, start = 0.0, 0.0
    n_timed = 0 if task.exact else task.n_batches
    stream = training_batches(source, batch_size=task.batch_size, seed=task.seed, n_batches=1 + n_timed)
    for number, batch in enumerate(stream):
        begin = perf_counter()
        optimizer.zero_grad()
        tie_aware_cross_entropy(_forward(network, batch, task), batch).mean().backward()
        if number == 0:
            gradients = {name: weight.grad for name, weight in network.named_parameters() if weight.grad is not None}
            save_file(gradients, _gradient_file(Path(task.folder), task.implementation, exact=task.exact))
        optimizer.step()
        step_seconds += perf_counter() - begin
        if number == 0:
            step_seconds, start = 0.0, perf_counter()
    seconds, n_samples, train_peak = perf_counter() - start, n_timed * task.batch_size, peak_rss_mib()
    del batch
    if not task.exact:
        held_out = training_batches(source, batch_size=VALID_BATCH_SIZE, seed=task.seed, n_batches=1)
        validate(network, held_out, tie_aware_cross_entropy)
    return Measurement(
        samples_per_second=n_samples / seconds,
        step_samples_per_second=n_samples / step_seconds if step_seconds else 0.0,
        peak_rss_mib=peak_rss_mib(),
        train_peak_rss_mib=train_peak,
        base_rss_mib=base / MIB,
    )


def _forward(network: BipartiteGCNN, batch: BranchingData, task: Task) -> Tensor:
    if not task.exact:
        return forward(network, batch)
    for name in ("row_features", "edge_values", "variable_features"):
        batch[name] = batch[name].double()
    return network.score(batch)


def peak_rss_mib() -> float:
    """Return the highest resident memory of this process since it began to run this program.

    ``getrusage`` on Linux also counts what a parent held when it started the process.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / MIB


def _gradient_file(folder: Path, implementation: Implementation, *, exact: bool = False) -> Path:
    return folder / f"gradients-{implementation}{'-exact' if exact else ''}.safetensors"


def gradient_differences(folder: Path) -> dict[str, float]:
    """Compare the gradients: entries, whole gradients, and entries over the highest entry of their tensor."""
    ours, reference = (load_file(_gradient_file(folder, name)) for name in ("fused", "reference"))
    exact = load_file(_gradient_file(folder, "reference", exact=True))
    if not ours.keys() == reference.keys() == exact.keys():
        raise AssertionError(f"other parameters have gradients: {sorted(ours.keys() ^ reference.keys())}")
    return {
        "max_abs_gradient_difference": max(float((ours[name] - reference[name]).abs().max()) for name in ours),
        "relative_gradient_difference": float((_flat(ours) - _flat(reference)).norm() / _flat(reference).norm()),
        "max_relative_gradient_difference": _worst(ours, reference),
        "max_relative_gradient_error": _worst(ours, exact),
        "reference_max_relative_gradient_error": _worst(reference, exact),
    }


def _flat(gradients: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([gradients[name].double().reshape(-1) for name in sorted(gradients)])


def _worst(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> float:
    return max(float((found[name] - expected[name]).abs().max() / expected[name].abs().max()) for name in found)


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", help=argparse.SUPPRESS)
    parser.add_argument("--family", default="set-cover")
    parser.add_argument("--size", default="easy")
    parser.add_argument("--dataset", type=Path)
    for name, default in (("n-samples", 64), ("hidden-size", 64), ("batch-size", 32), ("n-batches", 24)):
        parser.add_argument(f"--{name}", type=int, default=default)
    for name, default in (("n-reference-batches", 3), ("n-rounds", 3), ("n-threads", 0), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = vars(parser.parse_args())
    task = options.pop("task")
    print(json.dumps(asdict(measure(Task(**json.loads(task)))) if task else benchmark(**options)))


if __name__ == "__main__":
    main()
