"""What watching convergence costs a training: the same training with the tracker and without, in turns.

    python -m benchmarks.tracking runs/set-cover/dataset --n-samples 500
    python -m benchmarks.tracking runs/set-cover/dataset --n-epochs 200 --n-repetitions 1 --only-tracked

CPU seconds of the whole process are compared, which other load on the machine changes less than wall time; beside them
stands what the tracker says of itself, by its thread's CPU seconds, and what its points took by wall time.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from gnn_branching.config import ModelConfig, TrainingConfig
from gnn_branching.dataset.data import BranchingData
from gnn_branching.dataset.source import MemorySource, SampleSource, seen_as
from gnn_branching.diagnostics.tracking.tracker import OVERHEAD_FILE, ConvergenceTracker, probe_samples, read_probes
from gnn_branching.model.network import initial_network
from gnn_branching.policy.network_kind import N_PROBE_SAMPLES
from gnn_branching.run_folder import RunFolder
from gnn_branching.shards import open_dataset
from gnn_branching.subproblem import View
from gnn_branching.training.loop import train
from gnn_branching.training.records import Callback, StepRecord


class CountedTracker(ConvergenceTracker):
    """A tracker that counts its wall seconds beside the CPU seconds it goes by, and ends a training after a time."""

    wall_seconds = 0.0
    ends_at = math.inf

    @property
    def stop_reason(self) -> str:
        """Why training should stop; empty while it should not."""
        return "its time is over" if time.monotonic() >= self.ends_at else ""

    def on_step(self, network: nn.Module, batch: BranchingData, record: StepRecord) -> None:
        """Run what is due, and count."""
        before = time.monotonic()
        super().on_step(network, batch, record)
        self.wall_seconds += time.monotonic() - before


def benchmark(
    dataset: Path,
    *,
    n_samples: int,
    n_epochs: int,
    n_repetitions: int,
    only_tracked: bool = False,
    minutes: float = math.inf,
    seed: int = 0,
) -> dict[str, object]:
    """Train in turns with the tracker and without.

    Args:
        dataset: A collected dataset.
        n_samples: Training samples.
        n_epochs: Epochs of each training.
        n_repetitions: Trainings of each kind.
        only_tracked: Whether those without the tracker are left out.
        minutes: Wall time after which a training with the tracker ends, whatever it planned.
        seed: Of weights and batches.

    Returns:
        CPU seconds, medians; the cost of tracking as a share of a training without; and what the last tracker wrote.
    """
    config = TrainingConfig(
        n_epochs=n_epochs,
        stop="pl-star" if minutes < math.inf else "patience",  # only then is a listener asked
        stop_patience=n_epochs,
        n_batches_per_epoch=0,
        n_threads=1,
        loss="tie-aware",
    )
    view = View.of(ModelConfig())
    source, valid = (seen_as(open_dataset(dataset, split), view) for split in ("train", "valid"))
    samples = MemorySource([source[i] for i in range(n_samples)])
    probed, held_out = (probe_samples(s, N_PROBE_SAMPLES) for s in (samples, valid))
    with_tracker, without = [], []
    with tempfile.TemporaryDirectory(prefix="gnn-branching-benchmark-") as folder:
        for repetition in range(n_repetitions):
            path = Path(folder) / str(repetition)
            tracker = CountedTracker(probed, config.loss, valid_samples=held_out)
            began = time.monotonic()
            tracker.ends_at = began + 60.0 * minutes
            with_tracker.append(cpu_seconds(samples, valid, config, (tracker,), seed, path))
            wall_seconds = time.monotonic() - began
            if not only_tracked:
                without.append(cpu_seconds(samples, valid, config, (), seed, path.with_suffix(".without")))
        told = json.loads((RunFolder(path=path).diagnostics / OVERHEAD_FILE).read_text(encoding="utf-8"))
        points = read_probes(RunFolder(path=path).convergence)
    figures: dict[str, object] = {"cpu_seconds_with": statistics.median(with_tracker)}
    if without:
        figures["cpu_seconds_without"] = statistics.median(without)
        figures["overhead"] = statistics.median(with_tracker) / statistics.median(without) - 1.0
    figures |= {
        "wall_seconds": wall_seconds,
        "wall_seconds_of_points": tracker.wall_seconds,
        "seconds_of_points": [point.probe_seconds for point in points],
        "steps_of_points": [point.step for point in points],
    }
    return {**figures, "n_repetitions": n_repetitions, "tracker": told}


def cpu_seconds(
    samples: SampleSource,
    valid: SampleSource,
    config: TrainingConfig,
    callbacks: Sequence[Callback],
    seed: int,
    folder: Path,
) -> float:
    """Train once; return the CPU seconds of this process."""
    start = time.process_time()
    network = initial_network(ModelConfig(), seed)
    train(network, samples, valid, config, seed=seed, run_folder=folder, callbacks=callbacks, display="none")
    return time.process_time() - start


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--n-samples", type=int, default=500)
    parser.add_argument("--n-epochs", type=int, default=10)
    parser.add_argument("--n-repetitions", type=int, default=3)
    parser.add_argument("--only-tracked", action="store_true")
    parser.add_argument("--minutes", type=float, default=math.inf, help="end each training with the tracker after it")
    print(json.dumps(benchmark(**vars(parser.parse_args())), indent=1))


if __name__ == "__main__":
    main()
