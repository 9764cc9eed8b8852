"""The whole job as a library: what the command line calls, and scripts and notebooks likewise."""

from gnn_branching.pipeline.budget import Budget, fit_to_budget
from gnn_branching.pipeline.experiment import read_experiment
from gnn_branching.pipeline.samples import collect
from gnn_branching.pipeline.train import Training, train_policy
from gnn_branching.pipeline.verdict import judge

__all__ = [
    "Budget",
    "Training",
    "collect",
    "fit_to_budget",
    "judge",
    "read_experiment",
    "train_policy",
]
