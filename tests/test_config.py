"""Configurations: complete files parse, anything unknown is one clear line."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from gnn_branching.config import ExperimentConfig, load_config, parse_config, parse_overrides, to_mapping
from gnn_branching.contracts import InputError

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.toml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_parses(path: Path) -> None:
    config = load_config(path)
    sections = {field.name for field in fields(ExperimentConfig)}
    assert set(tomllib.loads(path.read_text())) <= sections
    assert parse_config(to_mapping(config), source="again") == config


def test_defaults_are_the_published_protocol() -> None:
    config = ExperimentConfig()
    assert config.collection.expert_probability == 0.05
    assert (config.training.batch_size, config.training.valid_batch_size) == (32, 128)
    assert (config.training.patience, config.training.stop_patience, config.training.n_epochs) == (10, 20, 1000)
    assert config.training.learning_rate == 1e-3
    assert config.model.hidden_size == 64


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[trainig]\nloss='pairwise'\n", r"unknown section 'trainig'; did you mean 'training'\?"),
        ("[training]\nlerning_rate=1.0\n", r"unknown key 'training.lerning_rate'; did you mean 'learning_rate'\?"),
        ("[training]\nbatch_size=0\n", "training.batch_size = 0: input should be greater than or equal to 1"),
        ("[training]\nloss='hinge'\n", "training.loss = 'hinge': input should be 'cross-entropy'"),
        ("[training\n", "is not valid TOML"),
        ("seed = -1\n", "seed = -1: input should be greater than or equal to 0"),
    ],
)
def test_mistakes_get_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        load_config(path)
    assert "\n" not in str(caught.value)


def test_overrides(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[training]\nbatch_size = 8\n")
    config = load_config(
        path, ["training.batch_size=4", "seed=3", "training.loss=pairwise", 'instances.sizes=["easy"]']
    )
    assert (config.training.batch_size, config.seed, config.training.loss) == (4, 3, "pairwise")
    assert config.instances.sizes == ("easy",)
    with pytest.raises(InputError, match=r"--set 'seed' is not of the form section.key=value"):
        load_config(path, ["seed"])
    with pytest.raises(InputError, match=r"unknown key 'training.batch'; did you mean 'batch_size'"):
        load_config(path, ["training.batch=3"])
    with pytest.raises(InputError, match=r"none.toml does not exist; start from one in configs/"):
        load_config(tmp_path / "none.toml")


def test_settings_are_known_by_name_or_a_file() -> None:
    assert parse_overrides(["collection.settings=mine/recipe.set"]).collection.settings == "mine/recipe.set"
    with pytest.raises(InputError, match=r"^--set: collection: settings 'papr' are neither paper, default, nor a"):
        parse_overrides(["collection.settings=papr"])


def test_files_of_earlier_versions_stay_readable() -> None:
    old = {"collection": {"expert": "strong-branching", "settings": "default"}, "training": {"augmentation": "none"}}
    assert parse_config(old, source="old").collection.settings == "default"
    with pytest.raises(InputError, match=r"unknown key 'training\.augmentation'"):
        parse_config({"training": {"augmentation": "shift"}}, source="old")
