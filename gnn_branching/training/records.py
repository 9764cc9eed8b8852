"""What training tells its listeners, and the protocol by which they listen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn
from torch.optim import Optimizer

from gnn_branching.dataset.data import BranchingData


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """One epoch; a line of ``metrics.jsonl``.

    Args:
        epoch: From 1.
        step: Optimizer steps done so far.
        train_loss: Mean loss over the epoch's batches, each before its step.
        valid_loss: Mean loss over the validation samples.
        acc_1: Share of validation samples whose best candidate ranks first; ties count.
        acc_3: The same for the first 3.
        acc_5: The same for the first 5.
        acc_10: The same for the first 10.
        learning_rate: Of the epoch's last step.
        gradient_norm: Mean over the epoch's steps, before clipping.
        is_best: Whether the validation loss is the lowest so far.
        samples_per_second: Training samples over the wall time of the epoch's steps; after an interruption within the
            epoch, of the steps since.
        train_seconds: Wall time of the epoch's steps.
        valid_seconds: Wall time of its validation.
        wall_seconds: Wall time of the training so far, interruptions left out.
    """

    epoch: int
    step: int
    train_loss: float
    valid_loss: float
    acc_1: float
    acc_3: float
    acc_5: float
    acc_10: float
    learning_rate: float
    gradient_norm: float
    is_best: bool
    samples_per_second: float
    train_seconds: float
    valid_seconds: float
    wall_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """What is about to be done.

    Args:
        run_folder: Where everything goes.
        n_epochs: At most this many epochs.
        n_batches_per_epoch: Optimizer steps per epoch.
        n_train: Training samples.
        n_valid: Validation samples.
        n_parameters: Trainable numbers in the network.
        first_epoch: Epoch that starts or goes on now, from 1; above 1 after an interruption.
        first_step: Steps already done.
        history: Epochs already done.
        optimizer: What takes the steps, to be read and left as it is.
    """

    run_folder: Path
    n_epochs: int
    n_batches_per_epoch: int
    n_train: int
    n_valid: int
    n_parameters: int
    first_epoch: int
    first_step: int
    history: tuple[EpochRecord, ...]
    optimizer: Optimizer


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """One optimizer step.

    Args:
        step: Steps done, this one included.
        epoch: Epoch it belongs to, from 1.
        loss: Mean loss of the batch, before the step.
        gradient_norm: Euclidean norm of the gradient, before clipping.
        learning_rate: Learning rate of the step.
    """

    step: int
    epoch: int
    loss: float
    gradient_norm: float
    learning_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """How a training ended.

    Args:
        best: The epoch with the lowest validation loss; the network holds its weights.
        last: The last epoch.
        stopped_early: Whether training stopped before ``n_epochs``.
        stop_reason: Why a listener stopped it; empty if patience ran out, or it was not stopped.
        best_weights: File with the best weights, safetensors.
        n_steps: Optimizer steps in all.
        wall_seconds: Wall time of the training, interruptions left out.
    """

    best: EpochRecord
    last: EpochRecord
    stopped_early: bool
    stop_reason: str
    best_weights: Path
    n_steps: int
    wall_seconds: float

    @property
    def best_epoch(self) -> int:
        """Epoch with the lowest validation loss."""
        return self.best.epoch

    @property
    def best_valid_loss(self) -> float:
        """Lowest validation loss."""
        return self.best.valid_loss


class Callback:
    """Listens to a training; override what is needed.

    Called in the first process only. A callback may read the network and compute with it, but must leave weights and
    gradients as they are; training mode and random state are set anew before each step.
    """

    @property
    def stop_reason(self) -> str:
        """Why training should stop, asked after each epoch if ``training.stop`` allows it; empty to go on."""
        return ""

    def on_start(self, network: nn.Module, plan: TrainingPlan) -> None:
        """Called once before the first step of this process."""

    def on_step(self, network: nn.Module, batch: BranchingData, record: StepRecord) -> None:
        """Called after each optimizer step; ``parameter.grad`` is still that of the step."""

    def on_epoch(self, network: nn.Module, record: EpochRecord) -> None:
        """Called after each epoch's validation, before its checkpoint: an interruption in between repeats the epoch."""

    def on_end(self, network: nn.Module, result: TrainingResult) -> None:
        """Called once after the last epoch."""

    def close(self) -> None:
        """Called last, also after an error or an interruption."""
