"""A linear ranking SVM on the candidates' features and the products of all pairs of them (Joachims 2002)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gnn_branching.contracts import FloatArray, InputError
from gnn_branching.libraries import imported
from gnn_branching.policy.baseline import Arrays, Baseline, Predictor
from gnn_branching.policy.candidate_table import (
    GOOD_SHARE,
    VALIDATION_SHARE,
    CandidateTable,
    Transform,
    normalised_with_products,
)
from gnn_branching.policy.card import PolicyCard
from gnn_branching.seeding import generator

LINEAR_ARRAY = "weights"
"""The array of a linear ranker."""
SVM_PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)
"""Values of C to choose from, as published."""
N_PAIRS_PER_TREE_NODE = 10
N_PAIRS_MOST = 20_000
"""Pairs the SVM is fitted on at most; with 2,700 features they take 0.4 GiB, and twice that in liblinear's format."""


class SvmRank(Baseline):
    """The ranker as a policy kind."""

    name = "svm-rank"
    library = "sklearn"

    def transform(self, features: FloatArray) -> FloatArray:
        """Add the products of all pairs, then normalise."""
        return normalised_with_products(features)

    def fit_features(self, features: FloatArray) -> FloatArray:
        """Return the features as they are: 250,000 candidates with 2,700 features each would take 5 GiB."""
        return features

    def fit_table(self, table: CandidateTable, *, seed: int, n_threads: int = -1) -> Arrays:
        """Fit a linear SVM on differences of good and other candidates; return ``weights``, (n_features,).

        The penalty is the one of ``SVM_PENALTIES`` that ranks held-out tree nodes best. Features are transformed one
        tree node at a time.
        """
        transform = self.transform
        machine_type = imported("baselines", "sklearn.svm").LinearSVC
        rng = generator(seed, "svm-rank")
        fitted, held_out = table.split(VALIDATION_SHARE, rng)
        differences = _differences(fitted, transform, rng)
        scale = np.sqrt(np.square(differences).mean(axis=0))
        scale[scale == 0] = 1.0
        differences /= scale
        signs = np.where(np.arange(len(differences)) % 2, 1.0, -1.0)
        best, best_share = np.zeros(len(scale)), -1.0
        for penalty in SVM_PENALTIES:
            machine = machine_type(C=penalty, fit_intercept=False, dual=False, tol=1e-3)
            machine.fit(differences * signs[:, None], signs)
            weights = machine.coef_[0] / scale
            share = held_out.top_share(np.concatenate([transform(part) @ weights for part in held_out.parts()]))
            if share > best_share:
                best, best_share = weights, share
        return {LINEAR_ARRAY: best}

    def predictor(self, folder: Path, card: PolicyCard) -> Predictor:
        """Read the weights."""
        weights = self.read_arrays(folder, card, (LINEAR_ARRAY,))[LINEAR_ARRAY]

        def predict(features: FloatArray) -> FloatArray:
            return np.asarray(features @ weights)

        return predict


def _differences(table: CandidateTable, transform: Transform, rng: np.random.Generator) -> FloatArray:
    """Return good minus other candidates of random pairs within random tree nodes, (n_pairs, n_features)."""
    ends = np.cumsum(table.n_candidates)
    parts, shares = table.parts(), np.split(table.shares, ends[:-1])
    differences: list[FloatArray] = []
    for number in rng.permutation(len(parts)):
        good = shares[number] >= GOOD_SHARE
        if good.all() or not good.any():
            continue
        features = transform(parts[number])
        first = rng.choice(np.flatnonzero(good), N_PAIRS_PER_TREE_NODE)
        second = rng.choice(np.flatnonzero(~good), N_PAIRS_PER_TREE_NODE)
        differences.append(features[first] - features[second])
        if len(differences) * N_PAIRS_PER_TREE_NODE >= N_PAIRS_MOST:
            break
    if len(differences) < 2:
        raise InputError("no tree node has both good and other candidates to rank; collect more samples")
    return np.concatenate(differences)


KIND = SvmRank()
