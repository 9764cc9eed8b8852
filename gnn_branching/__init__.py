"""Learned branching for mixed-integer programming with SCIP."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

# OpenMP's threads spin while they wait, for which they take the core of whatever else runs: on two cores shared with
# two other processes, training ran at 48 samples a second, and at 100 with threads that sleep. Read once, when PyTorch
# loads, so that it must be said before any part of the package is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from gnn_branching.policy import load_policy
    from gnn_branching.solver.rule import LearnedBranching, RuleSettings

__all__ = ["LearnedBranching", "RuleSettings", "load_policy"]


def __getattr__(name: str) -> object:
    """Import the public names when they are first used, so that statistics and reports run without SCIP or torch."""
    if name in ("LearnedBranching", "RuleSettings"):
        from gnn_branching.solver import rule

        return getattr(rule, name)
    if name == "load_policy":
        from gnn_branching.policy import load_policy

        return load_policy
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
