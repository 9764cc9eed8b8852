"""The lines of an experiment's ``results.jsonl``: one for every training that is done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NAME = "results.jsonl"


def read_results(out: Path) -> list[dict[str, Any]]:
    """Return the lines of an experiment's folder; none if there is no file yet."""
    return read_lines(out / NAME)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a file; none if there is no file yet."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def append_result(out: Path, result: Mapping[str, object]) -> None:
    """Add a line, and make the folder if need be."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / NAME).open("a", encoding="utf-8") as file:
        file.write(json.dumps(result) + "\n")
