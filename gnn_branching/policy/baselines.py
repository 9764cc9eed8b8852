"""The published baselines at work: trees, a linear ranker and LambdaMART on Khalil's candidate features.

A baseline is a folder: ``baseline.json`` says what it is, beside it lie arrays in safetensors or LightGBM's text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from gnn_branching.contracts import (
    KHALIL_SCHEMA,
    N_KHALIL_FEATURES,
    BranchingState,
    CandidateSet,
    FloatArray,
    InputError,
    Policy,
)
from gnn_branching.durable import write_durably

FORMAT = "gnn-branching-baseline-1"
CARD_NAME = "baseline.json"
ARRAYS_NAME = "baseline.safetensors"
TEXT_NAME = "lambdamart.txt"
TREE_ARRAYS = ("roots", "features", "thresholds", "left", "right", "values")
"""Arrays of a forest: first node per tree, then per node (``left`` is -1 at a leaf), all trees one after the other."""


class BaselineKind(StrEnum):
    """The three competitors of Gasse et al. 2019."""

    EXTRA_TREES = "extra-trees"
    SVM_RANK = "svm-rank"
    LAMBDA_MART = "lambda-mart"


def normalised(features: FloatArray) -> FloatArray:
    """Stretch each column to [0, 1] over the candidates of one tree node (Khalil et al. 2016); constants become 0."""
    lowest = features.min(axis=0)
    span = features.max(axis=0) - lowest
    return np.asarray((features - lowest) / np.where(span > 0, span, 1.0))


def normalised_with_products(features: FloatArray) -> FloatArray:
    """Add the products of all pairs of columns, then normalise: the features of the published SVM ranker."""
    first, second = np.triu_indices(features.shape[1])
    return normalised(np.hstack([features, features[:, first] * features[:, second]]))


TRANSFORMS: Mapping[BaselineKind, Callable[[FloatArray], FloatArray]] = MappingProxyType(
    {
        BaselineKind.EXTRA_TREES: normalised,
        BaselineKind.SVM_RANK: normalised_with_products,
        BaselineKind.LAMBDA_MART: normalised,
    }
)
"""What each baseline does to the candidates' features, (n_candidates, 72), in training and at work."""


class BaselinePolicy:
    """A fitted baseline as a :class:`~gnn_branching.contracts.Policy`.

    Args:
        name: Short name for tables.
        kind: Which baseline; decides the features.
        candidate_set: The candidate set it was trained on.
        predict: Maps transformed features, (n_candidates, n_features), to scores.
    """

    feature_schema = KHALIL_SCHEMA

    def __init__(
        self,
        name: str,
        kind: BaselineKind,
        candidate_set: CandidateSet,
        predict: Callable[[FloatArray], FloatArray],
    ) -> None:
        self.name = name
        self.kind = kind
        self.candidate_set = candidate_set
        self._predict = predict

    def scores(self, state: BranchingState) -> FloatArray:
        """Return one score per candidate.

        Raises:
            InputError: If the state has no Khalil features.
        """
        if state.candidate_features is None:
            raise InputError(f"policy {self.name} reads {KHALIL_SCHEMA}, which this state lacks; ask for that schema")
        return self._predict(TRANSFORMS[self.kind](state.candidate_features))


def save_arrays(
    folder: Path, kind: BaselineKind, candidate_set: CandidateSet, arrays: Mapping[str, NDArray[Any]]
) -> None:
    """Write a forest (``TREE_ARRAYS``) or a linear ranker (``weights``)."""
    content = save({key: np.ascontiguousarray(array) for key, array in arrays.items()})
    _save(folder, kind, candidate_set, ARRAYS_NAME, content)


def save_text(folder: Path, candidate_set: CandidateSet, text: str) -> None:
    """Write a LambdaMART in LightGBM's text format."""
    _save(folder, BaselineKind.LAMBDA_MART, candidate_set, TEXT_NAME, text.encode())


def is_baseline(folder: Path) -> bool:
    """Whether a folder holds a baseline."""
    return (folder / CARD_NAME).is_file()


def load_baseline(folder: Path, name: str | None = None) -> Policy:
    """Load a baseline; it is called after its folder unless a name is given.

    Raises:
        InputError: If a file is missing or damaged, or LightGBM is needed and not installed.
    """
    try:
        card = json.loads((folder / CARD_NAME).read_text(encoding="utf-8"))
        if card["format"] != FORMAT:
            raise InputError(f"{folder} has format {card['format']!r}, this version reads {FORMAT!r}; fit it anew")
        kind, candidate_set = BaselineKind(card["kind"]), CandidateSet(card["candidates"])
        file = folder / str(card["file"])
        if hashlib.sha256(file.read_bytes()).hexdigest() != card["sha256"]:
            raise InputError(f"{file} is not the file that {CARD_NAME} names; copy the folder again, or fit it anew")
        predict = _text_predictor(file) if kind is BaselineKind.LAMBDA_MART else _array_predictor(kind, file)
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"baseline {folder} cannot be read ({error}); fit it anew") from None
    return BaselinePolicy(name or folder.resolve().name, kind, candidate_set, predict)


def _save(folder: Path, kind: BaselineKind, candidate_set: CandidateSet, file: str, content: bytes) -> None:
    card = {
        "format": FORMAT,
        "kind": kind.value,
        "candidates": candidate_set.value,
        "feature_schema": KHALIL_SCHEMA,
        "file": file,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    write_durably(folder / file, content)
    write_durably(folder / CARD_NAME, (json.dumps(card, indent=1) + "\n").encode())


def _array_predictor(kind: BaselineKind, file: Path) -> Callable[[FloatArray], FloatArray]:
    arrays = load_file(file)
    if kind is BaselineKind.SVM_RANK:
        weights = arrays["weights"]
        return lambda features: np.asarray(features @ weights)
    trees = tuple(arrays[key] for key in TREE_ARRAYS)
    # scikit-learn compares features as float32 with thresholds as float64.
    return lambda features: np.asarray(_walk(features.astype(np.float32), *trees))


def _text_predictor(file: Path) -> Callable[[FloatArray], FloatArray]:
    try:
        import lightgbm
    except ImportError:
        raise InputError("LambdaMART needs LightGBM; install gnn-branching[baselines]") from None
    booster = lightgbm.Booster(model_str=file.read_text(encoding="utf-8"))
    if booster.num_feature() != N_KHALIL_FEATURES:
        raise InputError(f"{file} reads {booster.num_feature()} features, not {N_KHALIL_FEATURES}; fit it anew")
    return lambda features: np.asarray(booster.predict(features, num_threads=1), dtype=np.float64)


@njit(cache=True)
def _walk(
    inputs: NDArray[np.float32],
    roots: NDArray[np.int32],
    features: NDArray[np.uint8],
    thresholds: NDArray[np.float64],
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    values: NDArray[np.float64],
) -> FloatArray:
    """Return the mean over trees of the leaf each row of ``inputs`` falls into, (n_candidates,)."""
    result = np.zeros(inputs.shape[0])
    for i in range(inputs.shape[0]):
        for root in roots:
            node = root
            while left[node] >= 0:
                node = left[node] if inputs[i, features[node]] <= thresholds[node] else right[node]
            result[i] += values[node]
    result /= roots.shape[0]
    return result
