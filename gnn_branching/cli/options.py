"""Options that commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from gnn_branching.execution.protocol import Executor
    from gnn_branching.run_folder import RunFolder

ExecutorName = Annotated[
    Literal["local", "ray", "slurm"],
    Parameter(name="--executor", help="Where jobs run: processes of this machine, a Ray cluster, or SLURM."),
]
RayAddress = Annotated[str | None, Parameter(name="--ray-address", help="An existing Ray cluster's address.")]
Overrides = Annotated[
    list[str] | None,
    Parameter(name="--set", help="Override a value of the configuration: section.key=value.", negative=""),
]


def remote_executor(name: str, folder: RunFolder, *, workers: int | None, ray_address: str | None) -> Executor | None:
    """Return the executor of a cluster; None for this machine, whose executors are the jobs' own.

    Raises:
        InputError: If what it needs is not installed.
    """
    if name == "local":
        return None
    from gnn_branching.execution import make_executor

    return make_executor(name, workers=workers or 0, ray_address=ray_address, slurm_folder=folder.slurm)
