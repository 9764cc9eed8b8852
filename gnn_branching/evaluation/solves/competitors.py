"""What a user may name as a competitor: SCIP's rules, shipped policies, folders."""

from __future__ import annotations

import hashlib
from pathlib import Path

from gnn_branching.config import DEFAULT_PRESET
from gnn_branching.contracts import InputError
from gnn_branching.evaluation.solves.plan import PolicySpec
from gnn_branching.policy import list_policies
from gnn_branching.policy.card import read_card
from gnn_branching.policy.load import HUB_PREFIX
from gnn_branching.provenance import file_sha256
from gnn_branching.run_folder import run_of_policy
from gnn_branching.solver.rule import PRESETS
from gnn_branching.solver.settings import SCIP_RULES


def parse_policy(text: str) -> PolicySpec:
    """Read a rule of SCIP, a policy's name, a folder or ``label=folder``; ``@preset`` at the end says how it is used.

    Raises:
        InputError: If the text is empty, there is no such policy or preset, or the folder holds none.
    """
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
    if source in SCIP_RULES and not label:
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


def _folder_label(folder: Path) -> str:
    return run_of_policy(folder).name


def _shipped_hash(name: str) -> str:
    """Hash a shipped policy; one on the hub is known by its address alone."""
    if name.startswith(HUB_PREFIX):
        return ""
    shipped = list_policies()
    if name not in shipped:
        known = ", ".join((*SCIP_RULES, *shipped))
        raise InputError(f"policy {name!r} is neither a folder nor one of {known}")
    return shipped[name].weights_sha256[:16]


def _folder_hash(folder: Path) -> str:
    """Hash the weights and the card; logs beside them do not change what a policy does."""
    files = sorted(path for pattern in ("*.safetensors", "*.json") for path in folder.glob(pattern))
    if not files:
        raise InputError(f"folder {folder} holds no policy (no .safetensors, no card); train one with train-policy")
    text = "".join(f"{path.name}:{file_sha256(path)}\n" for path in files)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
