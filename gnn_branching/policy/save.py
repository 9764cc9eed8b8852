"""Write a policy folder, all of it or nothing."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from gnn_branching.config import ExperimentConfig, parse_config, to_mapping
from gnn_branching.contracts import FeatureRanges
from gnn_branching.durable import PARTIAL_SUFFIX, explain_write_error, flush_folder, write_durably
from gnn_branching.policy.card import CARD_FILE, RECIPE_FILE, PolicyCard, Recipe, Verdict, read_card
from gnn_branching.policy.kind import FittedPolicy, get_kind
from gnn_branching.provenance import collect_provenance

if TYPE_CHECKING:
    from torch import nn


def save_policy(
    folder: Path,
    network: nn.Module,
    *,
    config: Mapping[str, object],
    metrics: Mapping[str, float],
    trained_on: Sequence[Mapping[str, object]] = (),
) -> PolicyCard:
    """Write a trained network as a policy folder, replacing the one that may be there.

    Args:
        folder: Where; its name is the policy's name.
        network: The network, prenorm fitted; on any device, of any precision (float32 is stored).
        config: The whole experiment, as ``config.to_mapping`` gives it; its ``model.kind`` must be a network's.
        metrics: Figures on held-out samples.
        trained_on: What the card says of the training samples.

    Returns:
        The card written.

    Raises:
        InputError: If the folder cannot be written; what was there before is kept.
    """
    from gnn_branching.policy.network_kind import pack_network

    fitted = pack_network(network, parse_config(config, source="the policy's configuration"))
    return write_policy(folder, fitted, metrics=metrics, trained_on=trained_on)


def write_policy(
    folder: Path,
    fitted: FittedPolicy,
    *,
    metrics: Mapping[str, float],
    trained_on: Sequence[Mapping[str, object]] = (),
    ranges: FeatureRanges | None = None,
    verdict: Verdict | None = None,
) -> PolicyCard:
    """Write what a kind fitted as a policy folder, replacing the one that may be there; return its card.

    Raises:
        InputError: If the folder cannot be written; what was there before is kept.
    """
    experiment = fitted.config
    kind = get_kind(experiment.model.kind)
    card = PolicyCard(
        kind=kind.name,
        feature_schema=kind.reads(fitted.architecture),
        candidates=experiment.collection.candidates,
        family=_family(experiment),
        sizes=experiment.instances.sizes,
        seed=experiment.seed,
        architecture=fitted.architecture,
        normalisation=fitted.normalisation,
        n_parameters=fitted.n_parameters,
        weights_sha256=sha256(fitted.weights).hexdigest(),
        metrics=dict(metrics),
        experiment=to_mapping(experiment),
        trained_on=tuple(trained_on),
        versions=asdict(collect_provenance()),
        headline=dict(fitted.headline),
        ranges=None if ranges is None else plain_ranges(ranges),
        verdict=verdict,
    )
    with _replacing(folder) as fresh:
        write_durably(fresh / kind.weights_file, fitted.weights)
        write_durably(fresh / CARD_FILE, card.to_json().encode())
    return card


def add_verdict(folder: Path, verdict: Verdict) -> PolicyCard:
    """Put into a policy's card how it did against SCIP; return the card.

    Raises:
        InputError: If the folder holds no policy or cannot be written.
    """
    card = dataclasses.replace(read_card(folder), verdict=verdict)
    write_durably(folder / CARD_FILE, card.to_json().encode())
    return card


def add_recipe(folder: Path, parameters: str, recipe: Recipe) -> PolicyCard:
    """Put the settings that a policy was proven with beside it, and their evidence into its card; return the card.

    Raises:
        InputError: If the folder holds no policy or cannot be written.
    """
    card = dataclasses.replace(read_card(folder), recipe=recipe)
    write_durably(folder / RECIPE_FILE, parameters.encode())
    write_durably(folder / CARD_FILE, card.to_json().encode())
    return card


def plain_ranges(ranges: FeatureRanges) -> dict[str, tuple[tuple[float, ...], tuple[float, ...]]]:
    """Return ranges as a card holds them."""
    sides = {"row": ranges.row, "edge": ranges.edge, "variable": ranges.variable}
    return {side: (tuple(low.tolist()), tuple(high.tolist())) for side, (low, high) in sides.items()}


def _family(experiment: ExperimentConfig) -> str:
    source = experiment.instances.folder
    return experiment.instances.family if source is None else source.name


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """Yield an empty neighbour of ``folder`` that takes its place if all goes well, and is removed otherwise."""
    fresh, old = (folder.with_name(f".{folder.name}.{os.getpid()}{end}") for end in (PARTIAL_SUFFIX, ".old"))
    try:
        for leftover in (fresh, old):
            shutil.rmtree(leftover, ignore_errors=True)
        fresh.mkdir(parents=True)
        yield fresh
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
        flush_folder(folder.parent)
    except OSError as error:
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise explain_write_error(folder, error) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
