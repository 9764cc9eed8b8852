"""The trainings that judge the headline: each of the plan, with twice the samples, width, passes, and other rates.

Samples stand for solves: a subset is made of whole episodes, in an order that the seed draws, and a training on twice
the samples has all those of the smaller one. Trainings on subsets take as many steps as those on the whole. Every
training is a line of ``results.jsonl``; what is there is not trained again.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
import torch

from gnn_branching.config import ModelConfig, TrainingConfig
from gnn_branching.dataset.loader import BatchStream, FixedOrder, Share
from gnn_branching.dataset.source import MemorySource, SampleSource, SubsetSource, seen_as
from gnn_branching.diagnostics.advice.headline import Signs
from gnn_branching.diagnostics.tracking.tracker import probe_samples
from gnn_branching.model.network import BipartiteGCNN, initial_network, inputs_of
from gnn_branching.seeding import derive_seed
from gnn_branching.shards import open_dataset
from gnn_branching.subproblem import View
from gnn_branching.training.loop import train
from gnn_branching.training.losses import get_loss
from gnn_branching.training.outputs import read_metrics
from scripts.results_file import NAME, append_result, read_lines

RATE = 4e-3
CHANGES = ("samples", "width", "passes", "half rate", "twice rate")
CA, SC, LS = "combinatorial-auction", "set-covering", "lot-sizing"
SHORT, LONG = 160, 480
"""Optimizer steps."""
CONFIGURATIONS = (
    *((family, n, 8, SHORT, RATE) for family, n in ((CA, 500), (LS, 500), (SC, 250))),
    *((family, n, 32, SHORT, RATE) for family, n in ((CA, 2000), (LS, 900))),
    *((family, n, 8, LONG, RATE) for family, n in ((CA, 500), (LS, 500), (SC, 250))),
    (CA, 250, 128, SHORT, RATE),
    *((family, n, 8, SHORT, RATE / 4) for family, n in ((CA, 500), (LS, 500))),
    (LS, 500, 32, LONG, RATE),
    *((family, n, 64, SHORT, RATE) for family, n in ((LS, 250), (SC, 250))),
    (CA, 1000, 32, LONG, RATE),
    (LS, 250, 32, LONG, RATE),
    (SC, 250, 32, LONG, RATE),
    *((family, n, 8, LONG, RATE) for family, n in ((CA, 2000), (LS, 900))),
)
"""Family, samples, width, steps and rate of the trainings that get a headline, so ordered that an experiment cut short
says most."""
N_SEEN = 16
"""So many of these, the first, had been trained, on other samples, when the headline was fitted."""
SEEDS = (0, 1, 2)
N_EPOCHS, BATCH_SIZE = 8, 16
MOST_LOOKED_AT = 300
"""Samples, evenly spaced, on which a loss is measured."""
TRAINING = TrainingConfig(
    loss="tie-aware",
    schedule="one-cycle",
    batch_size=BATCH_SIZE,
    n_epochs=N_EPOCHS,
    stop_patience=1000,
    checkpoint_every_n_batches=0,
    n_threads=1,
    device="cpu",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is varied.

    Args:
        family: Problem family.
        seed: Of weights, batches and the order of the episodes.
        n_samples: Training samples.
        width: Of every layer.
        n_steps: Optimizer steps.
        rate: Highest rate of the one-cycle.
    """

    family: str
    seed: int
    n_samples: int
    width: int
    n_steps: int
    rate: float

    @property
    def configuration(self) -> Setting:
        """All but the seed."""
        return replace(self, seed=0)

    def changes(self) -> dict[str, Setting]:
        """Return what the headline may advise, by name."""
        return {
            "samples": replace(self, n_samples=2 * self.n_samples),
            "width": replace(self, width=2 * self.width),
            "passes": replace(self, n_steps=2 * self.n_steps),
            "half rate": replace(self, rate=self.rate / 2),
            "twice rate": replace(self, rate=self.rate * 2),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """One training; a line of ``results.jsonl``.

    Args:
        setting: What was trained.
        train_losses: Mean over each epoch's batches.
        valid_losses: After each epoch.
        best_train_loss: Of training samples, at the best weights.
        train_floor: Entropy of the targets of the same.
        seconds: Wall time.
    """

    setting: Setting
    train_losses: tuple[float, ...]
    valid_losses: tuple[float, ...]
    best_train_loss: float
    train_floor: float
    seconds: float

    @property
    def best(self) -> float:
        """Lowest validation loss."""
        return min(self.valid_losses)

    @property
    def signs(self) -> Signs:
        """What the headline is read from."""
        return Signs.read(self.train_losses, self.valid_losses, self.train_floor, self.setting.width)


def bases() -> list[Setting]:
    """Return the trainings that get a headline."""
    return [
        Setting(family=family, seed=seed, n_samples=n_samples, width=width, n_steps=n_steps, rate=rate)
        for seed in SEEDS
        for family, n_samples, width, n_steps, rate in CONFIGURATIONS
    ]


def plan(families: Iterable[str]) -> list[Setting]:
    """Return every training to be made, each once, in order."""
    known = set(families)
    wanted = [s for base in bases() if base.family in known for s in (base, *base.changes().values())]
    return list(dict.fromkeys(wanted))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Data:
    """One family's samples in memory, each the graph of its subproblem.

    Args:
        train: Training samples.
        valid: Of the splits ``valid`` and ``test``.
        episodes: Indices of the training samples, by solve.
    """

    train: MemorySource
    valid: MemorySource
    episodes: tuple[tuple[int, ...], ...]

    @classmethod
    def load(cls, dataset: Path) -> Data:
        """Read a dataset."""
        view = View("subproblem")
        splits = {split: seen_as(open_dataset(dataset, split), view) for split in ("train", "valid", "test")}
        train, valid, test = ([source[i] for i in range(len(source))] for source in splits.values())
        owners = [(sample.origin.instance_sha256, sample.origin.episode) for sample in train]
        episodes = [tuple(i for i, _ in run) for _, run in groupby(enumerate(owners), key=lambda item: item[1])]
        return cls(
            train=MemorySource(train),
            valid=MemorySource(probe_samples([*valid, *test], MOST_LOOKED_AT)),
            episodes=tuple(episodes),
        )

    def subset(self, seed: int, n_samples: int) -> SampleSource:
        """Return the first samples of the episodes in the seed's order."""
        order = list(self.episodes)
        random.Random(derive_seed(seed, "episodes")).shuffle(order)
        return SubsetSource(self.train, [i for episode in order for i in episode][:n_samples])


def train_one(data: Data, setting: Setting) -> Trained:
    """Train, and measure the best weights."""
    config = replace(TRAINING, learning_rate=setting.rate, n_batches_per_epoch=setting.n_steps // N_EPOCHS)
    source = data.subset(setting.seed, setting.n_samples)
    network = initial_network(ModelConfig(hidden_size=setting.width), setting.seed)
    with tempfile.TemporaryDirectory() as folder:
        result = train(network, source, data.valid, config, seed=setting.seed, run_folder=Path(folder), display="none")
        history = read_metrics(Path(folder) / "metrics.jsonl")
    looked_at = MemorySource(probe_samples(source, MOST_LOOKED_AT))
    return Trained(
        setting=setting,
        train_losses=tuple(epoch.train_loss for epoch in history),
        valid_losses=tuple(epoch.valid_loss for epoch in history),
        best_train_loss=mean_loss(network, looked_at),
        train_floor=entropy(looked_at),
        seconds=result.wall_seconds,
    )


@torch.inference_mode()
def mean_loss(network: BipartiteGCNN, source: SampleSource) -> float:
    """Return the mean loss of the samples."""
    order, loss = FixedOrder(len(source), 128), get_loss(TRAINING.loss)
    batches = BatchStream(source, order, start=0, stop=order.n_batches, share=Share(), n_workers=0, pin_memory=False)
    return float(np.mean([x for b in batches for x in loss(network(*inputs_of(b)).float(), b).tolist()]))


def entropy(source: SampleSource) -> float:
    """Return the mean entropy of the targets: the least loss, if all candidates can be told apart."""
    n_tied = [int((source[i].scores == source[i].scores.max()).sum()) for i in range(len(source))]
    return float(np.mean(np.log(n_tied)))


def read(out: Path) -> dict[Setting, Trained]:
    """Read what was trained so far, by this or another process."""
    return read_rows(out / NAME)


def read_rows(path: Path) -> dict[Setting, Trained]:
    """Read the lines of a file of trainings; of none if it is missing."""
    rows = [Trained(**{**row, "setting": Setting(**row["setting"])}) for row in read_lines(path)]
    return {row.setting: row for row in rows}


def run(datasets: Mapping[str, Path], out: Path) -> None:
    """Train what is missing."""
    torch.set_num_threads(1)
    data = {family: Data.load(dataset) for family, dataset in datasets.items()}
    done = read(out)
    missing = [setting for setting in plan(datasets) if setting not in done]
    print(f"{len(done)} done, {len(missing)} to do", flush=True)
    for setting in missing:
        trained = train_one(data[setting.family], setting)
        append_result(out, asdict(trained))
        print(f"{setting}: {trained.best:.4f} in {trained.seconds:.1f} s", flush=True)
