"""The published baselines at work: trees, a linear ranker and LambdaMART on Khalil's candidate features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gnn_branching.config import ModelKind
from gnn_branching.contracts import (
    KHALIL_SCHEMA,
    N_KHALIL_FEATURES,
    BranchingState,
    CandidateSet,
    FloatArray,
    InputError,
)
from gnn_branching.policy.card import PolicyCard, read_card, read_file, read_weights

TREE_ARRAYS = ("roots", "features", "thresholds", "left", "right", "values")
"""Arrays of a forest: first node per tree, then per node (``left`` is -1 at a leaf), all trees one after the other."""
LINEAR_ARRAY = "weights"
"""The array of a linear ranker."""

Predictor = Callable[[FloatArray], FloatArray]
"""Maps transformed features, (n_candidates, n_features), to scores."""


def normalised(features: FloatArray) -> FloatArray:
    """Stretch each column to [0, 1] over the candidates of one tree node (Khalil et al. 2016); constants become 0."""
    lowest = features.min(axis=0)
    span = features.max(axis=0) - lowest
    return np.asarray((features - lowest) / np.where(span > 0, span, 1.0))


def normalised_with_products(features: FloatArray) -> FloatArray:
    """Add the products of all pairs of columns, then normalise: the features of the published SVM ranker."""
    first, second = np.triu_indices(features.shape[1])
    return normalised(np.hstack([features, features[:, first] * features[:, second]]))


TRANSFORMS: Mapping[ModelKind, Callable[[FloatArray], FloatArray]] = MappingProxyType(
    {
        ModelKind.EXTRA_TREES: normalised,
        ModelKind.SVM_RANK: normalised_with_products,
        ModelKind.LAMBDA_MART: normalised,
    }
)
"""What each baseline does to the candidates' features, (n_candidates, 72), in training and at work."""


class BaselinePolicy:
    """A fitted baseline as a :class:`~gnn_branching.contracts.Policy`; pickled as the path of its folder.

    Args:
        folder: The policy's folder.
        name: Name for tables.

    Raises:
        InputError: If the folder is not a whole policy, or LightGBM is needed and not installed.
    """

    feature_schema = KHALIL_SCHEMA

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder.resolve(), name
        self.card: PolicyCard = read_card(folder)
        kind = ModelKind(self.card.kind)
        if kind not in TRANSFORMS:
            raise InputError(f"{folder} holds a {kind}, which is no baseline; load it with load_policy")
        self._transform = TRANSFORMS[kind]
        self._predict = _text_predictor(folder, self.card) if kind is ModelKind.LAMBDA_MART else self._array_predictor()

    @property
    def candidate_set(self) -> CandidateSet:
        """The candidate set it was trained on."""
        return self.card.candidates

    def scores(self, state: BranchingState) -> FloatArray:
        """Return one score per candidate.

        Raises:
            InputError: If the state has no Khalil features.
        """
        if state.candidate_features is None:
            raise InputError(f"policy {self.name} reads {KHALIL_SCHEMA}, which this state lacks; ask for that schema")
        return self._predict(self._transform(state.candidate_features))

    def warm_up(self) -> None:
        """Score two made-up candidates, so that nothing is loaded or compiled at the first decision."""
        self._predict(self._transform(np.eye(2, N_KHALIL_FEATURES)))

    def __reduce__(self) -> tuple[type[BaselinePolicy], tuple[Path, str]]:
        return type(self), (self.folder, self.name)

    def _array_predictor(self) -> Predictor:
        arrays = read_weights(self.folder, self.card)
        names = (LINEAR_ARRAY,) if self.card.kind == ModelKind.SVM_RANK else TREE_ARRAYS
        lacking = [name for name in names if name not in arrays]
        if lacking:
            raise InputError(f"{self.folder}: the weights lack {', '.join(lacking)}; train the policy again")
        if self.card.kind == ModelKind.SVM_RANK:
            weights = arrays[LINEAR_ARRAY]
            return lambda features: np.asarray(features @ weights)
        trees: tuple[NDArray[Any], ...] = tuple(arrays[name] for name in TREE_ARRAYS)
        # scikit-learn compares features as float32 with thresholds as float64.
        return lambda features: np.asarray(_walk(features.astype(np.float32), *trees))


def _text_predictor(folder: Path, card: PolicyCard) -> Predictor:
    try:
        import lightgbm
    except ImportError:
        raise InputError("LambdaMART needs LightGBM; install gnn-branching[baselines]") from None
    try:
        booster = lightgbm.Booster(model_str=read_file(folder, card).decode())
    except (lightgbm.basic.LightGBMError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{folder / card.weights_file} is no model of LightGBM ({reason}); train it again") from None
    if booster.num_feature() != N_KHALIL_FEATURES:
        raise InputError(f"{folder} reads {booster.num_feature()} features, not {N_KHALIL_FEATURES}; train it again")
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
