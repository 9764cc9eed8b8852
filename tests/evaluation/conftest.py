from __future__ import annotations

from collections.abc import Sequence

import pytest

from gnn_branching.contracts import InstanceFile
from gnn_branching.evaluation.solves.plan import PolicySpec, ResourceLimits, SolveJob, build_plan


def toy_instance(name: str, *, behaviour: str = "toys", size: str = "easy") -> InstanceFile:
    return InstanceFile(path=f"{name}.lp", family=behaviour, size=size, seed=1, sha256="0" * 64)


def toy_plan(
    n_instances: int = 2,
    *,
    seeds: Sequence[int] = (0, 1),
    policies: Sequence[str] = ("relpscost", "pscost"),
    settings: Sequence[str] = ("paper",),
    limits: ResourceLimits | None = None,
) -> tuple[SolveJob, ...]:
    return build_plan(
        [toy_instance(f"toy-{i}") for i in range(n_instances)],
        [PolicySpec(name=name) for name in policies],
        seeds=seeds,
        settings=settings,
        limits=limits or ResourceLimits(time_limit_seconds=60, memory_limit_mib=512),
    )


@pytest.fixture
def plan() -> tuple[SolveJob, ...]:
    return toy_plan()
