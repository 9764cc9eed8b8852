"""Does a measured learning rate keep up with the best of a grid of seven?

For each family and seed, the same network is trained with every rate of the grid and with the rate that
``train-policy --lr auto`` measures. The mark is the lowest validation loss of the best rate of the grid. The measured
rate must reach it within ``ALLOWED`` times the epochs that the best rate took: first in a training of the same length,
and if that misses, in one that is ``ALLOWED`` times as long.

    python -m scripts.learning_rate_experiment set-cover=runs/set-cover/dataset --out runs/learning-rate

Every training is a line of ``results.jsonl``; what is there is not trained again, and what was interrupted goes on.
Training and validation samples both come from the split ``train``, and from different instances.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from gnn_branching.config import ModelConfig, TrainingConfig
from gnn_branching.contracts import Sample
from gnn_branching.dataset.source import MemorySource, SampleSource
from gnn_branching.diagnostics.rates.learning_rate import choose_learning_rate
from gnn_branching.diagnostics.tracking.tracker import ConvergenceTracker, probe_samples
from gnn_branching.model.network import initial_network
from gnn_branching.shards import open_dataset
from gnn_branching.training.loop import train
from gnn_branching.training.outputs import read_metrics
from gnn_branching.training.session import DivergedError
from scripts.results_file import append_result, read_results

GRID = tuple(1e-4 * math.sqrt(10.0) ** k for k in range(7))
"""The seven rates: half a power of ten apart, around the published 1e-3 and the 4e-3 of our configurations."""
SEEDS = (3, 4, 5)
"""How ``--lr auto`` settles ties was chosen on seeds 0 to 2; these had no part in it."""
ALLOWED = 1.25
"""Epochs granted to the measured rate, in those of the grid's best."""
SAME = 0.01
"""The second ratio of the table takes losses that differ by less than this share as the same."""
N_TRAIN, N_VALID, N_EPOCHS = 1000, 500, 10
MODEL = ModelConfig(hidden_size=32)
TRAINING = TrainingConfig(
    loss="tie-aware",
    schedule="one-cycle",
    batch_size=16,
    n_epochs=N_EPOCHS,
    n_batches_per_epoch=0,
    stop_patience=1000,
    checkpoint_every_n_batches=0,
    n_threads=1,
    device="cpu",
)
N_PROBE_SAMPLES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """One training; a line of ``results.jsonl``.

    Args:
        family: Problem family.
        seed: Of weights and batches.
        kind: ``grid`` or ``auto``.
        n_epochs: Length of the training.
        learning_rate: Highest rate of the one-cycle schedule.
        valid_losses: Per epoch; empty if it diverged.
        choice_steps: Optimizer steps that measuring the rate took, all copies together.
        choice_seconds: Wall time of measuring it.
        train_seconds: Wall time of the training.
        overhead: Probe time over training time, both wall time.
    """

    family: str
    seed: int
    kind: str
    n_epochs: int
    learning_rate: float
    valid_losses: tuple[float, ...]
    choice_steps: int = 0
    choice_seconds: float = 0.0
    train_seconds: float = 0.0
    overhead: float = 0.0

    @property
    def best(self) -> float:
        """Lowest validation loss; infinite if it diverged."""
        return min(self.valid_losses, default=math.inf)

    def first_epoch(self, mark: float) -> float:
        """Return the first epoch, from 1, with a validation loss not above ``mark``; infinite if there is none."""
        return next((float(e) for e, loss in enumerate(self.valid_losses, start=1) if loss <= mark), math.inf)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Data:
    """Samples of one family, in memory."""

    family: str
    train: SampleSource
    valid: SampleSource


def load(family: str, dataset: Path) -> Data:
    """Read samples; a quarter of the instances, by their hash, is for validation."""
    source = open_dataset(dataset, "train")
    parts: dict[bool, list[Sample]] = {False: [], True: []}
    wanted = {False: N_TRAIN, True: N_VALID}
    for index in range(len(source)):
        sample = source[index]
        held_out = int(sample.origin.instance_sha256[0], 16) % 4 == 0
        if len(parts[held_out]) < wanted[held_out]:
            parts[held_out].append(sample)
        if all(len(parts[key]) == wanted[key] for key in wanted):
            break
    return Data(family=family, train=MemorySource(parts[False]), valid=MemorySource(parts[True]))


def train_one(data: Data, seed: int, kind: str, rate: float, n_epochs: int, out: Path) -> Trained:
    """Train at one rate, or go on with it."""
    config = replace(TRAINING, learning_rate=rate, n_epochs=n_epochs)
    folder = out / data.family / f"seed-{seed}" / f"{kind}-{rate:.3g}-{n_epochs}"
    folder.mkdir(parents=True, exist_ok=True)
    tracker = ConvergenceTracker(probe_samples(data.train, N_PROBE_SAMPLES), config.loss)
    try:
        result = train(
            initial_network(MODEL, seed),
            data.train,
            data.valid,
            config,
            seed=seed,
            run_folder=folder,
            callbacks=(tracker,),
            display="none",
        )
        losses, seconds = tuple(e.valid_loss for e in read_metrics(folder / "metrics.jsonl")), result.wall_seconds
    except DivergedError:
        losses, seconds = (), 0.0
    return Trained(
        family=data.family,
        seed=seed,
        kind=kind,
        n_epochs=n_epochs,
        learning_rate=rate,
        valid_losses=losses,
        train_seconds=seconds,
        overhead=tracker.overhead,
    )


def run(data: Data, seed: int, out: Path) -> None:
    """Train what is missing for one family and seed."""
    done = {(t.kind, t.learning_rate, t.n_epochs): t for t in read(out) if (t.family, t.seed) == (data.family, seed)}
    for rate in GRID:
        if ("grid", rate, N_EPOCHS) not in done:
            append(out, train_one(data, seed, "grid", rate, N_EPOCHS, out))
    if not any(kind == "auto" for kind, _, _ in done):
        clock = time.perf_counter()
        choice = choose_learning_rate(initial_network(MODEL, seed), data.train, data.valid, TRAINING, seed=seed)
        seconds = time.perf_counter() - clock
        trained = train_one(data, seed, "auto", choice.rate, N_EPOCHS, out)
        append(out, replace(trained, choice_steps=choice.n_steps, choice_seconds=seconds))
    outcome = Outcome.of(data.family, seed, read(out))
    if outcome.ratio() > ALLOWED and len(outcome.autos) == 1:
        longer = math.floor(ALLOWED * N_EPOCHS)
        append(out, train_one(data, seed, "auto", outcome.autos[0].learning_rate, longer, out))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The comparison for one family and seed.

    Args:
        family: Problem family.
        seed: Of weights and batches.
        best: The best training of the grid.
        autos: Trainings at the measured rate: as long as the grid's, then a longer one if that missed.
    """

    family: str
    seed: int
    best: Trained
    autos: tuple[Trained, ...]

    @classmethod
    def of(cls, family: str, seed: int, trained: Sequence[Trained]) -> Outcome:
        """Compare what was trained for a family and a seed."""
        own = [t for t in trained if (t.family, t.seed) == (family, seed)]
        best = min((t for t in own if t.kind == "grid"), key=lambda t: t.best)
        autos = sorted((t for t in own if t.kind == "auto"), key=lambda t: t.n_epochs)
        return cls(family=family, seed=seed, best=best, autos=tuple(autos))

    def ratio(self, tolerance: float = 0.0) -> float:
        """Return the epochs of the measured rate to the mark, over those of the grid's best to its lowest loss.

        Args:
            tolerance: Share by which a loss may exceed the mark.

        Returns:
            Infinite if the measured rate never got there.
        """
        mark = (1.0 + tolerance) * self.best.best
        return min(auto.first_epoch(mark) for auto in self.autos) / self.best.first_epoch(self.best.best)


def markdown(folders: Sequence[Path]) -> str:
    """Return the comparison of every family and seed, from the rows in some folders."""
    trained = [one for folder in folders for one in read(folder)]
    cells = sorted({(t.family, t.seed) for t in trained if t.kind == "auto"})
    lines = [
        "| family | seed | grid's best | its loss | at epoch | measured | its loss | ratio | met | ratio, 1 % | met |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for outcome in (Outcome.of(family, seed, trained) for family, seed in cells):
        best, losses = outcome.best, [auto.best for auto in outcome.autos]
        verdicts = [f"{_ratio(r)} | {'yes' if r <= ALLOWED else 'NO'}" for r in map(outcome.ratio, (0.0, SAME))]
        lines.append(
            f"| {outcome.family} | {outcome.seed} | {best.learning_rate:.2g} | {best.best:.4f} | "
            f"{best.first_epoch(best.best):.0f} | {outcome.autos[0].learning_rate:.2g} | {min(losses):.4f} | "
            f"{' | '.join(verdicts)} |"
        )
    return "\n".join(lines)


def _ratio(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "never"


def grid(folders: Sequence[Path]) -> str:
    """Return the lowest losses of the grid, and what the search and tracking cost, from the rows in some folders."""
    return "\n".join(_grid_lines([one for folder in folders for one in read(folder)]))


def _grid_lines(trained: Sequence[Trained]) -> Iterator[str]:
    cells = sorted({(t.family, t.seed) for t in trained if t.kind == "auto"})
    yield "| family | seed | " + " | ".join(f"{rate:.2g}" for rate in GRID) + " | measured | search steps | overhead |"
    yield "|---|---|" + "---|" * (len(GRID) + 3)
    for family, seed in cells:
        own = [t for t in trained if (t.family, t.seed) == (family, seed)]
        by_rate = {t.learning_rate: t.best for t in own if t.kind == "grid"}
        first = min((t for t in own if t.kind == "auto"), key=lambda t: t.n_epochs)
        losses = " | ".join(f"{by_rate[r]:.4f}" if math.isfinite(by_rate[r]) else "diverged" for r in GRID)
        probed = sum(t.overhead * t.train_seconds for t in own) / sum(t.train_seconds for t in own)
        yield f"| {family} | {seed} | {losses} | {first.best:.4f} | {first.choice_steps} | {probed:.1%} |"


def read(out: Path) -> list[Trained]:
    """Return what was trained so far."""
    return [Trained(**{**row, "valid_losses": tuple(row["valid_losses"])}) for row in read_results(out)]


def append(out: Path, trained: Trained) -> None:
    """Add a line, and say so."""
    append_result(out, asdict(trained))
    print(f"{trained.family} seed {trained.seed} {trained.kind} {trained.learning_rate:.3g}: {trained.best:.4f}")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", metavar="FAMILY=DATASET")
    parser.add_argument("--out", type=Path, default=Path("runs/learning-rate"))
    given = parser.parse_args()
    for item in given.datasets:
        family, _, folder = item.partition("=")
        data = load(family, Path(folder))
        print(f"{family}: {len(data.train)} training and {len(data.valid)} validation samples", flush=True)
        for seed in SEEDS:
            run(data, seed, given.out)


if __name__ == "__main__":
    main()
