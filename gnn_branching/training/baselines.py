"""Fit the published baselines (Gasse et al. 2019, section 5.1) on candidates' features, to plain arrays and text.

What the features are put through is the caller's: ``policy.baselines`` applies the same function at work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnn_branching.config import ModelKind
from gnn_branching.contracts import FloatArray, IndexArray, InputError
from gnn_branching.dataset.source import SampleSource
from gnn_branching.seeding import derive_seed, generator

Transform = Callable[[FloatArray], FloatArray]
"""Maps the features of one tree node's candidates, (n_candidates, 72), to those a baseline reads."""

GOOD_SHARE = 0.8
"""A candidate is good if it has this share of the best score (Khalil et al. 2016)."""
N_GRADES = 15
"""LambdaMART's relevance of the best; the others have the rounded share of it."""
N_TREES = 100
MIN_SAMPLES_LEAF = 5
"""Candidates in a leaf of the forest; 1, as published, gives files of hundreds of megabytes and no better ranks."""
N_BOOSTING_ROUNDS = 500
EARLY_STOPPING_ROUNDS = 50
N_BOOSTING_LEAVES = 31
VALIDATION_SHARE = 0.1
"""Share of the tree nodes that early stopping and the choice of the penalty look at."""
SVM_PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)
"""Values of C to choose from, as published."""
N_PAIRS_PER_TREE_NODE = 10
N_PAIRS_MOST = 20_000
"""Pairs the SVM is fitted on at most; with 2,700 features they take 0.4 GiB, and twice that in liblinear's format."""
N_CANDIDATES_MOST = 250_000
"""Candidates a baseline is fitted on at most, as published."""

Fitted = dict[str, NDArray[Any]] | str
"""Arrays of a forest or a linear ranker by name, or LightGBM's text."""


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


def candidate_table(
    source: SampleSource, transform: Transform, *, seed: int, n_most: int = N_CANDIDATES_MOST
) -> CandidateTable:
    """Gather random tree nodes until ``n_most`` candidates are reached.

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
        if total >= n_most:
            break
    return CandidateTable(
        features=np.concatenate(features),
        shares=np.concatenate(shares),
        n_candidates=np.array([len(share) for share in shares]),
    )


def require_libraries(kind: ModelKind) -> None:
    """Import what fits a baseline, so that its absence is known before anything else is done.

    Raises:
        InputError: If the library is not installed.
    """
    _library("lightgbm" if kind is ModelKind.LAMBDA_MART else "sklearn", kind)


def _library(name: str, kind: ModelKind) -> ModuleType:
    try:
        return import_module(name)
    except (ImportError, OSError) as error:
        library = {"sklearn": "scikit-learn", "lightgbm": "LightGBM"}[name.partition(".")[0]]
        reason = " ".join(str(error).split())
        raise InputError(f"{kind!s} needs {library} ({reason}); install gnn-branching[baselines]") from None


def fit_baseline(
    kind: ModelKind, source: SampleSource, transform: Transform, *, seed: int, n_threads: int = -1
) -> tuple[Fitted, int]:
    """Fit a baseline; return it, and the number of samples it was fitted on.

    Args:
        kind: Which one.
        source: Training samples with Khalil features; as many random ones are used as ``N_CANDIDATES_MOST`` allows.
        transform: What the features are put through.
        seed: Of the choice of samples and of the fit.
        n_threads: Threads; -1 means all cores.

    Raises:
        InputError: If a library or the features are missing, or there are too few samples.
    """
    require_libraries(kind)
    if kind is ModelKind.SVM_RANK:
        raw = candidate_table(source, lambda features: features, seed=seed)
        return fit_svm_rank(raw, transform, seed=seed), len(raw.n_candidates)
    table = candidate_table(source, transform, seed=seed)
    fit = fit_lambda_mart if kind is ModelKind.LAMBDA_MART else fit_extra_trees
    return fit(table, seed=seed, n_threads=n_threads), len(table.n_candidates)


def fit_extra_trees(table: CandidateTable, *, seed: int, n_threads: int = -1) -> dict[str, NDArray[Any]]:
    """Fit extremely randomised trees (Geurts et al. 2006) to the shares; return them as flat arrays.

    Returns:
        ``roots`` per tree; ``features``, ``thresholds``, ``left`` (-1 at a leaf), ``right`` and ``values`` per node.
    """
    forest = _library("sklearn.ensemble", ModelKind.EXTRA_TREES).ExtraTreesRegressor(
        n_estimators=N_TREES,
        min_samples_leaf=MIN_SAMPLES_LEAF,
        random_state=derive_seed(seed, "extra-trees"),
        n_jobs=n_threads,
    )
    return forest_arrays(forest.fit(table.features, table.shares))


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


def fit_svm_rank(raw: CandidateTable, transform: Transform, *, seed: int) -> dict[str, NDArray[Any]]:
    """Fit a linear ranking SVM (Joachims 2002): a linear SVM on differences of good and other candidates.

    The penalty is the one of ``SVM_PENALTIES`` that ranks held-out tree nodes best. Features are transformed one tree
    node at a time: 250,000 candidates with 2,700 features each would take 5 GiB.

    Returns:
        ``weights``, float64, (n_features,), of the transformed features.
    """
    machine_type = _library("sklearn.svm", ModelKind.SVM_RANK).LinearSVC
    rng = generator(seed, "svm-rank")
    fitted, held_out = raw.split(VALIDATION_SHARE, rng)
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
    return {"weights": best}


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


def fit_lambda_mart(table: CandidateTable, *, seed: int, n_threads: int = -1) -> str:
    """Fit LambdaMART (Burges 2010) with LightGBM; stop when held-out ranks stop improving.

    Returns:
        The model in LightGBM's text format.
    """
    lightgbm = _library("lightgbm", ModelKind.LAMBDA_MART)
    fitted, held_out = table.split(VALIDATION_SHARE, generator(seed, "lambda-mart"))
    ranker = lightgbm.LGBMRanker(
        objective="lambdarank",
        n_estimators=N_BOOSTING_ROUNDS,
        num_leaves=N_BOOSTING_LEAVES,
        learning_rate=0.05,
        label_gain=[2**grade - 1 for grade in range(N_GRADES + 1)],
        random_state=derive_seed(seed, "lambda-mart"),
        n_jobs=n_threads,
        deterministic=True,
        force_row_wise=True,
        verbosity=-1,
    )
    ranker.fit(
        fitted.features,
        _grades(fitted),
        group=fitted.n_candidates,
        eval_X=held_out.features,
        eval_y=_grades(held_out),
        eval_group=[held_out.n_candidates],
        eval_at=[1],
        callbacks=[lightgbm.early_stopping(EARLY_STOPPING_ROUNDS, verbose=False)],
    )
    text: str = ranker.booster_.model_to_string(num_iteration=ranker.best_iteration_)
    return text


def _grades(table: CandidateTable) -> IndexArray:
    return np.rint(table.shares * N_GRADES).astype(np.int64)
