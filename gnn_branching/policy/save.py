"""Write a policy folder, all of it or nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save as pack_tensors

from gnn_branching.config import ExperimentConfig, ModelConfig, ModelKind, parse_config
from gnn_branching.durable import PARTIAL_SUFFIX, explain_write_error, flush_folder, write_durably
from gnn_branching.policy.card import CARD_FILE, NORMALISATION, PolicyCard
from gnn_branching.provenance import collect_provenance

if TYPE_CHECKING:
    from gnn_branching.model.network import BipartiteGCNN

PER_TREE_NODE = "each column stretched to [0, 1] over the candidates of a tree node"

FittedBaseline = Mapping[str, NDArray[np.generic]] | str
"""What fitting a baseline gives: arrays by name, or text in LightGBM's format."""


def save_policy(
    folder: Path,
    network: BipartiteGCNN,
    *,
    config: Mapping[str, object],
    metrics: Mapping[str, float],
    trained_on: Sequence[Mapping[str, object]] = (),
) -> PolicyCard:
    """Write a trained network as a policy folder, replacing the one that may be there.

    Args:
        folder: Where; its name is the policy's name.
        network: The network, prenorm fitted; on any device, of any precision (float32 is stored).
        config: The whole experiment, as ``config.to_mapping`` gives it.
        metrics: Figures on held-out samples.
        trained_on: What the card says of the training samples.

    Returns:
        The card written.

    Raises:
        InputError: If the folder cannot be written; what was there before is kept.
    """
    tensors = {name: value.detach().float().cpu().contiguous().numpy() for name, value in network.state_dict().items()}
    return _write(
        folder,
        pack_tensors(tensors),
        kind=ModelKind.GCNN,
        architecture=network.config,
        normalisation=NORMALISATION,
        n_parameters=sum(parameter.numel() for parameter in network.parameters()),
        config=config,
        metrics=metrics,
        trained_on=trained_on,
    )


def save_baseline(
    folder: Path,
    fitted: FittedBaseline,
    *,
    config: Mapping[str, object],
    metrics: Mapping[str, float],
    trained_on: Sequence[Mapping[str, object]] = (),
) -> PolicyCard:
    """Write a fitted baseline, of the kind that ``config`` names, as a policy folder; see :func:`save_policy`.

    Args:
        folder: Where; its name is the policy's name.
        fitted: Arrays of a forest or a linear ranker, or LightGBM's text.
        config: The whole experiment, as ``config.to_mapping`` gives it.
        metrics: Figures on held-out samples.
        trained_on: What the card says of the training samples.
    """
    model = parse_config(config, source="the policy's configuration").model
    if isinstance(fitted, str):
        content, n_parameters = fitted.encode(), fitted.count("\nTree=")
    else:
        content = pack_tensors({name: np.ascontiguousarray(array) for name, array in fitted.items()})
        n_parameters = sum(array.size for array in fitted.values())
    return _write(
        folder,
        content,
        kind=model.kind,
        architecture=ModelConfig(kind=model.kind),
        normalisation=PER_TREE_NODE,
        n_parameters=n_parameters,
        config=config,
        metrics=metrics,
        trained_on=trained_on,
    )


def _write(
    folder: Path,
    weights: bytes,
    *,
    kind: ModelKind,
    architecture: ModelConfig,
    normalisation: str,
    n_parameters: int,
    config: Mapping[str, object],
    metrics: Mapping[str, float],
    trained_on: Sequence[Mapping[str, object]],
) -> PolicyCard:
    """Write the weights and their card, and return the card."""
    experiment = parse_config(config, source="the policy's configuration")
    card = PolicyCard(
        kind=kind,
        feature_schema=kind.feature_schema,
        candidates=experiment.collection.candidates,
        family=_family(experiment),
        sizes=experiment.instances.sizes,
        seed=experiment.seed,
        architecture=architecture,
        normalisation=normalisation,
        n_parameters=n_parameters,
        weights_sha256=sha256(weights).hexdigest(),
        metrics=dict(metrics),
        experiment=config,
        trained_on=tuple(trained_on),
        versions=asdict(collect_provenance()),
    )
    with _replacing(folder) as fresh:
        write_durably(fresh / card.weights_file, weights)
        write_durably(fresh / CARD_FILE, card.to_json().encode())
    return card


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
