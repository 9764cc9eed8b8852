"""What a dataset's samples are a function of, who labels them, and whether a folder holds samples of that recipe."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from gnn_branching.config import CollectionConfig, ExperimentConfig, as_of_now, to_mapping
from gnn_branching.contracts import InputError, InstanceFile
from gnn_branching.instances import InstanceSplits
from gnn_branching.instances.generators import ECOLE
from gnn_branching.provenance import collect_provenance, file_sha256
from gnn_branching.shards import DatasetDescription
from gnn_branching.shards.description import DESCRIPTION_NAME, SPLITS, parse_description

SCIP = "scip"
"""Who labels where Ecole does not; a recipe's ``labelled_by`` has the version behind it. Their scores are the same."""


def make_recipe(config: ExperimentConfig, instances: InstanceSplits, labelled_by: str) -> dict[str, object]:
    """Return, as plain values, what the samples are a function of; how many there are is not part of it."""
    collection = to_mapping(config.collection)
    for split in SPLITS:
        del collection[f"n_{split}_samples"]
    generators = {instance.generator for split in SPLITS for instance in instances.of(split)}
    recipe: dict[str, object] = {
        "seed": config.seed,
        "collection": collection,
        "instances": {split: _digest(instances.of(split)) for split in SPLITS},
        "labelled_by": labelled_by,
        "generated_by": ", ".join(sorted(generators - {""})),
        "versions": {"pyscipopt": collect_provenance().packages.get("pyscipopt", "")},
    }
    settings, policy = Path(config.collection.settings), Path(config.collection.exploration)
    if settings.is_file():
        recipe["settings_sha256"] = file_sha256(settings)
    if policy.is_dir():
        recipe["exploration_sha256"] = {
            str(path.relative_to(policy)): file_sha256(path) for path in sorted(policy.rglob("*")) if path.is_file()
        }
    return recipe


def known_description(dataset: Path) -> DatasetDescription | None:
    """Return what a folder says of the dataset in it; None if none was begun there."""
    path = dataset / DESCRIPTION_NAME
    return parse_description(path.read_bytes(), str(path)) if path.exists() else None


def begun_recipe(dataset: Path) -> Mapping[str, object] | None:
    """Return the recipe of a dataset that was begun, in this version's form; None if none was."""
    known = known_description(dataset)
    return None if known is None else _as_of_now(known.recipe)


def choose_labeller(config: CollectionConfig, dataset: Path, begun: Mapping[str, object] | None = None) -> str:
    """Return who labels a dataset's samples: who began to, else Ecole where it is installed, else SCIP by itself.

    Strong branching with a limit on LP iterations is always SCIP's own.

    Args:
        config: How samples are taken.
        dataset: The dataset's folder.
        begun: Its recipe as :func:`begun_recipe` gives it; None to read it here.

    Returns:
        Name and version, such as ``ecole 0.10.0`` or ``scip 10.0.2``.

    Raises:
        InputError: If Ecole began the dataset, and cannot be imported now.
    """
    from gnn_branching.solver.ecole_module import ecole_name, load_ecole, scip_name

    begun = begun or begun_recipe(dataset) or {}
    began = str(begun.get("labelled_by", ""))
    if config.strong_branching_iteration_limit or began.startswith(SCIP):
        return scip_name()
    if began.startswith(ECOLE):
        try:
            load_ecole()
        except InputError as error:
            raise InputError(
                f"the samples in {dataset} were begun by {began}: {error}; or choose another folder"
            ) from None
    return ecole_name() or scip_name()


def recipe_difference(known: Mapping[str, object], asked: Mapping[str, object]) -> str:
    """Return the first difference between a dataset's recipe and the one asked for; empty if there is none.

    Who generated the instances is no difference: their hashes tell.
    """
    there, here = (
        {key: value for key, value in recipe.items() if key != "generated_by"} for recipe in (_as_of_now(known), asked)
    )
    there.setdefault("labelled_by", here.get("labelled_by"))
    return _first_difference(there, here)


def _as_of_now(recipe: Mapping[str, object]) -> dict[str, object]:
    """Return a recipe in this version's form; earlier ones had Ecole's version among the others."""
    known = as_of_now(recipe)
    versions, collection = known.get("versions"), known.get("collection")
    if isinstance(versions, Mapping) and "ecole-fork" in versions:
        limited = isinstance(collection, Mapping) and collection.get("strong_branching_iteration_limit")
        if not limited:
            known["labelled_by"] = f"{ECOLE} {versions['ecole-fork']}"
        known["versions"] = {name: version for name, version in versions.items() if name != "ecole-fork"}
    return known


def _first_difference(known: Mapping[str, object], asked: Mapping[str, object], prefix: str = "") -> str:
    for key in sorted({*known, *asked}):
        there, here = known.get(key), asked.get(key)
        if isinstance(there, Mapping) and isinstance(here, Mapping):
            if inner := _first_difference(there, here, f"{prefix}{key}."):
                return inner
        elif there != here:
            return f"{prefix}{key} is {there!r} there, {here!r} asked"
    return ""


def _digest(instances: Sequence[InstanceFile]) -> str:
    return hashlib.sha256("\n".join(instance.sha256 for instance in instances).encode()).hexdigest()
