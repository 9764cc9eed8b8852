"""What commands share: JSON files, and notices on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from gnn_branching.durable import write_json

if TYPE_CHECKING:
    from gnn_branching.policy.card import PolicyCard

JsonPath = Annotated[Path | None, Parameter(name="--json", help="Write the figures as flat JSON to this file.")]
Seed = Annotated[int, Parameter(name="--seed", help="Root of every random stream.")]
Workers = Annotated[int | None, Parameter(name="--workers", help="Processes at work; the cores there are by default.")]


def say_unseen_settings(policy: str, card: PolicyCard, settings: Iterable[str]) -> None:
    """Say on stderr under which named settings a policy is to branch, but was trained on no samples.

    A network on subproblems sees the same under all settings (docs/results/accuracy.md), and nothing is said.
    """
    from gnn_branching.solver.settings import NAMED_SETTINGS

    seen = card.settings
    unseen = [name for name in settings if name in NAMED_SETTINGS and name not in seen]
    if seen and unseen and card.architecture.graph == "lp":
        print(
            f"note: policy {policy} was trained under {' and '.join(seen)} settings alone, and may branch worse under "
            f"{' and '.join(unseen)} settings",
            file=sys.stderr,
        )


def write_figures(path: Path | None, figures: Mapping[str, object]) -> None:
    """Write figures to ``path``, whole or not at all; do nothing without a path.

    Raises:
        InputError: If the file cannot be written.
    """
    if path is not None:
        write_json(path, figures)
