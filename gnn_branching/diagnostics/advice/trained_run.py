"""A training's run folder, finished or not, as something to diagnose."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from gnn_branching.config import ExperimentConfig
from gnn_branching.contracts import InputError, Sample
from gnn_branching.dataset.source import SampleSource, seen_as
from gnn_branching.diagnostics.measures.imitation import imitation_probe, within_memory
from gnn_branching.diagnostics.measures.probe import Probe, flat_parameters
from gnn_branching.diagnostics.rates.learning_rate import adam_ceiling_at
from gnn_branching.diagnostics.tracking.tracker import ProbeRecord, initial_parameters, probe_samples, read_probes
from gnn_branching.model.network import initial_network
from gnn_branching.run_folder import RunFolder
from gnn_branching.subproblem import View
from gnn_branching.training.outputs import read_metrics
from gnn_branching.training.records import EpochRecord

BETA_2 = 0.999
"""PyTorch's defaults of Adam, which training uses."""
DROPPED_MODULE = "head.3"
"""The layer whose inputs the head's dropout drops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadDropout:
    """Where units are dropped in the network's head.

    Args:
        drop_probability: PyTorch's convention: the probability of dropping.
        modules: Names of the modules whose inputs are dropped.
    """

    drop_probability: float
    modules: tuple[str, ...] = (DROPPED_MODULE,)


class TrainedRun:
    """What the diagnostics read of a run folder.

    Args:
        folder: Run folder of ``train-policy``.
        config: What was run.
        source: Training samples; the probe takes evenly spaced ones.
        n_samples: Samples of the probe; fewer if their Jacobian would not fit into memory.
        network: A network of the kind that was trained, whatever its weights; the graph network by default.

    Raises:
        InputError: If the training was not tracked, or has not finished an epoch.
    """

    def __init__(
        self,
        folder: Path,
        config: ExperimentConfig,
        source: SampleSource,
        *,
        n_samples: int = 32,
        network: nn.Module | None = None,
    ) -> None:
        best = RunFolder(path=folder).checkpoints / "best.safetensors"
        start = initial_parameters(folder)
        if start is None or not best.exists():
            raise InputError(f"{folder} holds no tracked training with a finished epoch; make one with train-policy")
        self.name = folder.resolve().name
        self.start: Tensor = start
        self._folder, self._config, self._source = folder, config, source
        self._network: nn.Module = initial_network(config.model, 0) if network is None else network
        self._network.load_state_dict(load_file(best))
        self._network.eval()
        self.samples: Sequence[Sample] = within_memory(
            probe_samples(seen_as(source, View.of(config.model)), n_samples), self._network
        )

    @property
    def history(self) -> Sequence[EpochRecord]:
        """The epochs so far."""
        return read_metrics(RunFolder(path=self._folder).metrics)

    @property
    def probes(self) -> Sequence[ProbeRecord]:
        """What was tracked during training."""
        return read_probes(RunFolder(path=self._folder).convergence)

    @cached_property
    def probe(self) -> Probe:
        """The trained network on the probe's samples."""
        return imitation_probe(self._network, self.samples, self._config.training.loss)

    @property
    def end(self) -> Tensor:
        """Best weights, float64, flat."""
        return flat_parameters(self._network).to(torch.float64)

    @property
    def n_train_samples(self) -> int:
        """Samples that the training has."""
        return len(self._source)

    @property
    def n_epochs_planned(self) -> int:
        """Epochs after which the training ends, and its learning-rate schedule with it."""
        return self._config.training.n_epochs

    @property
    def width(self) -> float:
        """Width of the network's layers."""
        return self._config.model.hidden_size

    @property
    def n_rounds(self) -> int:
        """Message-passing rounds of the network."""
        return self._config.model.n_rounds

    @property
    def optimizer(self) -> str:
        """Name of the optimizer."""
        return self._config.training.optimizer

    @property
    def dropout(self) -> HeadDropout | None:
        """Where units are dropped; None if nowhere."""
        probability = self._config.model.dropout
        return HeadDropout(drop_probability=probability) if probability else None

    def ceiling(self) -> float:
        """Return Adam's ceiling at the best weights with the newest checkpoint's second moments; NaN without one."""
        steps = sorted(RunFolder(path=self._folder).checkpoints.glob("step-*.safetensors"))
        if not steps:
            return math.nan
        return adam_ceiling_at(self.probe, self.end, adam_second_moments(steps[-1]))


def adam_second_moments(checkpoint: Path) -> Tensor:
    """Return Adam's bias-corrected second moments from a training checkpoint, float64, flat."""
    with safe_open(checkpoint, framework="pt") as stored:
        step = json.loads(stored.metadata()["progress"])["step"]
        names = [name for name in stored.keys() if name.endswith(".exp_avg_sq")]  # noqa: SIM118 - not a mapping
        ordered = sorted(names, key=lambda name: int(name.split(".")[1]))
        moments: Tensor = torch.cat([stored.get_tensor(name).double().reshape(-1) for name in ordered])
    return moments / (1.0 - BETA_2 ** int(step))
