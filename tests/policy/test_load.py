import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from gnn_branching.config import ExperimentConfig, ModelConfig, to_mapping
from gnn_branching.contracts import FEATURE_SCHEMA, CandidateSet, InputError, Policy
from gnn_branching.feature_schema import made_up_state
from gnn_branching.policy import list_policies, load_policy
from gnn_branching.policy.card import CARD_FILE, WEIGHTS_FILE, read_card
from gnn_branching.policy.gcnn import load_network
from gnn_branching.policy.save import save_policy
from gnn_branching.policy.torch_runtime import TorchNetwork
from tests.policy.conftest import make_network, make_state, save


def test_scores_like_the_network_that_was_saved(tmp_path: Path) -> None:
    network = make_network(ModelConfig(hidden_size=12))
    policy, state = load_policy(str(save(tmp_path / "mine", network))), make_state()
    assert isinstance(policy, Policy)
    assert (policy.name, policy.feature_schema, policy.candidate_set) == ("mine", FEATURE_SCHEMA, CandidateSet.LP)
    policy.warm_up()
    expected = TorchNetwork(network).logits(state)
    np.testing.assert_allclose(policy.scores(state), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(TorchNetwork(load_network(tmp_path / "mine")).logits(state), expected, rtol=0, atol=0)


def test_card_says_where_it_came_from(policy_folder: Path) -> None:
    card = read_card(policy_folder)
    assert (card.family, card.sizes, card.seed) == ("set-cover", ("easy",), 0)
    assert card.architecture == ModelConfig(hidden_size=12)
    assert card.metrics == {"test_acc_1": 0.5}
    assert card.experiment["training"]["learning_rate"] == 1e-3
    assert "numpy" in card.versions["packages"]
    assert card.n_parameters == sum(parameter.numel() for parameter in load_network(policy_folder).parameters())


def test_pickled_policy_scores_the_same(policy_folder: Path) -> None:
    policy, state = load_policy(policy_folder), make_state()
    again = pickle.loads(pickle.dumps(policy))
    assert again.name == policy.name
    assert len(pickle.dumps(policy)) < 1000
    np.testing.assert_array_equal(again.scores(state), policy.scores(state))


def test_a_run_gives_its_policy_its_name(tmp_path: Path) -> None:
    save(tmp_path / "auction-run" / "policy", make_network(ModelConfig(hidden_size=12)))
    assert load_policy(tmp_path / "auction-run" / "policy").name == "auction-run"


def test_saving_replaces_and_leaves_nothing_else(policy_folder: Path) -> None:
    before = read_card(policy_folder).weights_sha256
    save(policy_folder, make_network(ModelConfig(hidden_size=12), seed=1))
    assert read_card(policy_folder).weights_sha256 != before
    assert [path.name for path in policy_folder.parent.iterdir()] == ["mine"]
    assert sorted(path.name for path in policy_folder.iterdir()) == [CARD_FILE, WEIGHTS_FILE]


def test_a_failed_save_keeps_what_was_there(policy_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    before = read_card(policy_folder)
    monkeypatch.setattr("gnn_branching.policy.save.write_durably", fail)
    with pytest.raises(InputError, match="no space is left"):
        save(policy_folder, make_network(ModelConfig(hidden_size=12), seed=1))
    assert read_card(policy_folder) == before
    assert [path.name for path in policy_folder.parent.iterdir()] == ["mine"]


def change_card(folder: Path, **changes: object) -> None:
    path = folder / CARD_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / CARD_FILE).unlink(), "card.json is missing"),
        (lambda folder: (folder / WEIGHTS_FILE).unlink(), "model.safetensors is missing"),
        (lambda folder: (folder / WEIGHTS_FILE).write_bytes(b"xyz"), "SHA-256"),
        (lambda folder: (folder / CARD_FILE).write_text("{"), "damaged or of another version"),
        (lambda folder: change_card(folder, seed="many"), "seed"),
        (lambda folder: change_card(folder, colour="red"), "colour"),
        (lambda folder: change_card(folder, feature_schema="other-2"), "feature schema 'other-2' is unknown"),
        (lambda folder: change_card(folder, kind="oracle"), "kind 'oracle' is unknown"),
        (lambda folder: change_card(folder, architecture={"hidden_size": 13}), "has shape"),
        (lambda folder: change_card(folder, architecture={"hidden_size": 12, "n_rounds": 2}), "lack 'to_rows.1"),
    ],
)
def test_damage_is_told_in_one_line(policy_folder: Path, damage: object, message: str) -> None:
    damage(policy_folder)
    with pytest.raises(InputError, match=message) as caught:
        load_policy(policy_folder)
    assert "\n" not in str(caught.value)


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="policy 'sett-cover' is neither a folder nor a known policy; known: "):
        load_policy("sett-cover")


def test_shipped_policies_load_and_are_small() -> None:
    for name, card in list_policies().items():
        policy = load_policy(name)
        assert policy.name == name
        assert np.isfinite(policy.scores(made_up_state(card.feature_schema))).all()
        assert card.metrics
        assert card.settings


def test_hub_address_is_fetched_and_loaded(policy_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def download(repository: str, allow_patterns: list[str]) -> str:
        asked.append(repository)
        return str(policy_folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert load_policy("hf://owner/name").name == "hf://owner/name"
    assert asked == ["owner/name"]


def test_an_unfitting_configuration_is_refused(tmp_path: Path) -> None:
    config = to_mapping(ExperimentConfig()) | {"colour": "red"}
    with pytest.raises(InputError, match="colour"):
        save_policy(tmp_path / "x", make_network(ModelConfig(hidden_size=12)), config=config, metrics={})
    assert not (tmp_path / "x").exists()
