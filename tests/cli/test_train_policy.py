"""``train-policy`` on samples that are there, as a user types it; the solver has no part in it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gnn_branching.cli import main
from gnn_branching.feature_schema import KHALIL_SCHEMA
from gnn_branching.pipeline import read_experiment
from gnn_branching.policy import load_policy
from gnn_branching.policy.card import read_card
from gnn_branching.shards import open_dataset
from gnn_branching.training.metrics import policy_accuracy
from tests.dataset.shards import synthetic_dataset

CONFIG = """
seed = 1

[collection]
n_train_samples = 24
n_valid_samples = 10
n_test_samples = 10

[model]
hidden_size = 8

[training]
loss = "tie-aware"
batch_size = 8
n_epochs = 2
n_batches_per_epoch = 0
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(CONFIG)
    return path


def run(config: Path, out: Path, *arguments: str | Path) -> dict[str, float]:
    """Train, and return the figures."""
    figures = out.with_suffix(".json")
    assert main(["train-policy", str(config), "--out", str(out), "--json", str(figures), *map(str, arguments)]) == 0
    values: dict[str, float] = json.loads(figures.read_text())
    assert all(isinstance(value, int | float) for value in values.values())
    return values


def test_several_datasets_and_their_first_samples(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = synthetic_dataset(tmp_path / "first", {"train": 30, "valid": 10, "test": 10})
    second = synthetic_dataset(tmp_path / "second", {"train": 20}, seed=2, settings="default")
    both = run(config, tmp_path / "both", "--dataset", first, "--dataset", second)
    assert both["n_train_samples"] == 24 + 20
    messages = capsys.readouterr().err
    assert f"{first}: the first 24 of 30 train samples" in messages
    assert f"{second}: holds only 20 train samples" in messages
    card = read_card(tmp_path / "both" / "policy")
    assert [trained["n_samples"] for trained in card.trained_on] == [24, 20]
    assert card.settings == ("paper", "default")
    few = run(config, tmp_path / "few", "--dataset", first, "--set", "collection.n_train_samples=16")
    assert few["n_train_samples"] == 16
    assert (tmp_path / "few" / "policy" / "model.safetensors").is_file()


def test_a_measured_learning_rate_is_kept(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = synthetic_dataset(tmp_path / "samples", {"train": 24, "valid": 10, "test": 10})
    out = tmp_path / "run"
    first = run(config, out, "--dataset", dataset, "--lr", "auto")
    stored = json.loads((out / "learning-rate.json").read_text())
    tried = [trial["rate"] for trial in stored["tried"]]
    assert min(tried) <= stored["rate"] <= max(tried)
    assert first["learning_rate"] == stored["rate"]
    assert json.loads((out / "config.json").read_text())["training"]["learning_rate"] == stored["rate"]
    # What was measured is taken, not measured again: another rate in the file is believed.
    (out / "learning-rate.json").write_text(json.dumps(stored | {"rate": 2e-3}))
    shutil.rmtree(out / "checkpoints")
    assert run(config, out, "--dataset", dataset, "--lr", "auto")["learning_rate"] == 2e-3
    capsys.readouterr()
    other = ["--dataset", str(dataset), "--lr", "auto", "--set", "training.batch_size=4"]
    assert main(["train-policy", str(config), "--out", str(out), *other]) == 2
    assert "was measured with batch_size = 8, not 4" in capsys.readouterr().err
    assert run(config, tmp_path / "given", "--dataset", dataset, "--lr", "2e-3")["learning_rate"] == 2e-3


@pytest.mark.parametrize("graph", ["lp", "subproblem"])
def test_the_policy_sees_what_the_training_saw(config: Path, tmp_path: Path, graph: str) -> None:
    dataset = synthetic_dataset(tmp_path / "samples", {"train": 24, "valid": 10, "test": 10})
    figures = run(config, tmp_path / "run", "--dataset", dataset, "--set", f"model.graph={graph}")
    policy = load_policy(tmp_path / "run" / "policy")
    assert policy.card.architecture.graph == graph
    # The figures of the test samples are the policy's, those of the validation samples the training's.
    measured = policy_accuracy(policy, open_dataset(dataset, "valid"))
    assert (measured.acc_1, measured.acc_5) == pytest.approx((figures["valid_acc_1"], figures["valid_acc_5"]))
    assert main(["diagnose", str(tmp_path / "run"), "--dataset", str(dataset), "--samples", "4"]) == 0


def test_stopping_by_pl_star(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = synthetic_dataset(tmp_path / "samples", {"train": 24, "valid": 10, "test": 10})
    arguments = ["--dataset", dataset, "--set", "training.n_epochs=6", "--stop", "pl-star"]
    arguments += ["--set", "training.stop_epsilon=10.0"]
    figures = run(config, tmp_path / "run", *arguments)
    assert (figures["n_epochs"], figures["stopped_early"]) == (1, 1)
    assert "stopped early (excess loss" in capsys.readouterr().err
    again = run(config, tmp_path / "run", *arguments)
    assert again == figures
    # Without the rule it goes on from there.
    assert run(config, tmp_path / "run", *arguments[:4])["n_epochs"] == 6


@pytest.mark.slow
def test_two_processes(config: Path, tmp_path: Path) -> None:
    dataset = synthetic_dataset(tmp_path / "samples", {"train": 24, "valid": 10, "test": 10})
    arguments = ["--dataset", dataset, "--stop", "pl-star", "--set", "training.device=cpu"]
    alone = run(config, tmp_path / "alone", *arguments)
    both = run(config, tmp_path / "both", *arguments, "--set", "training.n_devices=2")
    assert both["n_epochs"] == alone["n_epochs"] == 2
    assert both["valid_loss"] == pytest.approx(alone["valid_loss"], rel=1e-3)


@pytest.mark.parametrize("kind", ["extra-trees", "svm-rank", "lambda-mart"])
def test_a_baseline_by_the_same_command(config: Path, tmp_path: Path, kind: str) -> None:
    dataset = synthetic_dataset(tmp_path / "samples", {"train": 24, "valid": 10, "test": 10})
    figures = run(config, tmp_path / "run", "--dataset", dataset, "--set", f"model.kind={kind}")
    assert figures["n_fitted_samples"] == figures["n_train_samples"] == 24
    assert 0 <= figures["valid_acc_1"] <= figures["valid_acc_10"] <= 1
    policy = load_policy(tmp_path / "run" / "policy")
    assert policy.feature_schema == KHALIL_SCHEMA
    assert figures["test_acc_1"] == policy_accuracy(policy, open_dataset(dataset, "test")).acc_1


def test_a_baseline_asks_for_its_features(config: Path) -> None:
    assert not read_experiment(config).collection.khalil_features
    assert read_experiment(config, ["model.kind=svm-rank"]).collection.khalil_features
