"""Named SCIP settings, seeds and limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pyscipopt

from gnn_branching.contracts import InputError, SolveStatus

ParameterValue = bool | int | float | str

NAMED_SETTINGS: Mapping[str, Mapping[str, ParameterValue]] = MappingProxyType(
    {
        # Gasse et al. 2019, section 5.1: no cuts below the root, no restarts, everything else as SCIP comes.
        "paper": MappingProxyType(
            {"separating/maxrounds": 0, "presolving/maxrestarts": 0, "randomization/permutevars": True}
        ),
        "default": MappingProxyType({}),
    }
)

SCIP_RULES = (
    "relpscost",
    "pscost",
    "fullstrong",
    "vanillafullstrong",
    "allfullstrong",
    "inference",
    "mostinf",
    "leastinf",
    "distribution",
    "lookahead",
    "cloud",
    "random",
)
"""SCIP's own branching rules by name; ``relpscost`` is its default."""

CHOSEN_RULE_PRIORITY = 1_000_000
"""Above every rule that SCIP comes with but ``nodereopt``, which only reoptimisation uses."""

STATUSES: Mapping[str, SolveStatus] = MappingProxyType(
    {
        "optimal": SolveStatus.OPTIMAL,
        "infeasible": SolveStatus.INFEASIBLE,
        "unbounded": SolveStatus.UNBOUNDED,
        "inforunbd": SolveStatus.INFEASIBLE_OR_UNBOUNDED,
        "timelimit": SolveStatus.TIME_LIMIT,
        "nodelimit": SolveStatus.NODE_LIMIT,
        "totalnodelimit": SolveStatus.NODE_LIMIT,
        "stallnodelimit": SolveStatus.NODE_LIMIT,
        "memlimit": SolveStatus.MEMORY_LIMIT,
        "gaplimit": SolveStatus.GAP_LIMIT,
        "userinterrupt": SolveStatus.INTERRUPTED,
        "terminate": SolveStatus.INTERRUPTED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SolveLimits:
    """When to stop a solve.

    Args:
        time_limit_seconds: SCIP's wall time; None means no limit.
        node_limit: Tree nodes over all restarts; None means no limit.
        memory_limit_mib: SCIP's own memory; None means no limit.
        gap_limit: Relative primal-dual gap at which to stop; 0 asks for a proof.

    Raises:
        InputError: If a limit is negative.
    """

    time_limit_seconds: float | None = None
    node_limit: int | None = None
    memory_limit_mib: float | None = None
    gap_limit: float = 0.0

    def __post_init__(self) -> None:
        """Refuse limits that SCIP would refuse later and less clearly."""
        for name in ("time_limit_seconds", "node_limit", "memory_limit_mib", "gap_limit"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise InputError(f"{name} = {value} must be zero or more")

    def parameters(self) -> dict[str, ParameterValue]:
        """Return the SCIP parameters that these limits set."""
        chosen: dict[str, ParameterValue] = {"limits/gap": self.gap_limit}
        if self.time_limit_seconds is not None:
            chosen["limits/time"] = self.time_limit_seconds
        if self.node_limit is not None:
            chosen["limits/totalnodes"] = self.node_limit
        if self.memory_limit_mib is not None:
            chosen["limits/memory"] = self.memory_limit_mib
        return chosen


def apply_settings(model: pyscipopt.Model, settings: str, *, seed: int, limits: SolveLimits | None = None) -> None:
    """Set the named settings, the seed and the limits on a model.

    Args:
        model: The model, before solving.
        settings: ``paper``, ``default``, or the path of a SCIP parameter file (``.set``).
        seed: Shifts all of SCIP's seeds; in ``paper`` it also permutes variables and constraints.
        limits: When to stop; None sets no limit.

    Raises:
        InputError: If the settings are unknown or a parameter file cannot be read.
    """
    named = NAMED_SETTINGS.get(settings)
    if named is not None:
        model.setParams(dict(named))
    elif Path(settings).is_file():
        try:
            model.readParams(settings)
        except Exception as error:
            raise InputError(f"SCIP cannot read the parameter file {settings}: {error}") from None
    else:
        raise InputError(f"settings {settings!r} are neither one of {', '.join(NAMED_SETTINGS)} nor a parameter file")
    model.setParams({"randomization/randomseedshift": seed, "randomization/permutationseed": seed})
    # Wall time: what a user waits for, and what the clocks in SolveFigures compare with.
    model.setParam("timing/clocktype", 2)
    if limits is not None:
        model.setParams(limits.parameters())


def prefer_scip_rule(model: pyscipopt.Model, rule: str) -> None:
    """Let one of SCIP's own rules go first.

    Raises:
        InputError: If SCIP has no such rule.
    """
    if rule not in SCIP_RULES:
        raise InputError(f"SCIP has no branching rule {rule!r}; it has {', '.join(SCIP_RULES)}")
    model.setParam(f"branching/{rule}/priority", CHOSEN_RULE_PRIORITY)


def solve_status(model: pyscipopt.Model) -> SolveStatus:
    """Translate SCIP's status."""
    return STATUSES.get(model.getStatus(), SolveStatus.OTHER_LIMIT)
