"""The command line: wires the stages, holds no logic."""

from gnn_branching.cli.main import evaluate_main, main, train_policy_main

__all__ = ["evaluate_main", "main", "train_policy_main"]
