"""Where a training stands: all that a checkpoint holds besides tensors."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field

from torch import nn

from gnn_branching.config import TrainingConfig, to_mapping
from gnn_branching.training.records import EpochRecord

FREE_SETTINGS = frozenset(
    {
        "device",
        "n_threads",
        "n_loader_workers",
        "keep_last",
        "checkpoint_every_n_batches",
        "stop",
        "stop_epsilon",
    }
)
"""Settings that may change between an interruption and the next run: the weights after a step do not depend on them."""
FREE_PLATEAU_SETTINGS = frozenset({"n_epochs", "stop_patience"})
"""Further such settings under the plateau schedule: a training may be prolonged."""


@dataclass(slots=True, kw_only=True)
class Progress:
    """The state of a training between two steps; random numbers and learning rates follow from it.

    A ``step`` at an epoch's end means that the epoch was validated and is in ``history``.

    Args:
        step: Optimizer steps done.
        loss_sum: Sum of the losses of the current epoch's steps so far.
        gradient_norm_sum: Sum of their gradient norms.
        n_bad_epochs: Epochs since the validation loss improved.
        n_drops: How often a plateau has lowered the learning rate.
        wall_seconds: Wall time so far, interruptions left out.
        stop_reason: Why a listener wanted to stop after the last epoch; empty if none did.
        history: The epochs so far.
    """

    step: int = 0
    loss_sum: float = 0.0
    gradient_norm_sum: float = 0.0
    n_bad_epochs: int = 0
    n_drops: int = 0
    wall_seconds: float = 0.0
    stop_reason: str = ""
    history: list[EpochRecord] = field(default_factory=list)

    @property
    def best(self) -> EpochRecord | None:
        """The epoch with the lowest validation loss; None before the first is over."""
        return next((record for record in reversed(self.history) if record.is_best), None)

    def improves(self, valid_loss: float) -> bool:
        """Whether a validation loss is lower than all before."""
        return self.best is None or valid_loss < self.best.valid_loss

    def add_epoch(self, record: EpochRecord, config: TrainingConfig) -> None:
        """Close an epoch: keep its record, count patience, lower the rate if due (Gasse et al. 2019, section 5.1)."""
        self.history.append(record)
        self.loss_sum = self.gradient_norm_sum = 0.0
        self.n_bad_epochs = 0 if record.is_best else self.n_bad_epochs + 1
        if self.n_bad_epochs and self.n_bad_epochs % config.patience == 0:
            self.n_drops += 1

    def stops_early(self, config: TrainingConfig) -> bool:
        """Whether training stops here; one-cycle has no patience, as its loss may rise in the middle."""
        if config.stop == "pl-star" and self.stop_reason:
            return True
        return config.schedule == "plateau" and self.n_bad_epochs >= config.stop_patience

    def to_json(self) -> str:
        """Return everything as JSON; floats survive bit for bit."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Progress:
        """Read what :meth:`to_json` wrote."""
        values = json.loads(text)
        history = [EpochRecord(**record) for record in values.pop("history")]
        return cls(history=history, **values)


def fingerprint(
    config: TrainingConfig, network: nn.Module, *, seed: int, n_train: int, n_valid: int
) -> dict[str, object]:
    """Return what the weights of a training depend on; a checkpoint with another one is not continued."""
    free = FREE_SETTINGS | (FREE_PLATEAU_SETTINGS if config.schedule == "plateau" else frozenset())
    settings = {name: value for name, value in to_mapping(config).items() if name not in free}
    shapes = [(name, list(tensor.shape)) for name, tensor in network.state_dict().items()]
    digest = hashlib.sha256(json.dumps(shapes).encode()).hexdigest()[:16]
    return {**settings, "seed": seed, "n_train": n_train, "n_valid": n_valid, "network": digest}
