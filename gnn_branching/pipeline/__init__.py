"""The whole job as a library: what the command line calls, and scripts and notebooks likewise."""

from gnn_branching.pipeline.accelerate import Progress, accelerate
from gnn_branching.pipeline.acceleration import Acceleration, acceleration_figures, sentence, to_markdown
from gnn_branching.pipeline.budget import Budget, fit_to_budget
from gnn_branching.pipeline.experiment import read_experiment
from gnn_branching.pipeline.samples import collect
from gnn_branching.pipeline.train import Training, train_policy
from gnn_branching.pipeline.tune import SEARCH_SHARE, Tuning, describe, policy_name, pools_for, tune, tuning_figures
from gnn_branching.pipeline.verdict import VERDICT_SECONDS, judge

__all__ = [
    "SEARCH_SHARE",
    "VERDICT_SECONDS",
    "Acceleration",
    "Budget",
    "Progress",
    "Training",
    "Tuning",
    "accelerate",
    "acceleration_figures",
    "collect",
    "describe",
    "fit_to_budget",
    "judge",
    "policy_name",
    "pools_for",
    "read_experiment",
    "sentence",
    "to_markdown",
    "train_policy",
    "tune",
    "tuning_figures",
]
