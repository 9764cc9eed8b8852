"""Extremely randomised trees that regress the expert's score (Geurts et al. 2006)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gnn_branching.contracts import FloatArray
from gnn_branching.libraries import imported
from gnn_branching.policy.baseline import Arrays, Baseline, Predictor
from gnn_branching.policy.candidate_table import CandidateTable
from gnn_branching.policy.card import PolicyCard
from gnn_branching.seeding import derive_seed

N_TREES = 100
MIN_SAMPLES_LEAF = 5
"""Candidates in a leaf of the forest; 1, as published, gives files of hundreds of megabytes and no better ranks."""
TREE_ARRAYS = ("roots", "features", "thresholds", "left", "right", "values")
"""Arrays of a forest: first node per tree, then per node (``left`` is -1 at a leaf), all trees one after the other."""


class ExtraTrees(Baseline):
    """The forest as a policy kind."""

    name = "extra-trees"
    library = "sklearn"

    def fit_table(self, table: CandidateTable, *, seed: int, n_threads: int = -1) -> Arrays:
        """Fit to the shares of the best score; return the trees as flat arrays, ``TREE_ARRAYS``."""
        forest = imported("baselines", "sklearn.ensemble").ExtraTreesRegressor(
            n_estimators=N_TREES,
            min_samples_leaf=MIN_SAMPLES_LEAF,
            random_state=derive_seed(seed, "extra-trees"),
            n_jobs=n_threads,
        )
        return forest_arrays(forest.fit(table.features, table.shares))

    def predictor(self, folder: Path, card: PolicyCard) -> Predictor:
        """Read the trees."""
        arrays = self.read_arrays(folder, card, TREE_ARRAYS)
        trees = tuple(arrays[name] for name in TREE_ARRAYS)

        def predict(features: FloatArray) -> FloatArray:
            # scikit-learn compares features as float32 with thresholds as float64.
            return np.asarray(_walk(features.astype(np.float32), *trees))

        return predict


def forest_arrays(forest: Any) -> dict[str, NDArray[Any]]:
    """Lay the trees of a scikit-learn forest one after the other."""
    trees = [estimator.tree_ for estimator in forest.estimators_]
    roots = np.cumsum([0, *(tree.node_count for tree in trees)])[:-1]

    def children(name: str) -> NDArray[np.int32]:
        parts = [getattr(tree, name) for tree in trees]
        shifted = [np.where(part < 0, -1, part + root) for part, root in zip(parts, roots, strict=True)]
        return np.concatenate(shifted).astype(np.int32)

    return {
        "roots": roots.astype(np.int32),
        "features": np.concatenate([np.maximum(tree.feature, 0) for tree in trees]).astype(np.uint8),
        "thresholds": np.concatenate([tree.threshold for tree in trees]),
        "left": children("children_left"),
        "right": children("children_right"),
        "values": np.concatenate([tree.value[:, 0, 0] for tree in trees]),
    }


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


KIND = ExtraTrees()
