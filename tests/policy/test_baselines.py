"""Baselines learn what their features tell, are written without pickle, and predict as their libraries do."""

import json
import pickle
import shutil
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from gnn_branching.config import ExperimentConfig, ModelConfig, TrainingConfig
from gnn_branching.contracts import CandidateSet, InputError, Policy, Sample
from gnn_branching.dataset.source import MemorySource
from gnn_branching.dataset.synthetic import random_sample
from gnn_branching.feature_schema import KHALIL_SCHEMA, N_KHALIL_FEATURES
from gnn_branching.policy import load_policy
from gnn_branching.policy.baseline import Arrays, Baseline
from gnn_branching.policy.candidate_table import candidate_table, normalised, normalised_with_products
from gnn_branching.policy.card import CARD_FILE, read_card
from gnn_branching.policy.extra_trees import forest_arrays
from gnn_branching.policy.kind import FitRequest, get_kind
from gnn_branching.policy.save import write_policy
from gnn_branching.run_folder import RunFolder
from gnn_branching.training.metrics import policy_accuracy
from tests.policy.conftest import make_network
from tests.policy.conftest import save as save_gcnn

SOURCE = MemorySource([random_sample(seed) for seed in range(60)])
HELD_OUT = MemorySource([random_sample(seed) for seed in range(1000, 1060)])


BASELINES = ("extra-trees", "svm-rank", "lambda-mart")


def baseline(name: str) -> Baseline:
    kind = get_kind(name)
    assert isinstance(kind, Baseline)
    return kind


def save(folder: Path, kind: str, fitted: Arrays | str) -> Policy:
    packed = baseline(kind).pack(fitted, ExperimentConfig(model=ModelConfig(kind=kind)), {})
    write_policy(folder, packed, metrics={"test_acc_1": 0.5})
    return load_policy(folder)


def fit(kind: str, folder: Path) -> Policy:
    config = ExperimentConfig(model=ModelConfig(kind=kind), training=TrainingConfig(n_threads=1))
    run = RunFolder(path=folder.parent / f"{folder.name}-run")
    fitted = baseline(kind).fit(FitRequest(config=config, folder=run, train=SOURCE, valid=HELD_OUT))
    assert fitted.figures["n_fitted_samples"] == len(SOURCE)
    write_policy(folder, fitted, metrics={"test_acc_1": 0.5})
    return load_policy(folder)


@pytest.fixture(scope="module", params=BASELINES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("baseline") / "mine"
    fit(request.param, path)
    return path


def test_learns_and_keeps_the_protocol(folder: Path) -> None:
    policy = load_policy(folder)
    assert isinstance(policy, Policy)
    assert policy.feature_schema == KHALIL_SCHEMA
    assert policy.candidate_set is CandidateSet.LP
    assert policy.name == "mine"
    policy.warm_up()
    state = SOURCE[0].state
    scores = policy.scores(state)
    assert scores.dtype == np.float64
    assert scores.shape == (state.n_candidates,)
    # A guess hits 1 in 8 (standard deviation 0.04).
    assert policy_accuracy(policy, HELD_OUT).acc_1 > 0.3


def test_two_loads_agree_and_files_hold_no_pickle(folder: Path) -> None:
    state = HELD_OUT[3].state
    policy = load_policy(folder)
    assert np.array_equal(policy.scores(state), load_policy(folder).scores(state))
    assert np.array_equal(policy.scores(state), pickle.loads(pickle.dumps(policy)).scores(state))
    assert {path.name for path in folder.iterdir()} in ({CARD_FILE, "model.safetensors"}, {CARD_FILE, "model.txt"})


def test_card_says_what_it_is(folder: Path) -> None:
    card = read_card(folder)
    assert card.kind == card.architecture.kind == card.experiment["model"]["kind"]
    assert card.feature_schema == KHALIL_SCHEMA
    assert card.metrics == {"test_acc_1": 0.5}
    assert card.n_parameters > 0


def test_candidates_permuted_permute_the_scores(folder: Path) -> None:
    state = HELD_OUT[5].state
    order = np.random.default_rng(0).permutation(state.n_candidates)
    assert state.candidate_features is not None
    permuted = replace(state, candidates=state.candidates[order], candidate_features=state.candidate_features[order])
    policy = load_policy(folder)
    np.testing.assert_allclose(policy.scores(permuted), policy.scores(state)[order], rtol=1e-12, atol=1e-12)


def test_same_seed_same_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        fit("extra-trees", tmp_path / name)
    assert (tmp_path / "a" / CARD_FILE).read_bytes() == (tmp_path / "b" / CARD_FILE).read_bytes()
    assert read_card(tmp_path / "a").weights_sha256 == read_card(tmp_path / "b").weights_sha256


def test_damage_is_told_in_one_line(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    weights = copy / read_card(copy).weights_file
    weights.write_bytes(b"else")
    with pytest.raises(InputError, match="SHA-256"):
        load_policy(copy)
    card = json.loads((copy / CARD_FILE).read_text())
    (copy / CARD_FILE).write_text(json.dumps(card | {"weights_sha256": sha256(b"else").hexdigest()}))
    with pytest.raises(InputError, match=r"is no safetensors file|is no model of LightGBM"):
        load_policy(copy)


def test_arrays_of_another_baseline_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the weights lack roots, features"):
        save(tmp_path / "mixed", "extra-trees", {"weights": np.ones(3)})
    gcnn = tmp_path / "gcnn"
    save_gcnn(gcnn, make_network(ModelConfig(hidden_size=4)))
    with pytest.raises(InputError, match="holds a gcnn, which is no"):
        baseline("svm-rank").load(gcnn, "gcnn", "cpu")


@pytest.mark.parametrize(("kind", "module"), [("extra-trees", "sklearn"), ("lambda-mart", "lightgbm")])
def test_a_missing_library_is_named_with_the_remedy(kind: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf"not installed: {module}, .*gnn-branching\[baselines\]"):
        get_kind(kind).require_libraries()


def test_forest_walks_as_scikit_learn_predicts(tmp_path: Path) -> None:
    from sklearn.ensemble import ExtraTreesRegressor

    table = candidate_table(SOURCE, normalised, seed=0)
    forest = ExtraTreesRegressor(n_estimators=7, random_state=1).fit(table.features, table.shares)
    policy = save(tmp_path / "forest", "extra-trees", forest_arrays(forest))
    for i in range(10):
        features = HELD_OUT[i].state.candidate_features
        assert features is not None
        np.testing.assert_allclose(
            policy.scores(HELD_OUT[i].state), forest.predict(normalised(features)), rtol=1e-12, atol=1e-15
        )


def test_text_predicts_as_lightgbm(tmp_path: Path) -> None:
    import lightgbm

    text = baseline("lambda-mart").fit_table(candidate_table(SOURCE, normalised, seed=0), seed=0, n_threads=1)
    assert isinstance(text, str)
    policy = save(tmp_path / "boosted", "lambda-mart", text)
    features = HELD_OUT[0].state.candidate_features
    assert features is not None
    expected = lightgbm.Booster(model_str=text).predict(normalised(features), num_threads=1)
    assert np.array_equal(policy.scores(HELD_OUT[0].state), expected)


def test_linear_ranker_is_a_dot_product(tmp_path: Path) -> None:
    features = HELD_OUT[0].state.candidate_features
    assert features is not None
    wide = normalised_with_products(features)
    assert wide.shape == (8, N_KHALIL_FEATURES + N_KHALIL_FEATURES * (N_KHALIL_FEATURES + 1) // 2)
    weights = np.linspace(-1, 1, wide.shape[1])
    policy = save(tmp_path / "linear", "svm-rank", {"weights": weights})
    np.testing.assert_allclose(policy.scores(HELD_OUT[0].state), wide @ weights, rtol=1e-13, atol=1e-13)


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
        load_policy(folder).scores(bare.state)
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
