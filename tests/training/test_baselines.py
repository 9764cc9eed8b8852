"""Baselines learn what their features tell, are written without pickle, and predict as their libraries do."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gnn_branching.contracts import KHALIL_SCHEMA, CandidateSet, InputError, Policy, Sample
from gnn_branching.dataset.source import MemorySource
from gnn_branching.dataset.synthetic import random_sample
from gnn_branching.policy.baselines import (
    TRANSFORMS,
    BaselineKind,
    is_baseline,
    load_baseline,
    normalised,
    normalised_with_products,
    save_arrays,
    save_text,
)
from gnn_branching.training.baselines import (
    candidate_table,
    fit_extra_trees,
    fit_lambda_mart,
    fit_svm_rank,
    forest_arrays,
)
from gnn_branching.training.metrics import policy_accuracy

SOURCE = MemorySource([random_sample(seed) for seed in range(60)])
HELD_OUT = MemorySource([random_sample(seed) for seed in range(1000, 1060)])


def fit(kind: BaselineKind, folder: Path) -> Policy:
    transform = TRANSFORMS[kind]
    if kind is BaselineKind.LAMBDA_MART:
        save_text(folder, CandidateSet.LP, fit_lambda_mart(SOURCE, transform, seed=0, n_threads=1))
    else:
        trees = kind is BaselineKind.EXTRA_TREES
        arrays = (
            fit_extra_trees(SOURCE, transform, seed=0, n_threads=1)
            if trees
            else fit_svm_rank(SOURCE, transform, seed=0)
        )
        save_arrays(folder, kind, CandidateSet.LP, arrays)
    return load_baseline(folder)


@pytest.fixture(scope="module", params=list(BaselineKind))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("baseline")
    fit(request.param, path)
    return path


def test_learns_and_keeps_the_protocol(folder: Path) -> None:
    policy = load_baseline(folder)
    assert isinstance(policy, Policy)
    assert policy.feature_schema == KHALIL_SCHEMA
    assert policy.candidate_set is CandidateSet.LP
    assert (policy.name, load_baseline(folder, "other").name) == (folder.name, "other")
    state = SOURCE[0].state
    scores = policy.scores(state)
    assert scores.dtype == np.float64
    assert scores.shape == (state.n_candidates,)
    # A guess hits 1 in 8 (standard deviation 0.04).
    assert policy_accuracy(policy, HELD_OUT).acc_1 > 0.3


def test_two_loads_agree_and_files_hold_no_pickle(folder: Path) -> None:
    state = HELD_OUT[3].state
    assert np.array_equal(load_baseline(folder).scores(state), load_baseline(folder).scores(state))
    assert {path.suffix for path in folder.iterdir()} <= {".json", ".safetensors", ".txt"}
    assert is_baseline(folder)
    assert not is_baseline(folder.parent)


def test_candidates_permuted_permute_the_scores(folder: Path) -> None:
    state = HELD_OUT[5].state
    order = np.random.default_rng(0).permutation(state.n_candidates)
    assert state.candidate_features is not None
    permuted = replace(state, candidates=state.candidates[order], candidate_features=state.candidate_features[order])
    policy = load_baseline(folder)
    np.testing.assert_allclose(policy.scores(permuted), policy.scores(state)[order], rtol=1e-12, atol=1e-12)


def test_same_seed_same_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        fit(BaselineKind.EXTRA_TREES, tmp_path / name)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_a_damaged_or_foreign_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_baseline(tmp_path)
    save_arrays(tmp_path, BaselineKind.SVM_RANK, CandidateSet.LP, {"weights": np.ones(3)})
    (tmp_path / "baseline.safetensors").write_bytes(b"else")
    with pytest.raises(InputError, match=r"is not the file that baseline\.json names"):
        load_baseline(tmp_path)
    (tmp_path / "baseline.json").write_text(json.dumps({"format": "other"}))
    with pytest.raises(InputError, match="has format 'other'"):
        load_baseline(tmp_path)


def test_forest_walks_as_scikit_learn_predicts(tmp_path: Path) -> None:
    from sklearn.ensemble import ExtraTreesRegressor

    table = candidate_table(SOURCE, normalised, seed=0)
    forest = ExtraTreesRegressor(n_estimators=7, random_state=1).fit(table.features, table.shares)
    save_arrays(tmp_path, BaselineKind.EXTRA_TREES, CandidateSet.LP, forest_arrays(forest))
    policy = load_baseline(tmp_path)
    for i in range(10):
        features = HELD_OUT[i].state.candidate_features
        assert features is not None
        np.testing.assert_allclose(
            policy.scores(HELD_OUT[i].state), forest.predict(normalised(features)), rtol=1e-12, atol=1e-15
        )


def test_text_predicts_as_lightgbm(tmp_path: Path) -> None:
    import lightgbm

    text = fit_lambda_mart(SOURCE, normalised, seed=0, n_threads=1)
    save_text(tmp_path, CandidateSet.PSEUDO, text)
    features = HELD_OUT[0].state.candidate_features
    assert features is not None
    expected = lightgbm.Booster(model_str=text).predict(normalised(features), num_threads=1)
    assert np.array_equal(load_baseline(tmp_path).scores(HELD_OUT[0].state), expected)


def test_linear_ranker_is_a_dot_product(tmp_path: Path) -> None:
    features = HELD_OUT[0].state.candidate_features
    assert features is not None
    wide = normalised_with_products(features)
    assert wide.shape == (8, 72 + 72 * 73 // 2)
    weights = np.linspace(-1, 1, wide.shape[1])
    save_arrays(tmp_path, BaselineKind.SVM_RANK, CandidateSet.LP, {"weights": weights})
    np.testing.assert_allclose(
        load_baseline(tmp_path).scores(HELD_OUT[0].state), wide @ weights, rtol=1e-13, atol=1e-13
    )


def test_normalisation_is_per_tree_node() -> None:
    features = np.array([[1.0, 5.0, -2.0], [3.0, 5.0, 2.0], [2.0, 5.0, 0.0]])
    expected = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 1.0], [0.5, 0.0, 0.5]])
    np.testing.assert_array_equal(normalised(features), expected)
    np.testing.assert_allclose(normalised(features * [2, 3, 4] + 1), expected, rtol=1e-12, atol=1e-12)


def without_khalil(sample: Sample) -> Sample:
    return replace(sample, state=replace(sample.state, candidate_features=None))


def test_missing_features_are_named(folder: Path) -> None:
    bare = without_khalil(SOURCE[0])
    with pytest.raises(InputError, match="reads ecole-khalil-2016-1, which this state lacks"):
        load_baseline(folder).scores(bare.state)
    with pytest.raises(InputError, match=r"collect with collection\.khalil_features = true"):
        candidate_table(MemorySource([bare, bare]), normalised, seed=0)
    with pytest.raises(InputError, match="1 samples are too few"):
        candidate_table(MemorySource([SOURCE[0]]), normalised, seed=0)


def test_table_is_split_by_tree_node() -> None:
    table = candidate_table(SOURCE, normalised, seed=0)
    rest, held_out = table.split(0.2, np.random.default_rng(0))
    assert (len(rest.n_candidates), len(held_out.n_candidates)) == (48, 12)
    assert len(rest.features) == rest.n_candidates.sum()
    assert np.isclose(rest.features.sum() + held_out.features.sum(), table.features.sum(), rtol=1e-12)
    assert table.top_share(table.shares) == 1.0
