"""From a configuration, or a folder of models, to a checked experiment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gnn_branching.config import ExperimentConfig, load_config, parse_overrides
from gnn_branching.contracts import InputError
from gnn_branching.feature_schema import KHALIL_SCHEMA
from gnn_branching.pipeline.budget import own_models
from gnn_branching.policy.kind import get_kind


def run_name(config: str | Path | None, instances: object = None) -> str:
    """Return the name that a run has unless it is given one: its configuration's, or its folder of models'."""
    if config is not None:
        return Path(config).stem
    return Path(instances).resolve().name if isinstance(instances, str | Path) else "models"


def read_experiment(
    config: str | Path | None, overrides: Sequence[str] = (), *, instances: str | Path | None = None
) -> ExperimentConfig:
    """Return a configuration, or the defaults for a folder of instances.

    Khalil's features are collected whenever the policy kind reads them, whatever the configuration says.

    Args:
        config: A TOML file.
        overrides: ``section.key=value``, applied to it.
        instances: Folder of problem files instead of a generated family; without a configuration, the defaults are
            those of :data:`~gnn_branching.pipeline.budget.OWN_MODELS`.

    Raises:
        InputError: If neither is given, the configuration is wrong, or there is no such policy kind.
    """
    settings = [*(own_models() if config is None else ()), *overrides]
    if instances is not None:
        settings.append(f"instances.folder={str(instances)!r}")
    if config is None and instances is None:
        raise InputError("give a configuration, such as configs/set-cover.toml, or --instances FOLDER")
    experiment = parse_overrides(settings) if config is None else load_config(Path(config), settings)
    if get_kind(experiment.model.kind).reads(experiment.model) != KHALIL_SCHEMA:
        return experiment
    return replace(experiment, collection=replace(experiment.collection, khalil_features=True))
