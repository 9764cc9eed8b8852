"""Progress on stderr: live where there is a terminal, in the cell's output in a notebook, silent otherwise."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

SILENCE_SECONDS = 60.0
"""Between two lines where there is no terminal."""


def is_live(console: Console) -> bool:
    """Return whether what is drawn can be redrawn in place: on a terminal, or in a notebook that has widgets."""
    return console.is_terminal or (console.is_jupyter and find_spec("ipywidgets") is not None)


@contextmanager
def counting(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar while the block runs; the block is given a function that takes the number done so far."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not is_live(console)) as progress:
        task = progress.add_task(label, total=total)
        yield lambda n_done: progress.update(task, completed=n_done)


@contextmanager
def timing(label: str, seconds: float) -> Iterator[Callable[[float, str], None]]:
    """Show how much of a time is used while the block runs; the block is given a function of seconds and a remark.

    Without a terminal, a remark is printed a minute.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[remark]}"))
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not is_live(console)) as progress:
        task = progress.add_task(label, total=seconds, remark="")
        told = monotonic()

        def show(done: float, remark: str) -> None:
            nonlocal told
            progress.update(task, completed=done, remark=remark)
            if not is_live(console) and monotonic() - told >= SILENCE_SECONDS:
                told = monotonic()
                print(f"{label}: {remark}" if label else remark, file=sys.stderr, flush=True)

        yield show
