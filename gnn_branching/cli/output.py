"""What commands share: JSON files and tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from gnn_branching.durable import write_durably

JsonPath = Annotated[Path | None, Parameter(name="--json", help="Write the figures as flat JSON to this file.")]
Seed = Annotated[int, Parameter(name="--seed", help="Root of every random stream.")]
Workers = Annotated[int | None, Parameter(name="--workers", help="Processes at work; the cores there are by default.")]


def write_json(path: Path | None, figures: Mapping[str, object]) -> None:
    """Write figures to ``path``, whole or not at all; do nothing without a path.

    Raises:
        InputError: If the file cannot be written.
    """
    if path is not None:
        write_durably(path, (json.dumps(figures, indent=2, allow_nan=False, default=str) + "\n").encode())
