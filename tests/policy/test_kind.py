"""Kinds are found by name, a user's own network is one of them, and what it sees is enforced."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from examples.own_network import KIND
from gnn_branching.cli import main
from gnn_branching.config import ExperimentConfig, ModelConfig, TrainingConfig, to_mapping
from gnn_branching.contracts import InputError, Policy
from gnn_branching.dataset.source import SeenSource
from gnn_branching.dataset.synthetic import random_source
from gnn_branching.diagnostics.advice.headline import RECORD
from gnn_branching.feature_schema import VARIABLE_FEATURES
from gnn_branching.pipeline import train_policy
from gnn_branching.policy import load_policy
from gnn_branching.policy.kind import FitRequest, get_kind, kind_names, register_kind
from gnn_branching.policy.network_kind import NetworkKind
from gnn_branching.policy.save import save_policy
from gnn_branching.run_folder import RunFolder
from gnn_branching.shards import open_dataset
from gnn_branching.subproblem import View
from gnn_branching.training.loop import train
from gnn_branching.training.metrics import policy_accuracy
from tests.dataset.shards import synthetic_dataset
from tests.training.toys import gcnn, same_weights, weights

BUILT_IN = ("gcnn", "extra-trees", "svm-rank", "lambda-mart")
TRAINING = TrainingConfig(loss="tie-aware", n_epochs=2, n_batches_per_epoch=0, batch_size=8, n_threads=1)


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_kind_is_known_by_its_name(name: str) -> None:
    assert get_kind(name).name == name
    assert name in kind_names()


def test_unknown_kinds_and_taken_names_are_refused() -> None:
    with pytest.raises(InputError, match=r"policy kind 'gccn' is unknown; did you mean 'gcnn'\?"):
        get_kind("gccn")
    for name in ("gcnn", "candidate-mlp"):
        with pytest.raises(InputError, match=f"policy kind '{name}' exists already"):
            register_kind(NetworkKind(name=name, build=KIND.build))
    assert register_kind(KIND) is KIND


def test_an_own_network_trains_saves_and_loads(tmp_path: Path) -> None:
    dataset = synthetic_dataset(tmp_path / "samples", {"train": 24, "valid": 10, "test": 10})
    training = replace(TRAINING, n_epochs=4)
    config = ExperimentConfig(model=ModelConfig(kind="candidate-mlp", hidden_size=8), training=training)
    folder = RunFolder(path=tmp_path / "run")
    figures = train_policy(config, folder, datasets=[dataset]).figures
    policy = load_policy(folder.policy)
    assert isinstance(policy, Policy)
    assert policy.card.kind == "candidate-mlp"
    assert policy.card.n_parameters == len(VARIABLE_FEATURES) * 8 + 8 + 8
    assert policy_accuracy(policy, open_dataset(dataset, "test")).acc_1 == figures["test_acc_1"]
    assert policy.card.headline.keys() == {"limited_by", "advice", "record"}
    assert policy.card.headline["record"] == RECORD
    assert folder.convergence.is_file()
    assert main(["diagnose", str(folder.path), "--dataset", str(dataset), "--samples", "4"]) == 0
    policy.warm_up()
    state = open_dataset(dataset, "test")[0].state
    order = np.random.default_rng(0).permutation(state.n_candidates)
    permuted = replace(state, candidates=state.candidates[order])
    np.testing.assert_allclose(policy.scores(permuted), policy.scores(state)[order], rtol=1e-6, atol=1e-6)


def test_training_sees_what_the_network_says(tmp_path: Path) -> None:
    """Weights that the card will call a subproblem's must have been trained on subproblems."""
    source, valid = random_source(16, seed=1), random_source(8, seed=2)
    found = []
    for name, wrap in (("plain", False), ("wrapped", True)):
        network = gcnn(graph="subproblem")
        samples = [SeenSource(part, View("subproblem")) if wrap else part for part in (source, valid)]
        train(network, *samples, TRAINING, seed=0, run_folder=tmp_path / name, display="none")
        found.append(weights(network))
    assert same_weights(*found)
    with pytest.raises(InputError, match=r"samples seen as .*'subproblem'.* cannot train a network that sees"):
        train(
            gcnn(), SeenSource(source, View("subproblem")), valid, TRAINING, seed=0, run_folder=tmp_path, display="none"
        )


def test_a_card_cannot_say_what_the_weights_were_not_trained_on(tmp_path: Path) -> None:
    source, valid = random_source(16, seed=1), random_source(8, seed=2)

    def trained(network: nn.Module, name: str, view: View | None = None) -> nn.Module:
        train(network, source, valid, TRAINING, seed=0, run_folder=tmp_path / name, display="none", view=view)
        return network

    said = to_mapping(ExperimentConfig(model=ModelConfig(kind="candidate-mlp", hidden_size=8, graph="subproblem")))
    silent = trained(KIND.build(ModelConfig(hidden_size=8)), "silent")
    with pytest.raises(InputError, match=r"trained on View\(graph='lp'.*its card would say View\(graph='subproblem'"):
        save_policy(tmp_path / "policy", silent, config=said, metrics={})
    assert not (tmp_path / "policy").exists()
    shown = trained(KIND.build(ModelConfig(hidden_size=8)), "shown", View("subproblem"))
    assert save_policy(tmp_path / "policy", shown, config=said, metrics={}).architecture.graph == "subproblem"
    with pytest.raises(InputError, match=r"says that it sees View\(graph='subproblem'.*trained on View\(graph='lp'"):
        trained(gcnn(graph="subproblem"), "contradiction", View("lp"))
    with pytest.raises(InputError, match="holds a training with view = "):
        trained(KIND.build(ModelConfig(hidden_size=8)), "shown", View("lp"))


def test_a_fit_takes_no_more_passes_than_there_is_time_for(tmp_path: Path) -> None:
    source = random_source(24)
    config = ExperimentConfig(
        model=ModelConfig(hidden_size=4), training=TrainingConfig(n_epochs=3, n_batches_per_epoch=2, n_threads=1)
    )

    def passes(name: str, seconds: float | None) -> float:
        folder = RunFolder(path=tmp_path / name)
        request = FitRequest(config=config, folder=folder, train=source, valid=source, seconds=seconds)
        return get_kind("gcnn").fit(request).figures["n_epochs"]

    assert passes("ample", 3600.0) == passes("unbounded", None) == 3
    assert passes("short", -1.0) == 1
    assert not (tmp_path / "unbounded" / "passes.json").exists()
    assert passes("short", 3600.0) == 1, "what was decided stays, so that an interrupted training can go on"
