"""What commands share: JSON files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from gnn_branching.durable import write_json

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
