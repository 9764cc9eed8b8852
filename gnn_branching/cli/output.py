"""What commands share: options, JSON files, and where tables are printed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from gnn_branching.durable import write_json

if TYPE_CHECKING:
    from rich.console import Console

WIDTH_OF_FILES = 160
"""Columns of what is not printed to a terminal."""

JsonPath = Annotated[Path | None, Parameter(name="--json", help="Write the figures as flat JSON to this file.")]
Seed = Annotated[int, Parameter(name="--seed", help="Root of every random stream.")]
Workers = Annotated[int | None, Parameter(name="--workers", help="Processes at work; the cores there are by default.")]


def write_figures(path: Path | None, figures: Mapping[str, object]) -> None:
    """Write figures to ``path``, whole or not at all; do nothing without a path.

    Raises:
        InputError: If the file cannot be written.
    """
    if path is not None:
        write_json(path, figures)


def results_console() -> Console:
    """Return where tables are printed: standard output, as wide as the terminal; a file or a pipe binds no width."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else WIDTH_OF_FILES)
