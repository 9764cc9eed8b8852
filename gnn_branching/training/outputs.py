"""Files a training leaves: ``metrics.jsonl`` and TensorBoard events."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from gnn_branching.contracts import InputError
from gnn_branching.dataset.data import BranchingData
from gnn_branching.durable import write_durably
from gnn_branching.run_folder import RunFolder
from gnn_branching.training.records import Callback, EpochRecord, StepRecord, TrainingPlan

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class MetricsFile(Callback):
    """Write ``metrics.jsonl``: one object per epoch, the fields of :class:`EpochRecord`."""

    def on_start(self, network: nn.Module, plan: TrainingPlan) -> None:
        """Go back to the epochs that the training goes on from."""
        self._path = RunFolder(path=plan.run_folder).metrics
        self._records = list(plan.history)
        self._write()

    def on_epoch(self, network: nn.Module, record: EpochRecord) -> None:
        """Add an epoch."""
        self._records.append(record)
        self._write()

    def _write(self) -> None:
        lines = (json.dumps(asdict(record)) + "\n" for record in self._records)
        write_durably(self._path, "".join(lines).encode())


def read_metrics(path: Path) -> list[EpochRecord]:
    """Read a ``metrics.jsonl``.

    Raises:
        InputError: If it is missing, or a line is no epoch of this version.
    """
    try:
        return [EpochRecord(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; give the folder of a training") from None
    except (TypeError, ValueError) as error:
        raise InputError(f"{path} holds a line that is no epoch of this version ({error}); train anew") from None


class TensorBoardEvents(Callback):
    """Write TensorBoard events into ``tensorboard/``; steps after an interruption replace those before it."""

    def on_start(self, network: nn.Module, plan: TrainingPlan) -> None:
        """Open the event file."""
        from torch.utils.tensorboard import SummaryWriter  # takes a second to import

        folder = RunFolder(path=plan.run_folder).tensorboard
        self._writer: SummaryWriter = SummaryWriter(log_dir=str(folder), purge_step=plan.first_step + 1)

    def on_step(self, network: nn.Module, batch: BranchingData, record: StepRecord) -> None:
        """Write the step's loss, gradient norm and learning rate."""
        for name in ("loss", "gradient_norm", "learning_rate"):
            self._writer.add_scalar(f"step/{name}", getattr(record, name), record.step)

    def on_epoch(self, network: nn.Module, record: EpochRecord) -> None:
        """Write the epoch's figures, at its last step."""
        for name, value in asdict(record).items():
            if name not in ("epoch", "step", "is_best"):
                self._writer.add_scalar(f"epoch/{name}", value, record.step)

    def close(self) -> None:
        """Flush and close the event file, if it was opened."""
        if hasattr(self, "_writer"):
            self._writer.close()
