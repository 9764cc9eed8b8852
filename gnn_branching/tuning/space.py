"""What a search may change: SCIP's settings and who branches, and nothing that a proof of optimality rests on."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gnn_branching.config import SCIP_RULES
from gnn_branching.contracts import InputError
from gnn_branching.solver.settings import EMPHASES, PRESETS, ParameterValue, parameter_file

Changes = Mapping[str, ParameterValue]
Point = Mapping[str, str]
"""One option for each dimension, by name."""

SCIP_DEFAULT = "default"
"""The option of every dimension that leaves SCIP as it is."""
RULE = "rule"
"""The dimension that says who branches: a preset of the policy, or a rule of SCIP."""
NODE_SELECTORS = ("bfs", "dfs", "hybridestim", "restartdfs")
DIVING = (
    "conflict",
    "distribution",
    "farkas",
    "frac",
    "guided",
    "linesearch",
    "nlp",
    "objpscost",
    "pscost",
    "rootsol",
    "veclen",
)
"""What SCIP dives by, where it comes with that on; adaptive diving has a frequency of its own to search."""
HIGHEST = 1_000_000
"""Priority above those of SCIP's node selectors."""


def _options(parameter: str, *values: ParameterValue) -> dict[str, Changes]:
    """Return the values of one parameter, beside SCIP's own."""
    return {SCIP_DEFAULT: {}} | {str(value): {parameter: value} for value in values}


def _emphasis(bundle: str) -> dict[str, Changes]:
    return _options(f"{bundle}/emphasis", *(value for value in EMPHASES if value != SCIP_DEFAULT))


def _frequency(plugin: str, *values: int) -> dict[str, Changes]:
    return _options(f"{plugin}/freq", *values)


SPACE: Mapping[str, Mapping[str, Changes]] = MappingProxyType(
    {
        "presolving": _emphasis("presolving"),
        "restarts": _options("presolving/maxrestarts", 0),
        "separating": _emphasis("separating"),
        "root cut rounds": _options("separating/maxroundsroot", 0, 1, 5, 20),
        "cut rounds": _options("separating/maxrounds", 0, 1),
        "gomory cuts": _frequency("separating/gomory", -1, 0, 10),
        "aggregation cuts": _frequency("separating/aggregation", -1, 0, 10),
        "zero-half cuts": _frequency("separating/zerohalf", -1, 0),
        "clique cuts": _frequency("separating/clique", -1, 0),
        "implied bound cuts": _frequency("separating/impliedbounds", -1, 0, 10),
        "multi-commodity flow cuts": _frequency("separating/mcf", -1, 0),
        "rapid learning": _frequency("separating/rapidlearning", -1),
        "heuristics": _emphasis("heuristics"),
        "diving": {SCIP_DEFAULT: {}, "off": {f"heuristics/{name}diving/freq": -1 for name in DIVING}},
        "adaptive diving": _frequency("heuristics/adaptivediving", -1, 5, 20),
        "large neighbourhood search": _frequency("heuristics/alns", -1, 20),
        "RENS": _frequency("heuristics/rens", -1, 0),
        "RINS": _frequency("heuristics/rins", -1, 15),
        "feasibility pump": _frequency("heuristics/feaspump", -1, 0, 20),
        "oneopt": _frequency("heuristics/oneopt", -1, 1),
        "node selection": {SCIP_DEFAULT: {}}
        | {name: {f"nodeselection/{name}/stdpriority": HIGHEST} for name in NODE_SELECTORS},
        "child selection": _options("nodeselection/childsel", "d", "u", "p", "i", "l", "r"),
        "propagation rounds": _options("propagating/maxrounds", 0, 1, 5),
        "reduced cost fixing": _frequency("propagating/redcost", -1, 0),
        "root reduced cost fixing": _frequency("propagating/rootredcost", -1),
        "probing": _options("propagating/probing/maxprerounds", 0),
        "symmetry": _options("misc/usesymmetry", 0, 1, 2),
        "conflicts": _options("conflict/enable", False),
        "LP pricing": _options("lp/pricing", "d", "s", "q", "p"),
        "LP initial algorithm": _options("lp/initalgorithm", "p", "d"),
        "LP resolve algorithm": _options("lp/resolvealgorithm", "p", "d"),
        "LP scaling": _options("lp/scaling", 0, 2),
        "LP presolving": _options("lp/presolving", False),
        "LP solution polishing": _options("lp/solutionpolishing", 0, 1),
    }
)
"""Dimensions of SCIP's settings: options by name, with what each changes."""

GUARDED_PRESETS = ("guarded", "verified-top")
"""Ways of using a policy that hand over to SCIP on models of another kind: what a recipe may ask for."""


def rules_for(policy: str) -> tuple[str, ...]:
    """Return who may branch: the policy in several ways, or SCIP; for a rule of SCIP itself, SCIP alone."""
    if policy in SCIP_RULES:
        return tuple(dict.fromkeys((policy, "relpscost", "pscost")))
    return (*GUARDED_PRESETS, "relpscost", "pscost")


def is_policy(rule: str) -> bool:
    """Whether a rule of a point is a preset of the policy."""
    if rule not in PRESETS and rule not in SCIP_RULES:
        raise InputError(f"rule {rule!r} is neither a preset of a policy nor a rule of SCIP")
    return rule in PRESETS


def point(**options: str) -> dict[str, str]:
    """Return a point: SCIP's own option in every dimension that is not named (``_`` stands for a space)."""
    named = {name.replace("_", " "): option for name, option in options.items()}
    unknown = sorted(named.keys() - SPACE.keys())
    if unknown:
        raise InputError(f"the space has no dimension {unknown[0]!r}")
    return {name: named.get(name, SCIP_DEFAULT) for name in SPACE}


def settings_of(point: Point) -> str:
    """Return the SCIP parameter file of a point.

    Raises:
        InputError: If an option is unknown, or SCIP does not know a parameter.
    """
    changes: dict[str, ParameterValue] = {}
    for name, options in SPACE.items():
        chosen = point.get(name, SCIP_DEFAULT)
        if chosen not in options:
            raise InputError(f"{name} = {chosen!r} is no option; there are {', '.join(options)}")
        changes.update(options[chosen])
    return parameter_file(changes)
