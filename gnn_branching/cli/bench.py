"""``gnn-branching bench``."""

from __future__ import annotations

import importlib
import json as json_module
import sys
from pathlib import Path
from typing import Literal

import gnn_branching
from gnn_branching.cli.output import JsonPath, Seed, write_figures
from gnn_branching.contracts import InputError
from gnn_branching.libraries import require

NEEDS = {"collection": "ecole", "decision": "train", "training": "train"}
"""Extra that a benchmark's reference needs."""


def bench(
    part: Literal["collection", "decision", "harness", "startup", "training"],
    *,
    family: str = "set-cover",
    size: str = "easy",
    seed: Seed = 0,
    json: JsonPath = None,
    **options: str,
) -> None:
    """Measure a part of the package, with its reference in the same run, and print JSON.

    Example: `gnn-branching bench decision --family set-cover --n-decisions 10000 --json decision.json`

    Parameters
    ----------
    part
        What to measure.
    family
        Family of the instances.
    size
        Their size.
    options
        The benchmark's own options, as its module in `benchmarks/` describes them, for example `--n-decisions 500`.
    """
    root = Path(gnn_branching.__file__).parent.parent
    if not (root / "benchmarks" / f"{part}.py").is_file():
        raise InputError("benchmarks come with a checkout of the repository, not with the installed package")
    if part in NEEDS:
        require(NEEDS[part])
    if str(root) not in sys.path:
        sys.path.append(str(root))
    from pydantic import ValidationError, validate_call

    # Options arrive as text, and are converted to what the benchmark's signature says.
    benchmark = validate_call(importlib.import_module(f"benchmarks.{part}").benchmark)
    named = {name.replace("-", "_"): text for name, text in options.items()}
    try:
        figures: dict[str, float] = benchmark(family=family, size=size, seed=seed, **named)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        option = "-".join(str(key) for key in problem["loc"]).replace("_", "-")
        raise InputError(f"bench {part}: --{option}: {problem['msg']}") from None
    print(json_module.dumps(figures, indent=2))
    write_figures(json, figures)
