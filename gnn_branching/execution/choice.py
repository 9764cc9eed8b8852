"""Choose an executor by name, as users do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from gnn_branching.contracts import InputError
from gnn_branching.execution.local import LocalExecutor
from gnn_branching.execution.protocol import Executor
from gnn_branching.execution.ray_cluster import RayExecutor
from gnn_branching.execution.slurm import SlurmExecutor

EXECUTORS = ("local", "ray", "slurm")


def make_executor(
    name: str = "local",
    *,
    workers: int = 0,
    time_limit_seconds: float | None = None,
    memory_limit_mib: int | None = None,
    preload: tuple[str, ...] = (),
    ray_address: str | None = None,
    slurm_folder: Path = Path("slurm"),
    slurm_cluster: str = "slurm",
    slurm_parameters: Mapping[str, int | str] | None = None,
) -> Executor:
    """Return the executor called ``name``.

    Args:
        name: ``local``, ``ray`` or ``slurm``.
        workers: Jobs at once; 0 means the cores there are (with SLURM: one).
        time_limit_seconds: Wall time of a job, after which it is killed; None means no limit.
        memory_limit_mib: Memory a job may allocate (Linux); None means no limit.
        preload: Modules worth importing before jobs start; local only.
        ray_address: Of an existing Ray cluster; None starts one on this machine.
        slurm_folder: For submitit's scripts and logs, on a shared file system.
        slurm_cluster: ``slurm``, or ``local`` to rehearse on this machine.
        slurm_parameters: Further submitit parameters.

    Raises:
        InputError: If the name is unknown, or what it needs is not installed.
    """
    local = LocalExecutor(
        workers=workers, time_limit_seconds=time_limit_seconds, memory_limit_mib=memory_limit_mib, preload=preload
    )
    if name == "local":
        return local
    if name == "ray":
        return RayExecutor(
            workers=workers,
            address=ray_address,
            time_limit_seconds=time_limit_seconds,
            memory_limit_mib=memory_limit_mib,
        )
    if name == "slurm":
        return SlurmExecutor(
            folder=slurm_folder,
            workers=max(workers, 1),
            cluster=slurm_cluster,
            parameters=slurm_parameters or {},
            inner=replace(local, workers=1),
        )
    raise InputError(f"executor {name!r} is none of {', '.join(EXECUTORS)}")
