"""Losses, metrics, the training loop, and the published baselines."""

import os

# OpenMP's threads spin while they wait, for which they take the core of whatever else runs: on two cores shared with
# one other process, training ran at 51 samples a second, and at 485 with threads that sleep. Read when PyTorch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
