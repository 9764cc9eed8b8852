"""A measured learning rate, kept in the run folder: an interrupted training must go on with the same one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path

from torch import nn

from gnn_branching.config import TrainingConfig
from gnn_branching.contracts import InputError
from gnn_branching.dataset.source import SampleSource
from gnn_branching.diagnostics.rates.learning_rate import LearningRateChoice, choose_learning_rate
from gnn_branching.durable import write_durably
from gnn_branching.run_folder import RunFolder
from gnn_branching.training.progress import fingerprint

Choose = Callable[..., LearningRateChoice]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRate:
    """A learning rate and what finding it took; the content of ``learning-rate.json`` besides its evidence.

    Args:
        rate: The choice.
        n_steps: Optimizer steps spent on the search.
        seconds: Wall time spent on it.
    """

    rate: float
    n_steps: int
    seconds: float


def stored_or_measured_rate(
    folder: Path,
    network: nn.Module,
    train_source: SampleSource,
    valid_source: SampleSource,
    config: TrainingConfig,
    *,
    seed: int,
    choose: Choose = choose_learning_rate,
) -> StoredRate:
    """Return the run folder's learning rate; measure and store one if there is none.

    Args:
        folder: Run folder; gets ``learning-rate.json`` with the choice, every rate tried and what it depends on.
        network: At its start; it stays as it is.
        train_source: Training samples.
        valid_source: Validation samples.
        config: How it will be trained; its ``learning_rate`` is not used.
        seed: The experiment's.
        choose: Measures one.

    Raises:
        InputError: If the folder's rate was measured for another training, or its file is damaged.
    """
    path = RunFolder(path=folder).learning_rate
    wanted = _depends_on(config, network, seed, len(train_source), len(valid_source))
    if path.exists():
        return _read(path, wanted)
    clock = time.perf_counter()
    choice = choose(network, train_source, valid_source, config, seed=seed)
    found = StoredRate(rate=choice.rate, n_steps=choice.n_steps, seconds=time.perf_counter() - clock)
    evidence = {
        "ceiling": choice.ceiling if isfinite(choice.ceiling) else None,
        "tried": [asdict(score) | {"loss": score.loss if isfinite(score.loss) else None} for score in choice.scores],
        "fingerprint": wanted,
    }
    write_durably(path, (json.dumps(asdict(found) | evidence, indent=1, allow_nan=False) + "\n").encode())
    return found


def _depends_on(
    config: TrainingConfig, network: nn.Module, seed: int, n_train: int, n_valid: int
) -> Mapping[str, object]:
    """Return what the choice depends on: what the weights do, without the rate and the schedule around it."""
    everything = fingerprint(config, network, seed=seed, n_train=n_train, n_valid=n_valid)
    ignored = ("learning_rate", "schedule", "patience", "stop_patience", "n_epochs", "n_batches_per_epoch")
    return {name: value for name, value in everything.items() if name not in ignored}


def _read(path: Path, wanted: Mapping[str, object]) -> StoredRate:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        known = content["fingerprint"]
        stored = StoredRate(**{name: content[name] for name in StoredRate.__dataclass_fields__})
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path} is damaged; delete it to measure the learning rate again") from None
    for name, value in wanted.items():
        if known.get(name) != value:
            raise InputError(
                f"{path} was measured with {name} = {known.get(name)!r}, not {value!r}; "
                "use the same settings to go on, or another run folder to start anew"
            )
    return stored
