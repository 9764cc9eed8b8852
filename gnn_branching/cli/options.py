"""Options that commands share."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

ExecutorName = Annotated[
    Literal["local", "ray", "slurm"],
    Parameter(name="--executor", help="Where jobs run: processes of this machine, a Ray cluster, or SLURM."),
]
RayAddress = Annotated[str | None, Parameter(name="--ray-address", help="An existing Ray cluster's address.")]
Overrides = Annotated[
    list[str] | None,
    Parameter(name="--set", help="Override a value of the configuration: section.key=value.", negative=""),
]
