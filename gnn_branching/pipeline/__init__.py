"""The whole job as a library: what the command line calls, and scripts and notebooks likewise."""

from gnn_branching.pipeline.experiment import read_experiment
from gnn_branching.pipeline.samples import collect
from gnn_branching.pipeline.train import train_policy

__all__ = ["collect", "read_experiment", "train_policy"]
