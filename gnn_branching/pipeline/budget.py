"""A user's folder and the time there is: how many samples, how many passes, how long a verdict."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from time import perf_counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from gnn_branching.config import CollectionConfig, ExperimentConfig
from gnn_branching.contracts import BarrenError, InputError
from gnn_branching.durable import write_json
from gnn_branching.run_folder import RunFolder

if TYPE_CHECKING:
    from gnn_branching.execution.protocol import Executor

OWN_MODELS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "instances": {"n_train": 60, "n_valid": 15, "n_test": 25},
        "collection": {
            "n_train_samples": 1000,
            "n_valid_samples": 200,
            "n_test_samples": 200,
            "n_samples_per_episode": 15,
            "settings": "default",
        },
        "model": {"hidden_size": 32, "graph": "subproblem", "search": "head", "dropout": 0.1},
        "training": {
            "loss": "pairwise",
            "schedule": "one-cycle",
            "learning_rate": 4e-3,
            "batch_size": 16,
            "n_epochs": 32,
            "stop_patience": 32,
            "n_batches_per_epoch": 0,
        },
    }
)
"""The experiment on a folder of one's own: SCIP's settings as they are, a quarter of the instances for the verdict."""

COLLECTION_SHARE, VERDICT_SHARE = 0.5, 0.35
"""Of a budget, for samples and for the verdict; what is left bounds the training."""
PILOT = {"n_train_samples": 30, "n_valid_samples": 15, "n_test_samples": 15}
"""Samples taken to learn how long one takes; they count."""
BARREN = "barren"
"""Key that a run's folder keeps instead of numbers of samples, with the reason why there are none."""
LEAST_TRAIN_SAMPLES, MOST_TRAIN_SAMPLES = 60, 5000
HELD_OUT_PART, MOST_HELD_OUT = 0.2, 200
"""Validation samples, and as many test samples, per training sample; and how many are enough."""
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How long a whole training may take.

    Args:
        seconds: Wall time.
        patience_seconds: Time that the pilot may take, however small the budget.
    """

    seconds: float
    patience_seconds: float = 60.0

    @staticmethod
    def parse(text: str) -> Budget:
        """Read ``90s``, ``30m`` or ``2h``.

        Raises:
            InputError: If it is none of these.
        """
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh])\s*", text)
        if not found or float(found[1]) <= 0:
            raise InputError(f"--budget {text!r} is no time; give 90s, 30m or 2h")
        return Budget(seconds=float(found[1]) * _UNITS[found[2]])

    @staticmethod
    def of(time: Budget | str) -> Budget:
        """Return a budget that was given as such, or read one."""
        return Budget.parse(time) if isinstance(time, str) else time

    @property
    def verdict_seconds(self) -> float:
        """Time for the verdict."""
        return VERDICT_SHARE * self.seconds


def fit_to_budget(
    config: ExperimentConfig,
    folder: RunFolder,
    budget: Budget,
    executor: Executor | None = None,
) -> ExperimentConfig:
    """Return the experiment with as many samples as the budget allows, after a pilot that tells how long one takes.

    What was decided is kept in the run folder, and stays: a run that goes on, goes on with the same numbers.

    Args:
        config: The experiment.
        folder: Of the run.
        budget: For all of it.
        executor: Where the jobs run; this machine's cores by default.

    Raises:
        BarrenError: If the models give too few samples, or too slowly.
        InputError: If samples cannot be taken.
    """
    if folder.budget.is_file():
        counts = json.loads(folder.budget.read_text())
        if BARREN in counts:
            raise BarrenError(counts[BARREN])
    else:
        from gnn_branching.pipeline.samples import collect

        start = perf_counter()
        pilot = replace(config, collection=with_counts(config.collection, PILOT))
        try:
            collect(pilot, folder, executor, seconds=max(COLLECTION_SHARE * budget.seconds, budget.patience_seconds))
        except BarrenError as error:
            write_json(folder.budget, {BARREN: str(error)})
            raise
        seconds_per_sample = (perf_counter() - start) / sum(PILOT.values())
        counts = _counts(int(COLLECTION_SHARE * budget.seconds / seconds_per_sample))
        write_json(folder.budget, counts)
    return replace(config, collection=with_counts(config.collection, counts))


def with_counts(config: CollectionConfig, counts: Mapping[str, int]) -> CollectionConfig:
    """Return the configuration with other numbers of samples, named as its fields are."""
    values: dict[str, Any] = dict(counts)
    return replace(config, **values)


def _counts(n_samples: int) -> dict[str, int]:
    """Share samples among training, validation and test."""
    n_train = int(n_samples / (1 + 2 * HELD_OUT_PART))
    n_train = min(max(n_train, LEAST_TRAIN_SAMPLES), MOST_TRAIN_SAMPLES)
    n_held_out = min(max(int(HELD_OUT_PART * n_train), PILOT["n_valid_samples"]), MOST_HELD_OUT)
    return {"n_train_samples": n_train, "n_valid_samples": n_held_out, "n_test_samples": n_held_out}


def own_models() -> list[str]:
    """Return the defaults for a folder of one's own as overrides."""
    return [
        f"{section}.{key}={json.dumps(value)}"
        for section, values in OWN_MODELS.items()
        for key, value in values.items()
    ]
