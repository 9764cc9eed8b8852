"""Is training on a GPU the same as on a CPU, and how much faster? Real samples, no solver; see gpu_check.sh.

Trains one network on the stored auction samples on every device there is, and compares loss curves, speed, the tangent
kernel and the sharpness. Writes ``gpu.json`` and ``gpu.md``; exits with 3 if a curve or a diagnostic differs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from gnn_branching.config import ModelConfig, TrainingConfig
from gnn_branching.diagnostics.measures.curvature import hessian_top
from gnn_branching.diagnostics.measures.imitation import imitation_probe
from gnn_branching.diagnostics.measures.tangent_kernel import tangent_kernel
from gnn_branching.durable import write_durably
from gnn_branching.model.network import BipartiteGCNN, initial_network
from gnn_branching.provenance import available_cores
from gnn_branching.run_folder import RunFolder
from gnn_branching.shards import ShardReader, open_dataset
from gnn_branching.training.loop import fit_prenorm, train
from gnn_branching.training.outputs import read_metrics

DATASET = Path("tests/data/auction")
CURVE_TOLERANCE = {"32-true": 0.02, "bf16-mixed": 0.1}
"""Relative difference of an epoch's training loss from that of the CPU; steps amplify rounding."""
DIAGNOSTIC_TOLERANCE = 1e-6
LEARNING_RATE = 1e-4
"""Low, so that the arithmetic is compared: on one and two cores of the same CPU the losses come to differ, by rounding
alone, by 2.3 % at 1e-3, 1.9 % at 3e-4 and 0.08 % at 1e-4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One training.

    Args:
        name: For the table.
        device: ``cpu`` or ``cuda``.
        precision: Of the training.
        n_threads: CPU threads.
        n_loader_workers: Processes that read batches ahead.
    """

    name: str
    device: str
    precision: str = "32-true"
    n_threads: int = 1
    n_loader_workers: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a training gave.

    Args:
        run: Which one.
        samples_per_second: Of the fastest epoch: the others hold compilation and whatever else disturbed.
        seconds: Of the whole training.
        losses: Training loss per epoch, nats.
        largest_difference: Relative to the reference's losses; 0 for the reference.
    """

    run: Run
    samples_per_second: float
    seconds: float
    losses: tuple[float, ...]
    largest_difference: float


def runs() -> list[Run]:
    """Return the reference, one CPU thread, first; then whatever is there."""
    n_cores = available_cores()
    found = [Run(name="CPU, 1 core", device="cpu")]
    if n_cores > 1:
        found.append(Run(name=f"CPU, {n_cores} cores", device="cpu", n_threads=n_cores))
    if torch.cuda.is_available():
        n_workers = min(8, n_cores)
        gpu = Run(name="GPU, float32", device="cuda", n_threads=n_cores, n_loader_workers=n_workers)
        found += [
            replace(gpu, name="GPU, float32, one process", n_loader_workers=0),
            gpu,
            replace(gpu, name="GPU, bfloat16", precision="bf16-mixed"),
        ]
    return found


def train_once(run: Run, n_batches: int, n_epochs: int, folder: Path) -> Outcome:
    """Train from the same start, in the same order."""
    config = TrainingConfig(
        loss="tie-aware",
        learning_rate=LEARNING_RATE,
        batch_size=32,
        n_epochs=n_epochs,
        n_batches_per_epoch=n_batches,
        device="cuda" if run.device == "cuda" else "cpu",
        precision="bf16-mixed" if run.precision == "bf16-mixed" else "32-true",
        n_threads=run.n_threads,
        n_loader_workers=run.n_loader_workers,
    )
    samples, network = open_dataset(DATASET, "train"), started(config)
    clock = time.perf_counter()
    train(
        network, samples, open_dataset(DATASET, "valid"), config, seed=0, run_folder=folder, display="none",
        prenorm_fitted=True,
    )  # fmt: skip
    seconds, epochs = time.perf_counter() - clock, read_metrics(RunFolder(path=folder).metrics)
    return Outcome(
        run=run,
        samples_per_second=max(epoch.samples_per_second for epoch in epochs),
        seconds=seconds,
        losses=tuple(epoch.train_loss for epoch in epochs),
        largest_difference=0.0,
    )


def started(config: TrainingConfig) -> BipartiteGCNN:
    """Return the network before training, its prenorm fitted on the CPU, for all devices the same."""
    network = initial_network(ModelConfig(), 0)
    fit_prenorm(network, open_dataset(DATASET, "train"), config, 0)
    return network


def compare(outcomes: list[Outcome]) -> list[Outcome]:
    """Measure each curve against the first one."""
    reference = outcomes[0].losses
    return [
        replace(o, largest_difference=max(abs(a - b) / b for a, b in zip(o.losses, reference, strict=True)))
        for o in outcomes
    ]


def diagnostics(n_samples: int) -> dict[str, float]:
    """Return kernel and sharpness of the GPU against the CPU's, and the seconds of each."""
    source: ShardReader = open_dataset(DATASET, "train")
    figures: dict[str, float] = {}
    network, devices = started(TrainingConfig(device="cpu")), ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    kernels = {}
    for device in devices:
        probe = imitation_probe(network, [source[i] for i in range(n_samples)], "tie-aware", device)
        parameters, clock = probe.parameters().to(device), time.perf_counter()
        kernels[device] = tangent_kernel(probe, parameters).cpu()
        figures[f"kernel_seconds_{device}"] = time.perf_counter() - clock
        clock = time.perf_counter()
        figures[f"sharpness_{device}"] = hessian_top(probe, parameters, tolerance=1e-4, n_vectors=8).value
        figures[f"sharpness_seconds_{device}"] = time.perf_counter() - clock
    if len(devices) > 1:
        gap = (kernels["cuda"] - kernels["cpu"]).norm() / kernels["cpu"].norm()
        figures["kernel_relative_difference"] = float(gap)
        figures["sharpness_relative_difference"] = abs(figures["sharpness_cuda"] / figures["sharpness_cpu"] - 1.0)
    return figures


def failures(outcomes: list[Outcome], figures: dict[str, float]) -> list[str]:
    """Say what does not agree, one line each."""
    found = [
        f"{o.run.name}: the loss differs by {o.largest_difference:.2g}, more than {CURVE_TOLERANCE[o.run.precision]}"
        for o in outcomes
        if not o.largest_difference <= CURVE_TOLERANCE[o.run.precision]
    ]
    return found + [
        f"{name} = {value:.2g}, more than {DIAGNOSTIC_TOLERANCE}"
        for name, value in figures.items()
        if name.endswith("relative_difference") and not value <= DIAGNOSTIC_TOLERANCE
    ]


def markdown(machine: str, outcomes: list[Outcome], figures: dict[str, float]) -> str:
    """Return the figures as a page."""
    one = outcomes[0].samples_per_second
    lines = [
        "# Training on a GPU", "", f"`bash scripts/gpu_check.sh` on {machine}, PyTorch {torch.__version__}: the graph",
        "network of width 64 on stored samples of easy auctions, batches of 32, every run from the same weights and in",
        "the same order. Speed is that of the fastest epoch.", "",
        "| | samples a second | of one core | whole training, s | last training loss | largest difference |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    lines += [
        f"| {o.run.name} | {o.samples_per_second:.0f} | {o.samples_per_second / one:.2f} | {o.seconds:.1f} | "
        f"{o.losses[-1]:.4f} | {o.largest_difference:.1e} |"
        for o in outcomes
    ]
    lines += ["", "Diagnostics, float64, on both devices:", "", "| figure | value |", "|---|---|"]
    lines += [f"| {name} | {value:.6g} |" for name, value in figures.items()]
    return "\n".join([*lines, ""])


def main() -> int:
    """Run the check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two batches an epoch: does it run at all?")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", "runs/gpu-check")))
    given = parser.parse_args()
    n_batches, n_epochs, n_samples = (2, 1, 1) if given.quick else (60, 4, 16)
    has_gpu = torch.cuda.is_available()
    machine = f"{torch.cuda.get_device_name()}, {available_cores()} cores" if has_gpu else f"{available_cores()} cores"
    outcomes = []
    with tempfile.TemporaryDirectory() as scratch:
        for number, run in enumerate(runs()):
            outcomes.append(train_once(run, n_batches, n_epochs, Path(scratch) / str(number)))
            print(f"{run.name}: {outcomes[-1].samples_per_second:.0f} samples/s", file=sys.stderr)
    outcomes, figures = compare(outcomes), diagnostics(n_samples)
    wrong = failures(outcomes, figures)
    document = {"machine": machine, "torch": torch.__version__, "runs": [asdict(o) for o in outcomes], **figures}
    write_durably(given.out / "gpu.json", (json.dumps(document, indent=2) + "\n").encode())
    write_durably(given.out / "gpu.md", markdown(machine, outcomes, figures).encode())
    print(markdown(machine, outcomes, figures))
    for line in wrong:
        print(f"DIFFERS {line}", file=sys.stderr)
    return 3 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
