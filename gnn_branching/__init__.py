"""Learned branching for mixed-integer programming with SCIP."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
