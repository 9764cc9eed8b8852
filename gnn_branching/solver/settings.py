"""Named SCIP settings, seeds and limits; and how the learned rule uses its policy."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import pyscipopt

from gnn_branching.config import SCIP_RULES
from gnn_branching.contracts import CandidateSet, InputError, SolveStatus
from gnn_branching.seeding import MAX_SCIP_SEED
from gnn_branching.solver.output import is_quiet, native_output

ParameterValue = bool | int | float | str

NAMED_SETTINGS: Mapping[str, Mapping[str, ParameterValue]] = MappingProxyType(
    {
        # Gasse et al. 2019, section 5.1: no cuts below the root, no restarts; otherwise SCIP's default settings.
        "paper": MappingProxyType(
            {"separating/maxrounds": 0, "presolving/maxrestarts": 0, "randomization/permutevars": True}
        ),
        "default": MappingProxyType({}),
    }
)

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


_LARGEST = {"time_limit_seconds": 1e20, "node_limit": 2**63 - 1, "memory_limit_mib": 2**43 - 1, "gap_limit": 1e20}
"""What SCIP 10 takes at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SolveLimits:
    """When to stop a solve.

    Args:
        time_limit_seconds: SCIP's wall time; None means no limit.
        node_limit: Tree nodes over all restarts; None means no limit.
        memory_limit_mib: SCIP's own memory; None means no limit.
        gap_limit: Relative primal-dual gap at which to stop; 0 asks for a proof; None means what the settings say.

    Raises:
        InputError: If a limit is negative.
    """

    time_limit_seconds: float | None = None
    node_limit: int | None = None
    memory_limit_mib: float | None = None
    gap_limit: float | None = None

    def __post_init__(self) -> None:
        """Refuse limits that SCIP would refuse later and less clearly."""
        for name, most in _LARGEST.items():
            value = getattr(self, name)
            if value is None:
                continue
            if not value >= 0:
                raise InputError(f"{name} = {value} must be zero or more")
            if value > most:
                raise InputError(f"{name} = {value} must be at most {most:.4g}; leave it out for no limit")

    def parameters(self) -> dict[str, ParameterValue]:
        """Return the SCIP parameters that these limits set."""
        limits: dict[str, ParameterValue | None] = {
            "limits/time": self.time_limit_seconds,
            "limits/totalnodes": self.node_limit,
            "limits/memory": self.memory_limit_mib,
            "limits/gap": self.gap_limit,
        }
        return {name: value for name, value in limits.items() if value is not None}


def apply_settings(model: pyscipopt.Model, settings: str, *, seed: int, limits: SolveLimits | None = None) -> None:
    """Set the named settings, the seed and the limits on a model.

    Args:
        model: The model, before solving.
        settings: ``paper``, ``default``, or the path of a SCIP parameter file (``.set``). Its seeds and its clock type
            do not count.
        seed: Shifts all of SCIP's seeds; in ``paper`` it also permutes variables and constraints.
        limits: When to stop; None sets no limit.

    Raises:
        InputError: If the settings are unknown, a parameter file is wrong, or the seed is out of SCIP's range.
    """
    if not 0 <= seed <= MAX_SCIP_SEED:
        raise InputError(f"seed {seed} must lie in [0, {MAX_SCIP_SEED}]")
    named = NAMED_SETTINGS.get(settings)
    if named is not None:
        model.setParams(dict(named))
    elif Path(settings).is_file():
        read_parameters(model, settings)
    else:
        raise InputError(f"settings {settings!r} are neither one of {', '.join(NAMED_SETTINGS)} nor a parameter file")
    model.setParams({"randomization/randomseedshift": seed, "randomization/permutationseed": seed})
    # Wall time: what a user waits for, and what the clocks in SolveFigures compare with.
    model.setParam("timing/clocktype", 2)
    if limits is not None:
        model.setParams(limits.parameters())


def read_parameters(model: pyscipopt.Model, file: str | Path) -> None:
    """Read a SCIP parameter file; unlike SCIP, take nothing from it that SCIP does not know.

    Raises:
        InputError: If SCIP complains about anything in it.
    """
    quiet = is_quiet(model)
    with native_output() as messages:
        # SCIP reports an unknown parameter as a warning, and a wrong value as a message on stderr without an exception.
        model.hideOutput(False)
        try:
            model.readParams(str(file))
        except Exception as error:
            messages.append(f"ERROR: {error}")
        finally:
            model.hideOutput(quiet)
    complaints = [line for line in messages if "ERROR" in line or "WARNING" in line]
    if complaints:
        text = complaints[0].rpartition("ERROR:")[2].replace("WARNING:", "").strip()
        raise InputError(f"SCIP cannot read the parameter file {file}: {text}")


def file_parameters(file: str | Path) -> dict[str, ParameterValue]:
    """Return the parameters that a SCIP parameter file sets to something else than SCIP's default.

    Raises:
        InputError: If SCIP complains about anything in it.
    """
    model = pyscipopt.Model()
    stock = model.getParams()
    read_parameters(model, file)
    return {name: value for name, value in model.getParams().items() if value != stock[name]}


EXACT = (
    "presolving/",
    "separating/",
    "heuristics/",
    "nodeselection/",
    "propagating/",
    "conflict/enable",
    "lp/",
    "misc/usesymmetry",
    "constraints/",
    "cutselection/",
)
"""Beginnings of the names of parameters that change how SCIP solves, and not what it returns: no limit, gap or
tolerance is among them."""


def inexact_parameters(text: str) -> list[str]:
    """Return the parameters that a SCIP parameter file sets, and that may change what a solve returns."""
    named = (line.partition("=")[0].strip() for line in text.splitlines() if not line.lstrip().startswith("#"))
    return [name for name in named if name and not name.startswith(EXACT)]


FIXED_DURING_SOLVE = ("lp/", "misc/usesymmetry")
"""Beginnings of names that stay as they are once branch and bound runs: to change an LP parameter in a callback crashes
SCIP 10, and SCIP refuses to switch symmetry handling on."""


def leave_parameters(model: pyscipopt.Model, parameters: Mapping[str, ParameterValue]) -> bool:
    """Take parameters back to SCIP's defaults in a branching callback, if every one of them is in force.

    Args:
        model: The model.
        parameters: Parameters by name, with the values that they were given.

    Returns:
        Whether they were in force and some were taken back. If not, somebody else has chosen the settings, and nothing
        is changed.
    """
    if any(model.getParam(name) != value for name, value in parameters.items()):
        return False
    left = [name for name in parameters if not name.startswith(FIXED_DURING_SOLVE)]
    for name in left:
        model.resetParam(name)
    return bool(left)


EMPHASES = ("default", "fast", "off", "aggressive")
"""SCIP's own bundles of parameters for presolving, separation and heuristics (``SCIPsetPresolving`` and so on)."""


def parameter_file(changes: Mapping[str, ParameterValue]) -> str:
    """Return a SCIP parameter file: what changes make of SCIP's defaults, one parameter a line.

    Args:
        changes: Parameters by name, and ``presolving/emphasis``, ``separating/emphasis`` and ``heuristics/emphasis``,
            one of :data:`EMPHASES`; bundles come first, whatever the order.

    Raises:
        InputError: If SCIP knows no such parameter, or does not take the value.
    """
    model = pyscipopt.Model()
    bundles = {
        "presolving/emphasis": model.setPresolve,
        "separating/emphasis": model.setSeparating,
        "heuristics/emphasis": model.setHeuristics,
    }
    for name in changes.keys() & bundles.keys():
        bundles[name](getattr(pyscipopt.SCIP_PARAMSETTING, str(changes[name]).upper()))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "parameters.set"
        with native_output():
            try:
                model.setParams({name: value for name, value in changes.items() if name not in bundles})
            except (KeyError, LookupError, ValueError) as error:
                raise InputError(f"SCIP does not take these parameters: {error}") from None
            model.writeParams(str(file), comments=False, onlychanged=True, verbose=False)
        return file.read_text()


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


RULE_NAME = "learned"
"""The rule's name in SCIP's parameters, log and statistics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSettings:
    """How a policy is used; a field left alone changes nothing.

    Args:
        candidates: Candidate set; None takes the policy's own.
        priority: SCIP's priority of the rule.
        max_depth: Deepest tree node the policy branches at; -1 means no limit.
        max_decisions: Most decisions in a solve; None means no limit.
        pseudocosts_after: Decisions after which SCIP's pseudocosts have a say: the logarithm of their score is added to
            the policy's, if the policy ``gives_logits``, as a network does. None leaves them out.
        warm_up_nodes: Tree nodes at which SCIP's own rule branches first (it learns pseudocosts meanwhile).
        strong_branching_top_k: Verify the policy's best k candidates by strong branching; 0 trusts the policy.
        strong_branching_iteration_limit: LP iterations per child in this verification.
        strong_branching_max_depth: Deepest tree node with a verification; -1 means no limit.
        confidence: Least margin between the two best scores' softmax probabilities; below it SCIP's own rule decides.
        time_limit_seconds: Wall time of one decision; after the first decision beyond it SCIP's own rule takes over.
        guard: Whether to hand over where a model is not what the policy was trained on, or its choices turn out worse
            than SCIP's; a policy without ranges, such as a plain function, is used unguarded.

    Raises:
        InputError: If a value is out of range.
    """

    candidates: CandidateSet | None = None
    priority: int = CHOSEN_RULE_PRIORITY
    max_depth: int = -1
    max_decisions: int | None = None
    pseudocosts_after: int | None = None
    warm_up_nodes: int = 0
    strong_branching_top_k: int = 0
    strong_branching_iteration_limit: int = 50
    strong_branching_max_depth: int = -1
    confidence: float = 0.0
    time_limit_seconds: float | None = None
    guard: bool = False

    def __post_init__(self) -> None:
        """Refuse values that have no meaning."""
        limits = {
            "max_depth": -1,
            "warm_up_nodes": 0,
            "strong_branching_top_k": 0,
            "strong_branching_iteration_limit": 1,
            "strong_branching_max_depth": -1,
        }
        for name, least in limits.items():
            if getattr(self, name) < least:
                raise InputError(f"{name} = {getattr(self, name)} must be at least {least}")
        for name in ("max_decisions", "pseudocosts_after", "time_limit_seconds"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise InputError(f"{name} = {value} must be at least 0, or None")
        if not 0 <= self.confidence <= 1:
            raise InputError(f"confidence = {self.confidence} must lie in [0, 1]")


LARGE_TREE = 5000
"""Decisions after which the presets with a guard let pseudocosts have a say: many were observed, and trees that large
were not among the training's."""

_GUARDED = RuleSettings(guard=True, pseudocosts_after=LARGE_TREE)

PRESETS: Mapping[str, RuleSettings] = MappingProxyType(
    {
        "guarded": _GUARDED,
        "plain": RuleSettings(),
        "verified": RuleSettings(strong_branching_top_k=4),
        "verified-top": replace(_GUARDED, strong_branching_top_k=4, strong_branching_max_depth=5),
        "with-pseudocosts": replace(_GUARDED, pseudocosts_after=0),
        "cautious": RuleSettings(confidence=0.1),
        "top-of-tree": RuleSettings(max_depth=10),
        "warm": RuleSettings(warm_up_nodes=10),
    }
)
"""Named settings of the rule."""


def as_rule_settings(settings: RuleSettings | str | None, preset: str) -> RuleSettings:
    """Return settings as they are, or those of a preset by its name; of None, those of the preset that is given.

    Raises:
        InputError: If there is no such preset.
    """
    if isinstance(settings, RuleSettings):
        return settings
    name = preset if settings is None else settings
    if name not in PRESETS:
        raise InputError(f"preset {name!r} is unknown; there are {', '.join(PRESETS)}")
    return PRESETS[name]
