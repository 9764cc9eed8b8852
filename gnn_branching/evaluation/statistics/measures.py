"""What is compared between two solves of the same instance and seed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from gnn_branching.contracts import SolveFigures, SolveRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A quantity with a paired ratio.

    Args:
        key: Stem of the keys in ``summary.json``: ``<key>_ratio``.
        title: Words for tables.
        is_time: Whether it is a clock's: then unsolved runs count at the time limit, and only runs on one kind of
            processor are paired. Otherwise only pairs that both methods solved count.
        value: The quantity of a run that came back.
    """

    key: str
    title: str
    is_time: bool
    value: Callable[[SolveFigures], float]


def _post_root_seconds(figures: SolveFigures) -> float:
    return max(figures.wall_seconds - figures.root_seconds, 0.0)


TIME = Measure(key="time", title="time", is_time=True, value=lambda figures: figures.wall_seconds)
CPU_TIME = Measure(key="cpu_time", title="CPU time", is_time=True, value=lambda figures: figures.cpu_seconds)
MEASURES = (
    TIME,
    Measure(key="post_root_time", title="time after the root", is_time=True, value=_post_root_seconds),
    CPU_TIME,
    Measure(key="nodes", title="tree nodes", is_time=False, value=lambda figures: figures.n_tree_nodes),
    Measure(key="fair_nodes", title="fair nodes", is_time=False, value=lambda figures: figures.n_fair_nodes),
    Measure(key="lp_iterations", title="LP iter.", is_time=False, value=lambda figures: figures.n_lp_iterations),
)
"""The ratios of ``summary.json``, in order."""


def scored(measure: Measure, record: SolveRecord, *, time_limit_seconds: float) -> float:
    """Return what a run counts for: its figure if it is solved, else the time limit; NaN if there is neither.

    A crash or a memory-out counts as a time-out, so that failing early is never fast.
    """
    if record.status.solved and record.figures is not None:
        return measure.value(record.figures)
    return time_limit_seconds if measure.is_time else math.nan


@lru_cache(maxsize=4096)
def machine_kind(versions: str) -> str:
    """Return the processor's name from a row's versions; times are comparable within one kind only."""
    return str(read_versions(versions).get("cpu", "unknown"))


def read_versions(versions: str) -> Mapping[str, object]:
    """Parse a row's versions; empty if they are no JSON object."""
    try:
        parsed = json.loads(versions)
    except json.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
