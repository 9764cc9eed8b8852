"""The folder of a policy: ``model.safetensors`` and ``card.json``, which says what the weights are and where from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from safetensors import SafetensorError
from safetensors.numpy import load as parse_tensors

from gnn_branching.config import STRICT, ModelConfig
from gnn_branching.contracts import FEATURE_SCHEMA, CandidateSet, InputError

CARD_FILE, WEIGHTS_FILE = "card.json", "model.safetensors"
GCNN = "gcnn"
NORMALISATION = "prenorm: shift and scale fitted once on training data, then frozen; stored with the weights"

Tensors = Mapping[str, NDArray[np.floating]]


@dataclass(config=STRICT, frozen=True, kw_only=True)
class PolicyCard:
    """What a policy is.

    Args:
        kind: How its weights are read; ``gcnn`` for the graph network.
        feature_schema: The feature layout it reads.
        candidates: The candidate set it was trained on, and must branch on.
        family: Family it was trained on, or the training folder's name.
        sizes: Sizes of the family.
        seed: Root seed of the experiment.
        architecture: Shape of the network.
        normalisation: How inputs are normalised.
        n_parameters: Trained numbers.
        weights_sha256: Hash of the weights file, hexadecimal.
        metrics: Figures on held-out samples, by name.
        experiment: The whole configuration it came from.
        versions: Versions and machine it was trained with.
    """

    kind: str
    feature_schema: str
    candidates: CandidateSet
    family: str
    sizes: tuple[str, ...]
    seed: int
    architecture: ModelConfig
    normalisation: str
    n_parameters: int
    weights_sha256: str
    metrics: Mapping[str, float]
    experiment: Mapping[str, object]
    versions: Mapping[str, object] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return an indented JSON object."""
        return json.dumps(TypeAdapter(PolicyCard).dump_python(self, mode="json"), indent=2) + "\n"


def read_card(folder: Path) -> PolicyCard:
    """Read and check the card of a policy folder.

    Raises:
        InputError: If it is missing, is no card, or names a feature layout that this version does not compute.
    """
    path = folder / CARD_FILE
    try:
        card = TypeAdapter(PolicyCard).validate_json(path.read_bytes())
    except OSError:
        raise InputError(f"{folder} is no policy: {CARD_FILE} is missing or cannot be read") from None
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"]) or "the file"
        message = " ".join(problem["msg"].split())
        raise InputError(
            f"{path} is damaged or of another version: {where}: {message}; train the policy again"
        ) from None
    for what, found, known in (("kind", card.kind, GCNN), ("feature schema", card.feature_schema, FEATURE_SCHEMA)):
        if found != known:
            raise InputError(f"{path}: {what} {found!r} is unknown; allowed: {known!r}; train the policy again")
    return card


def read_weights(folder: Path, card: PolicyCard) -> Tensors:
    """Read the weights that a card describes.

    Raises:
        InputError: If the file is missing, or is not the one the card was written for.
    """
    path = folder / WEIGHTS_FILE
    try:
        content = path.read_bytes()
    except OSError:
        raise InputError(f"{folder} is no whole policy: {WEIGHTS_FILE} is missing or cannot be read") from None
    if sha256(content).hexdigest() != card.weights_sha256:
        raise InputError(f"{path} is damaged: its SHA-256 is not the one in {CARD_FILE}; copy the folder again")
    try:
        tensors: Tensors = parse_tensors(content)
    except SafetensorError as error:
        raise InputError(f"{path} is no safetensors file ({error}); train the policy again") from None
    return tensors
