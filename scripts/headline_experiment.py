"""Does the headline name what helps a training most? A back-test by doing it.

Each training of the plan is repeated with twice the samples, twice the width, twice the passes, half and twice the
learning rate, and what that really changed in the lowest validation loss is set against what the headline said.

    python -m scripts.headline_experiment run combinatorial-auction=runs/ca/dataset --out runs/headline
    python -m scripts.headline_experiment table --out runs/headline

Samples stand for solves: a subset is made of whole episodes, in an order that the seed draws, and a training on twice
the samples has all those of the smaller one. Trainings on subsets take as many steps as those on the whole. Every
training is a line of ``results.jsonl``; what is there is not trained again.
"""

from __future__ import annotations

import argparse
import math
import random
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
import torch

from gnn_branching.config import ModelConfig, TrainingConfig
from gnn_branching.dataset.loader import BatchStream, FixedOrder, Share
from gnn_branching.dataset.source import MemorySource, SampleSource, SubsetSource, seen_as
from gnn_branching.diagnostics.advice.headline import Limit, Signs, data_gain, limit_of
from gnn_branching.diagnostics.tracking.tracker import probe_samples
from gnn_branching.model.network import BipartiteGCNN, initial_network, inputs_of
from gnn_branching.seeding import derive_seed
from gnn_branching.shards import open_dataset
from gnn_branching.subproblem import View
from gnn_branching.training.loop import train
from gnn_branching.training.losses import get_loss
from gnn_branching.training.outputs import read_metrics
from scripts.results_file import append_result, read_results

RATE = 4e-3
CHANGES = ("samples", "width", "passes", "half rate", "twice rate")
NORMAL_90 = 1.64
"""Half width of a two-sided 90 % interval, in standard deviations."""
CA, IS, SC, LS = "combinatorial-auction", "independent-set", "set-covering", "lot-sizing"
SHORT, LONG = 160, 480
"""Optimizer steps."""
BASES = (
    *((family, 0, n, 8, SHORT, RATE) for family, n in ((CA, 500), (IS, 250), (LS, 500), (SC, 250))),
    *((family, 0, n, 32, SHORT, RATE) for family, n in ((CA, 2000), (LS, 900))),
    *((family, 0, n, 8, LONG, RATE) for family, n in ((CA, 500), (LS, 500), (SC, 250))),
    *((family, 1, n, 8, SHORT, RATE) for family, n in ((CA, 500), (LS, 500), (SC, 250))),
    (CA, 0, 250, 128, SHORT, RATE),
    *((family, 0, n, 8, SHORT, RATE / 4) for family, n in ((CA, 500), (LS, 500))),
    (LS, 0, 500, 32, LONG, RATE),
    *((family, 1, n, 32, SHORT, RATE) for family, n in ((LS, 900), (CA, 2000))),
    *((family, 0, n, 64, SHORT, RATE) for family, n in ((LS, 250), (SC, 250))),
    (CA, 0, 1000, 32, LONG, RATE),
    *((family, 1, n, 8, LONG, RATE) for family, n in ((CA, 500), (LS, 500), (SC, 250))),
    *((family, 0, 250, 32, LONG, RATE) for family in (LS, SC)),
    *((family, 0, n, 8, LONG, RATE) for family, n in ((CA, 2000), (LS, 900))),
)
"""Family, seed, samples, width, steps and rate of the trainings that get a headline, so ordered that an experiment cut
short says most."""
N_SEEN = 16
"""So many of these, the first, had been trained when the rules were made; the others judge them."""
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
        for family, seed, n_samples, width, n_steps, rate in BASES
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
    """Return what was trained so far, by this or another process."""
    rows = [Trained(**{**row, "setting": Setting(**row["setting"])}) for row in read_results(out)]
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A training, what its changes really brought, and what was said of it.

    Args:
        setting: The training.
        signs: What the headline is read from.
        gains: Fall of the lowest validation loss by change, in nats.
    """

    setting: Setting
    signs: Signs
    gains: dict[str, float]

    def gain_of(self, limit: Limit) -> float:
        """Return what heeding a headline brought: at best, where it leaves a choice; nothing for ``done``."""
        return max((self.gains[change] for change in REMEDIES[limit]), default=0.0)

    def best(self, noise: float) -> Limit:
        """Return what should have been said: the class of the best change, or ``done`` if none stands out of noise."""
        best = max(REMEDIES, key=self.gain_of)
        return best if self.gain_of(best) > noise else Limit.DONE

    def is_hit(self, said: Limit, noise: float) -> bool:
        """Whether heeding it brought as much as anything would have, but for noise."""
        if said in (Limit.DONE, Limit.EXPERT) or self.best(noise) is Limit.DONE:
            return said in (Limit.DONE, Limit.EXPERT) and self.best(noise) is Limit.DONE
        return self.gain_of(said) >= max(self.gains.values()) - noise


REMEDIES = {
    Limit.DATA: ("samples",),
    Limit.CAPACITY: ("width",),
    Limit.OPTIMISATION: ("passes", "half rate", "twice rate"),
    Limit.DONE: (),
}


def outcomes(trained: Mapping[Setting, Trained]) -> list[Outcome]:
    """Return every training whose changes are all there, in the order of their settings."""
    found = []
    for setting in sorted(trained, key=astuple):
        changes = setting.changes()
        if all(changed in trained for changed in changes.values()):
            row = trained[setting]
            gains = {name: row.best - trained[changed].best for name, changed in changes.items()}
            found.append(Outcome(setting=setting, signs=row.signs, gains=gains))
    return found


def noise_of(found: Sequence[Outcome]) -> float:
    """Return 1.64 standard deviations of a gain over seeds, pooled over settings and changes; NaN without pairs."""
    differences = [
        one.gains[name] - other.gains[name]
        for one in found
        for other in found
        if other.setting == replace(one.setting, seed=one.setting.seed + 1)
        for name in one.gains
    ]
    return NORMAL_90 * float(np.sqrt(np.mean(np.square(differences)) / 2.0)) if differences else float("nan")


def noise_at(found: Sequence[Outcome], setting: Setting) -> float:
    """Return the noise of a gain where there are second seeds: at this family and width, in this family, anywhere."""
    family = [item for item in found if item.setting.family == setting.family]
    width = [item for item in family if item.setting.width == setting.width]
    levels = (noise_of(part) for part in (width, family, found))
    return next((level for level in levels if not math.isnan(level)), math.nan)


def by_family(found: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """Return the trainings of each family."""
    names = dict.fromkeys(item.setting.family for item in found)
    return {name: [item for item in found if item.setting.family == name] for name in names}


def table(trained: Mapping[Setting, Trained], noise: float | None = None) -> str:
    """Return the back-test as Markdown.

    Args:
        trained: What was trained.
        noise: Of a gain, in nats; told from second seeds if None.
    """
    found = outcomes(trained)
    levels = {item.setting: noise_at(found, item.setting) if noise is None else noise for item in found}
    lines = [
        f"{len(found)} trainings with all their changes, of {len(trained)} made.",
        "",
        "| family | seed | samples | width | steps | rate | validation | gap | noise "
        "| said | best | right | always data | " + " | ".join(CHANGES) + " | expected of twice the samples |",
        "|---" * (14 + len(CHANGES)) + "|",
    ]
    for item in found:
        said, gain, level = limit_of(item.signs), data_gain(item.signs), levels[item.setting]
        cells = [*map(str, astuple(item.setting)), f"{item.signs.valid:.3f}", f"{item.signs.gap:.3f}", f"{level:.3f}"]
        cells += [said, item.best(level), *("yes" if item.is_hit(x, level) else "no" for x in (said, Limit.DATA))]
        cells += [f"{item.gains[name]:+.3f}" for name in CHANGES]
        cells.append(f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]")
        lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        "| trainings | headline right | names the best itself | always `data` right "
        "| always `optimisation` right | gained by it / `data` / `optimisation` / the best, nats "
        "| median error of the gain, nats | inside its interval |",
        "|---" * 8 + "|",
    ]
    seen = set(bases()[:N_SEEN])
    parts = {
        **by_family(found),
        "rules made on": [item for item in found if item.setting in seen],
        "judged on": [item for item in found if item.setting not in seen],
    }
    lines += [_summary(name, part, levels) for name, part in parts.items() if part]
    return "\n".join(lines)


def _summary(name: str, part: Sequence[Outcome], levels: Mapping[Setting, float]) -> str:
    noise = [levels[item.setting] for item in part]
    said = [limit_of(item.signs) for item in part]
    rules = (said, [Limit.DATA] * len(part), [Limit.OPTIMISATION] * len(part))
    right, data, optimisation = (sum(map(Outcome.is_hit, part, rule, noise)) for rule in rules)
    brought = [np.mean(list(map(Outcome.gain_of, part, rule))) for rule in rules]
    brought.append(np.mean([max(0.0, *item.gains.values()) for item in part]))
    exact = sum(item.best(level) is limit for item, level, limit in zip(part, noise, said, strict=True))
    gains, real = [data_gain(item.signs) for item in part], [item.gains["samples"] for item in part]
    inside = sum(gain.low <= fall <= gain.high for gain, fall in zip(gains, real, strict=True))
    error = np.median([abs(gain.value - fall) for gain, fall in zip(gains, real, strict=True)])
    hits = " | ".join(f"{count} of {len(part)}" for count in (right, exact, data, optimisation))
    means = " / ".join(f"{gain:.3f}" for gain in brought)
    return f"| {name} | {hits} | {means} | {error:.3f} | {inside} of {len(part)} |"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("run", "table"))
    parser.add_argument("datasets", nargs="*", metavar="FAMILY=DATASET")
    parser.add_argument("--out", type=Path, default=Path("runs/headline"))
    parser.add_argument("--noise", type=float, help="of a gain, in nats, if the seeds there cannot tell")
    given = parser.parse_args()
    if given.action == "table":
        print(table(read(given.out), given.noise))
        return
    run({family: Path(folder) for family, _, folder in (item.partition("=") for item in given.datasets)}, given.out)


if __name__ == "__main__":
    main()
