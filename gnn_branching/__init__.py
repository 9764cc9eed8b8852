"""Learned branching for mixed-integer programming with SCIP."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gnn_branching.pipeline import collect, read_experiment, train_policy
    from gnn_branching.pipeline.accelerate import accelerate
    from gnn_branching.pipeline.evaluate import evaluate
    from gnn_branching.pipeline.tune import tune
    from gnn_branching.policy import load_policy
    from gnn_branching.solver.rule import LearnedBranching
    from gnn_branching.solver.settings import RuleSettings

__all__ = [
    "LearnedBranching",
    "RuleSettings",
    "accelerate",
    "collect",
    "evaluate",
    "load_policy",
    "read_experiment",
    "train_policy",
    "tune",
]

_HOMES = {
    "LearnedBranching": "gnn_branching.solver.rule",
    "RuleSettings": "gnn_branching.solver.settings",
    "accelerate": "gnn_branching.pipeline.accelerate",
    "collect": "gnn_branching.pipeline",
    "evaluate": "gnn_branching.pipeline.evaluate",
    "load_policy": "gnn_branching.policy",
    "read_experiment": "gnn_branching.pipeline",
    "train_policy": "gnn_branching.pipeline",
    "tune": "gnn_branching.pipeline.tune",
}


def __getattr__(name: str) -> object:
    """Import the public names when they are first used, so that statistics and reports run without SCIP or torch."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
