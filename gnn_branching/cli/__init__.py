"""The command line: parses, calls the library, prints."""

import os

# OpenMP's threads spin while they wait, for which they take the core of whatever else runs: on two cores shared with
# two other processes, training ran at 48 samples a second, and at 100 with threads that sleep. Read once, when PyTorch
# loads. Said here and not in the package, as a command's process is ours, and a library's is its user's.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from gnn_branching.cli.main import evaluate_main, main, train_policy_main

__all__ = ["evaluate_main", "main", "train_policy_main"]
