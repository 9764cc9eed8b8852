"""``gnn-branching bench``."""

from __future__ import annotations

import importlib
import json as json_module
import sys
from pathlib import Path
from typing import Literal

import gnn_branching
from gnn_branching.cli.output import JsonPath, Seed, write_json
from gnn_branching.contracts import InputError


def bench(
    part: Literal["collection"],
    *,
    family: str = "set-cover",
    size: str = "easy",
    seed: Seed = 0,
    json: JsonPath = None,
) -> None:
    """Measure a part of the package, with its reference in the same run, and print JSON.

    Example: `gnn-branching bench collection --family set-cover --json collection.json`

    Parameters
    ----------
    part
        What to measure.
    family
        Family of the instances.
    size
        Their size.
    """
    root = Path(gnn_branching.__file__).parent.parent
    if not (root / "benchmarks" / f"{part}.py").is_file():
        raise InputError("benchmarks come with a checkout of the repository, not with the installed package")
    if str(root) not in sys.path:
        sys.path.append(str(root))
    module = importlib.import_module(f"benchmarks.{part}")
    figures: dict[str, float] = module.benchmark(family=family, size=size, seed=seed)
    print(json_module.dumps(figures, indent=2))
    write_json(json, figures)
