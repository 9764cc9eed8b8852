"""What a user may name as a competitor: SCIP's rules, shipped policies, folders."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gnn_branching.config import DEFAULT_PRESET, EXPERT, SCIP_RULES
from gnn_branching.contracts import InputError
from gnn_branching.evaluation.solves.plan import HIGHS, PolicySpec
from gnn_branching.policy import list_policies
from gnn_branching.policy.card import CARD_FILE, read_card
from gnn_branching.policy.folder import recipe_file
from gnn_branching.policy.load import HUB_PREFIX, find_folder
from gnn_branching.provenance import file_sha256
from gnn_branching.run_folder import run_of_policy
from gnn_branching.solver.settings import PRESETS

RECIPE, RECIPE_MARK = "recipe", "@recipe"
SCIP_SETTINGS = "default"


def parse_policy(text: str) -> PolicySpec:
    """Read a competitor.

    A rule of SCIP, ``expert``, ``highs``, a policy's name, a folder or ``label=folder``; ``@preset`` behind it says how
    a policy is used, and ``@recipe`` that it solves under its own recipe, ``@recipe=OTHER`` under that of another
    policy, or under a parameter file.

    Raises:
        InputError: If the text is empty, there is no such policy, preset or recipe, or the folder holds none.
    """
    who, under, whose = text.partition(RECIPE_MARK)
    spec = _parse_rule(who)
    if not under:
        return spec
    if whose and (whose[0] != "=" or not whose[1:]):
        raise InputError(f"policy {text!r}: a recipe is named as {who}@recipe or {who}@recipe=OTHER")
    if not whose and not spec.is_learned:
        raise InputError(f"{who} has no recipe of its own; name one, as in {who}@recipe=set-cover")
    owner = whose[1:]
    name = f"{spec.name}{RECIPE_MARK}" + (f"={_short_owner(owner)}" if owner else "")
    return with_recipe(spec, owner or spec.source, name=name)


def with_recipe(spec: PolicySpec, owner: str, *, name: str) -> PolicySpec:
    """Return a competitor that solves under a recipe, whatever the settings of the comparison.

    Args:
        spec: The competitor; under its own recipe it is used as the recipe says, SCIP's rules included.
        owner: Name or folder of a policy with a recipe, or a parameter file.
        name: Name in tables.

    Raises:
        InputError: If there is no such recipe.
    """
    if Path(owner).is_file():
        file = Path(owner)
    else:
        folder = find_folder(owner)
        file, recipe = recipe_file(folder), read_card(folder).recipe
        if owner == spec.source and recipe is not None:
            if recipe.scip_rule:
                spec = PolicySpec(name=name, rule=recipe.scip_rule)
            else:
                spec = replace(spec, preset=recipe.rule)
    fingerprint = spec.fingerprint + file_sha256(file)[:16]
    rule = "" if spec.is_learned else spec.scip_rule
    return replace(spec, name=name, rule=rule, recipe=str(file.resolve()), fingerprint=fingerprint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Competitors:
    """Who competes, and under what.

    Args:
        specs: Rules and policies.
        settings: Named settings of the comparison.
        notices: One line for each policy that solves under its recipe because nothing else was asked for.
    """

    specs: tuple[PolicySpec, ...]
    settings: tuple[str, ...]
    notices: tuple[str, ...] = ()


def parse_competitors(policies: Sequence[str], settings: Sequence[str]) -> Competitors:
    """Read competitors and settings, where ``recipe`` stands for what each policy's own folder says.

    Policies under their recipes are compared with SCIP under its default settings. Without settings, policies with a
    recipe solve under it, and where there is none, all solve under ``paper``.

    Raises:
        InputError: If a competitor makes no sense, or recipes are asked for and there are none.
    """
    specs = tuple(parse_policy(policy) for policy in policies)
    cooked = tuple(
        with_recipe(spec, spec.source, name=f"{spec.name}{RECIPE_MARK}")
        for spec in specs
        if not spec.recipe and has_recipe(spec)
    )
    if RECIPE in settings:
        if not cooked:
            raise InputError("settings recipe: none of the policies has a recipe; make one with gnn-branching tune")
        named = tuple(name for name in settings if name != RECIPE)
        kept = specs if named else tuple(spec for spec in specs if spec.recipe or not has_recipe(spec))
        return Competitors(specs=(*kept, *cooked), settings=named or (SCIP_SETTINGS,))
    if settings:
        return Competitors(specs=specs, settings=tuple(settings))
    if not cooked and not any(spec.recipe for spec in specs):
        return Competitors(specs=specs, settings=("paper",))
    notices = tuple(
        f"note: {spec.source} solves under its recipe, and SCIP under its default settings" for spec in cooked
    )
    plain = tuple(spec for spec in specs if spec.recipe or not has_recipe(spec))
    return Competitors(specs=(*plain, *cooked), settings=(SCIP_SETTINGS,), notices=notices)


def has_recipe(spec: PolicySpec) -> bool:
    """Whether a competitor is a policy with a recipe of its own."""
    return spec.is_learned and read_card(find_folder(spec.source)).recipe is not None


def _parse_rule(text: str) -> PolicySpec:
    label, separator, rest = text.rpartition("=")
    source, _, preset = rest.partition("@")
    if not source or (separator and not label):
        raise InputError(f"policy {text!r} is empty; give a rule of SCIP, a policy's name, a folder or label=folder")
    _, at, misplaced = label.rpartition("@")
    if at and misplaced in PRESETS:
        raise InputError(f"policy {text!r}: the preset goes behind the folder, {label}={rest}@{misplaced}")
    if preset and preset not in PRESETS:
        raise InputError(f"preset {preset!r} of policy {text!r} is unknown; there are {', '.join(PRESETS)}")
    folder = Path(source)
    if source in (*SCIP_RULES, EXPERT, HIGHS) and not label:
        return PolicySpec(name=source)
    is_folder = folder.is_dir()
    return PolicySpec(
        name=label or (_folder_label(folder) if is_folder else source) + (f"@{preset}" if preset else ""),
        source=source,
        fingerprint=_folder_hash(folder) if is_folder else _shipped_hash(source),
        preset=preset or _own_preset(source),
    )


def _own_preset(source: str) -> str:
    """Return how a policy is used unless something else is asked for; loading refuses what cannot be read."""
    shipped = list_policies()
    try:
        return shipped[source].preset if source in shipped else read_card(Path(source)).preset
    except InputError:
        return DEFAULT_PRESET


def _short_owner(owner: str) -> str:
    """Return what tables call a recipe's owner: a folder's name, a file's with that of its folder, a policy's."""
    path = Path(owner)
    if path.is_file():
        return f"{path.resolve().parent.name}/{path.name}"
    return _folder_label(path) if path.is_dir() else owner


def _folder_label(folder: Path) -> str:
    return run_of_policy(folder).name


def _shipped_hash(name: str) -> str:
    """Hash a shipped policy; one on the hub is known by its address alone."""
    if name.startswith(HUB_PREFIX):
        return ""
    shipped = list_policies()
    if name not in shipped:
        known = ", ".join((*SCIP_RULES, EXPERT, HIGHS, *shipped))
        raise InputError(f"policy {name!r} is neither a folder nor one of {known}")
    return shipped[name].fingerprint


def _folder_hash(folder: Path) -> str:
    """Hash the weights and the card; logs beside them do not change what a policy does."""
    files = sorted(path for pattern in ("*.safetensors", "*.json") for path in folder.glob(pattern))
    if not files:
        raise InputError(f"folder {folder} holds no policy (no .safetensors, no card); train one with train-policy")
    text = "".join(f"{path.name}:{_file_hash(path)}\n" for path in files)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _file_hash(path: Path) -> str:
    """Hash a file; a card without its verdict and recipe, which do not change what a policy does."""
    if path.name != CARD_FILE:
        return file_sha256(path)
    try:
        card = read_card(path.parent)
    except InputError:  # loading will say what is wrong
        return file_sha256(path)
    if card.verdict is None and card.recipe is None:
        return file_sha256(path)
    return hashlib.sha256(replace(card, verdict=None, recipe=None).to_json().encode()).hexdigest()
