"""What a person watching a training sees on standard error: a live table, or plain lines without a terminal."""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import Literal

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from torch import nn

from gnn_branching.counting import is_live
from gnn_branching.dataset.data import BranchingData
from gnn_branching.training.records import Callback, EpochRecord, StepRecord, TrainingPlan, TrainingResult

DisplayKind = Literal["auto", "live", "plain", "none"]

N_EPOCHS_SHOWN = 12
REFRESHES_PER_SECOND = 4
SMOOTHING = 0.95
"""Weight of the past in the running loss shown within an epoch."""


def make_display(kind: DisplayKind) -> Callback:
    """Return the display called ``kind``; ``auto`` is live where it can be redrawn, and plain elsewhere."""
    if kind == "none":
        return Callback()
    if kind == "live" or (kind == "auto" and is_live(Console(stderr=True))):
        return LiveDisplay()
    return PlainDisplay()


class _Clock:
    """Estimates the time left from the steps of this process."""

    def __init__(self, plan: TrainingPlan) -> None:
        self._n_steps = plan.n_epochs * plan.n_batches_per_epoch
        self._first = plan.first_step
        self._start = time.perf_counter()

    def left(self, step: int) -> str:
        """Return hours, minutes and seconds until the last step, at most."""
        n_done = step - self._first
        if n_done <= 0:
            return "–"
        seconds = (time.perf_counter() - self._start) / n_done * (self._n_steps - step)
        hours, rest = divmod(int(seconds), 3600)
        return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"


class PlainDisplay(Callback):
    """One line per epoch."""

    def on_start(self, network: nn.Module, plan: TrainingPlan) -> None:
        """Say what starts."""
        self._plan = plan
        self._clock = _Clock(plan)
        self._print(_headline(plan))

    def on_epoch(self, network: nn.Module, record: EpochRecord) -> None:
        """Print the epoch's figures."""
        values = " ".join(f"{title} {value}" for title, value in zip(_TITLES[1:], _cells(record)[1:], strict=True))
        left = self._clock.left(record.step)
        self._print(f"epoch {record.epoch}/{self._plan.n_epochs}: {values} left {left}")

    def on_end(self, network: nn.Module, result: TrainingResult) -> None:
        """Say how it ended."""
        self._print(_summary(result))

    def _print(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)


class LiveDisplay(Callback):
    """A table of the last epochs and a bar for the current one, redrawn in place."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._live: Live | None = None

    def on_start(self, network: nn.Module, plan: TrainingPlan) -> None:
        """Draw the empty table."""
        self._plan = plan
        self._clock = _Clock(plan)
        self._records = deque(plan.history, maxlen=N_EPOCHS_SHOWN)
        self._step, self._loss, self._rate = plan.first_step, float("nan"), float("nan")
        self._live = Live(
            console=self._console, get_renderable=self._draw, refresh_per_second=REFRESHES_PER_SECOND, transient=False
        )
        self._live.start()

    def on_step(self, network: nn.Module, batch: BranchingData, record: StepRecord) -> None:
        """Move the bar."""
        self._step, self._rate = record.step, record.learning_rate
        started = self._loss == self._loss
        self._loss = SMOOTHING * self._loss + (1 - SMOOTHING) * record.loss if started else record.loss

    def on_epoch(self, network: nn.Module, record: EpochRecord) -> None:
        """Add a row."""
        self._records.append(record)

    def on_end(self, network: nn.Module, result: TrainingResult) -> None:
        """Leave the table as it is, and say how it ended."""
        self.close()
        self._console.print(_summary(result), highlight=False)

    def close(self) -> None:
        """Give the terminal back."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _draw(self) -> Group:
        table = Table(title=_headline(self._plan), title_justify="left", title_style="")
        for title in _TITLES:
            table.add_column(title, justify="right")
        for record in self._records:
            table.add_row(*_cells(record), style="bold" if record.is_best else None)
        n_batches = self._plan.n_batches_per_epoch
        epoch = min(self._step // n_batches + 1, self._plan.n_epochs)
        n_done = self._step - (epoch - 1) * n_batches
        status = (
            f"epoch {epoch}/{self._plan.n_epochs}  batch {n_done}/{n_batches}  "
            f"loss {self._loss:.4f}  rate {self._rate:.1e}  left {self._clock.left(self._step)}"
        )
        return Group(table, ProgressBar(total=n_batches, completed=n_done, width=60), status)


_TITLES = ("epoch", "train", "valid", "acc@1", "acc@3", "acc@5", "acc@10", "rate", "samples/s")


def _cells(record: EpochRecord) -> tuple[str, ...]:
    accuracies = (record.acc_1, record.acc_3, record.acc_5, record.acc_10)
    return (
        str(record.epoch),
        f"{record.train_loss:.4f}",
        f"{record.valid_loss:.4f}",
        *(f"{accuracy:.3f}" for accuracy in accuracies),
        f"{record.learning_rate:.1e}",
        f"{record.samples_per_second:.0f}",
    )


def _headline(plan: TrainingPlan) -> str:
    resumed = f", going on after step {plan.first_step}" if plan.first_step else ""
    return f"{plan.n_parameters} parameters, {plan.n_train} training and {plan.n_valid} validation samples{resumed}"


def _summary(result: TrainingResult) -> str:
    best = result.best
    reason = "stopped early" if result.stopped_early else "done"
    reason += f" ({result.stop_reason})" if result.stopped_early and result.stop_reason else ""
    return (
        f"{reason} after epoch {result.last.epoch}, {result.wall_seconds:.0f} s; best epoch {best.epoch}: "
        f"validation loss {best.valid_loss:.4f}, acc@1 {best.acc_1:.3f}, acc@5 {best.acc_5:.3f}"
    )
