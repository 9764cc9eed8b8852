"""The live display of a collection, on stderr."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from gnn_branching.collection.ledger import CollectionProgress
from gnn_branching.counting import is_live


class SpeedColumn(ProgressColumn):
    """Samples a second, averaged over what this run has collected."""

    def render(self, task: Task) -> Text:
        """Return the speed, or a dash before the first sample."""
        speed = task.finished_speed or task.speed
        return Text("– samples/s" if speed is None else f"{speed:.2f} samples/s", style="progress.data.speed")


class CollectionDisplay:
    """Shows samples, samples a second, time left, episodes and failures of every split while they are collected.

    Example:
        >>> with CollectionDisplay() as display:
        ...     collect_dataset(..., on_progress=display.update)  # doctest: +SKIP

    Args:
        console: Where to draw; stderr if None. Without a terminal there is a line when a split is finished, and
            one every ``seconds_between_lines`` before.
        seconds_between_lines: See above.
    """

    def __init__(self, console: Console | None = None, *, seconds_between_lines: float = 60.0) -> None:
        self._console = console or Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description:<5}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} samples"),
            SpeedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[n_episodes]} episodes"),
            TextColumn("{task.fields[n_failed]} failed", style="red"),
            console=self._console,
            speed_estimate_period=600.0,
        )
        self._tasks: dict[str, TaskID] = {}
        self._told: set[str] = set()
        self._seconds_between_lines, self._last_line = seconds_between_lines, time.monotonic()

    def __enter__(self) -> CollectionDisplay:
        """Start drawing."""
        if is_live(self._console):
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop drawing; the last state stays."""
        if is_live(self._console):
            self._progress.stop()

    def update(self, progress: CollectionProgress) -> None:
        """Show a new state."""
        shown = min(progress.n_samples, progress.n_wanted)
        if progress.split not in self._tasks:
            task = self._progress.add_task(progress.split, total=progress.n_wanted, n_episodes=0, n_failed=0)
            self._tasks[progress.split] = task
            # What earlier runs collected is no speed of this one.
            self._progress.update(task, completed=shown)
            self._progress.reset(task, completed=shown, start=True)
        self._progress.update(
            self._tasks[progress.split],
            completed=shown,
            n_episodes=progress.n_episodes,
            n_failed=progress.n_failed_episodes,
        )
        if not is_live(self._console):
            self._tell(progress)

    def _tell(self, progress: CollectionProgress) -> None:
        """Print a line if it is time for one."""
        now, finished = time.monotonic(), progress.is_complete
        if progress.split in self._told or not (finished or now - self._last_line >= self._seconds_between_lines):
            return
        self._last_line = now
        if finished:
            self._told.add(progress.split)
        counted = f"{progress.n_wanted}" if finished else f"{progress.n_samples} of {progress.n_wanted}"
        self._console.print(
            f"{progress.split}: {counted} samples, {progress.n_episodes} episodes, {progress.n_failed_episodes} failed",
            highlight=False,
        )
