"""What watching convergence costs a training: the same training with the tracker and without, in turns.

    python -m benchmarks.tracking runs/set-cover/dataset --n-samples 500

CPU seconds of the whole process are compared, which other load on the machine changes less than wall time; beside them
stands what the tracker says of itself.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from gnn_branching.config import ModelConfig, TrainingConfig
from gnn_branching.dataset.source import SampleSource, SubsetSource
from gnn_branching.diagnostics.tracking.tracker import ConvergenceTracker, probe_samples
from gnn_branching.model.network import initial_network
from gnn_branching.shards import open_dataset
from gnn_branching.training.loop import train

N_PROBE_SAMPLES = 16


def benchmark(dataset: Path, *, n_samples: int, n_epochs: int, n_repetitions: int, seed: int = 0) -> dict[str, float]:
    """Train in turns with the tracker and without.

    Args:
        dataset: A collected dataset.
        n_samples: Training samples.
        n_epochs: Epochs of each training.
        n_repetitions: Trainings of each kind.
        seed: Of weights and batches.

    Returns:
        CPU seconds, medians, and the cost of tracking as a share of a training without.
    """
    config = TrainingConfig(n_epochs=n_epochs, n_batches_per_epoch=0, n_threads=1, loss="tie-aware")
    source = open_dataset(dataset, "train")
    samples: SampleSource = SubsetSource(source, range(n_samples))
    valid: SampleSource = SubsetSource(source, range(n_samples, n_samples + n_samples // 5))
    with_tracker, without, own = [], [], []
    for _ in range(n_repetitions):
        without.append(cpu_seconds(samples, valid, config, None, seed))
        tracker = ConvergenceTracker(probe_samples(samples, N_PROBE_SAMPLES), config.loss)
        with_tracker.append(cpu_seconds(samples, valid, config, tracker, seed))
        own.append(tracker.overhead)
    return {
        "cpu_seconds_without": statistics.median(without),
        "cpu_seconds_with": statistics.median(with_tracker),
        "overhead": statistics.median(with_tracker) / statistics.median(without) - 1.0,
        "overhead_by_its_own_clock": statistics.median(own),
        "n_repetitions": n_repetitions,
    }


def cpu_seconds(
    samples: SampleSource, valid: SampleSource, config: TrainingConfig, tracker: ConvergenceTracker | None, seed: int
) -> float:
    """Train once; return the CPU seconds of this process."""
    with tempfile.TemporaryDirectory(prefix="gnn-branching-benchmark-") as folder:
        start = time.process_time()
        callbacks = () if tracker is None else (tracker,)
        network = initial_network(ModelConfig(), seed)
        train(network, samples, valid, config, seed=seed, run_folder=Path(folder), callbacks=callbacks, display="none")
        return time.process_time() - start


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--n-samples", type=int, default=500)
    parser.add_argument("--n-epochs", type=int, default=10)
    parser.add_argument("--n-repetitions", type=int, default=3)
    given = parser.parse_args()
    figures = benchmark(
        given.dataset, n_samples=given.n_samples, n_epochs=given.n_epochs, n_repetitions=given.n_repetitions
    )
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
