"""Where jobs run: processes of this machine, a Ray cluster, or SLURM, behind one protocol."""

from gnn_branching.execution.choice import EXECUTORS, make_executor
from gnn_branching.execution.local import LocalExecutor

__all__ = ["EXECUTORS", "LocalExecutor", "make_executor"]
