"""Candidates' own features (Khalil et al. 2016): what the published baselines are fitted on, tree node by tree node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gnn_branching.contracts import FloatArray, IndexArray, InputError
from gnn_branching.seeding import generator

if TYPE_CHECKING:
    from gnn_branching.dataset.source import SampleSource

Transform = Callable[[FloatArray], FloatArray]
"""Maps the features of one tree node's candidates, (n_candidates, n_features), to those a baseline reads."""

GOOD_SHARE = 0.8
"""A candidate is good if it has this share of the best score (Khalil et al. 2016)."""
VALIDATION_SHARE = 0.1
"""Share of the tree nodes that early stopping and the choice of the penalty look at."""
N_CANDIDATES_MOST = 250_000
"""Candidates a baseline is fitted on at most, as published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateTable:
    """Candidates of many tree nodes, one after the other.

    Args:
        features: float64, (n_total, n_features).
        shares: float64, (n_total,): score over the tree node's highest, in [0, 1]; 0 where that is 0.
        n_candidates: int64, (n_tree_nodes,): candidates per tree node.
    """

    features: FloatArray
    shares: FloatArray
    n_candidates: IndexArray

    def parts(self) -> list[FloatArray]:
        """Return the features per tree node."""
        return np.split(self.features, np.cumsum(self.n_candidates)[:-1])

    def split(self, share: float, rng: np.random.Generator) -> tuple[CandidateTable, CandidateTable]:
        """Split by tree node into a rest and a random ``share``, at least one tree node each."""
        n = len(self.n_candidates)
        held_out = np.zeros(n, dtype=bool)
        held_out[rng.permutation(n)[: min(max(1, round(share * n)), n - 1)]] = True
        return self._only(~held_out), self._only(held_out)

    def top_share(self, predictions: FloatArray) -> float:
        """Return the share of tree nodes whose highest prediction is at one of the best candidates."""
        ends = np.cumsum(self.n_candidates)[:-1]
        pairs = zip(np.split(predictions, ends), np.split(self.shares, ends), strict=True)
        return float(np.mean([share[prediction.argmax()] == share.max() for prediction, share in pairs]))

    def _only(self, tree_nodes: NDArray[np.bool_]) -> CandidateTable:
        rows = np.repeat(tree_nodes, self.n_candidates)
        return CandidateTable(
            features=self.features[rows], shares=self.shares[rows], n_candidates=self.n_candidates[tree_nodes]
        )


def candidate_table(source: SampleSource, transform: Transform, *, seed: int) -> CandidateTable:
    """Gather random tree nodes until ``N_CANDIDATES_MOST`` candidates are reached.

    Raises:
        InputError: If a sample has no Khalil features, or there are fewer than 2 samples.
    """
    if len(source) < 2:
        raise InputError(f"{len(source)} samples are too few for a baseline; collect at least 2")
    features: list[NDArray[Any]] = []
    shares: list[FloatArray] = []
    total = 0
    for index in generator(seed, "candidate-table").permutation(len(source)):
        sample = source[int(index)]
        if sample.state.candidate_features is None:
            raise InputError(
                "the dataset has no Khalil features, which a baseline reads; collect with "
                "collection.khalil_features = true"
            )
        features.append(transform(sample.state.candidate_features))
        shares.append(sample.scores / (sample.scores.max() or 1.0))
        total += len(sample.scores)
        if total >= N_CANDIDATES_MOST:
            break
    return CandidateTable(
        features=np.concatenate(features),
        shares=np.concatenate(shares),
        n_candidates=np.array([len(share) for share in shares]),
    )


def normalised(features: FloatArray) -> FloatArray:
    """Stretch each column to [0, 1] over the candidates of one tree node (Khalil et al. 2016); constants become 0."""
    lowest = features.min(axis=0)
    span = features.max(axis=0) - lowest
    return np.asarray((features - lowest) / np.where(span > 0, span, 1.0))


def normalised_with_products(features: FloatArray) -> FloatArray:
    """Add the products of all pairs of columns, then normalise: the features of the published SVM ranker."""
    first, second = np.triu_indices(features.shape[1])
    return normalised(np.hstack([features, features[:, first] * features[:, second]]))
