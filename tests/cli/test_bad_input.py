"""Bad input at the command line: one line on stderr, exit code 2, never a traceback."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from gnn_branching.cli import main
from gnn_branching.shards import DatasetDescription, write_description


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """Run a command that must be refused; return its one line."""
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1
    assert captured.out == ""
    assert "Traceback" not in lines[0]
    return lines[0]


@pytest.fixture
def model(small_instances: Mapping[str, list[Path]]) -> Path:
    return small_instances["set-cover"][0]


def test_missing_and_malformed_models(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "does not exist" in refusal(capsys, "solve", tmp_path / "none.lp")
    bad = tmp_path / "bad.mps"
    bad.write_text("NAME x\nROWS\n N obj\n L c\nCOLUMNS\n  x zz 3\n")
    assert "Syntax error in line 6" in refusal(capsys, "solve", bad)
    bad = tmp_path / "bad.lp"
    bad.write_text("Minimize\n obj: x\nSubject To\n c1 x + + y >= \nfoo\n")
    assert "Syntax error in line 4" in refusal(capsys, "solve", bad)


def test_options_and_commands(capsys: pytest.CaptureFixture[str], model: Path) -> None:
    assert "Did you mean --node-limit" in refusal(capsys, "solve", model, "--nod-limit", "3")
    assert 'Did you mean "solve"' in refusal(capsys, "sovle", model)
    assert 'unable to convert "many" into int' in refusal(capsys, "solve", model, "--node-limit", "many")
    assert "node_limit = -3 must be zero or more" in refusal(capsys, "solve", model, "--node-limit", "-3")
    assert "neither one of paper, default" in refusal(capsys, "solve", model, "--settings", "fast")


def test_going_on_without_the_ecole_that_began(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ecole", None)
    (tmp_path / "dataset").mkdir()
    write_description(tmp_path / "dataset", DatasetDescription(recipe={"labelled_by": "ecole 0.10.0"}))
    line = refusal(capsys, "collect", "configs/demo.toml", "--out", tmp_path)
    assert "were begun by ecole 0.10.0: not installed: ecole" in line
    assert "gnn-branching install-ecole; or choose another folder" in line
    assert not (tmp_path / "instances").exists()


def test_policies(capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path) -> None:
    assert "'best'" in refusal(capsys, "solve", model, "--policy", "best")
    empty = tmp_path / "policy"
    empty.mkdir()
    assert "card.json" in refusal(capsys, "solve", model, "--policy", empty)


def test_configurations(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = tmp_path / "mine.toml"
    config.write_text("[training]\nlerning_rate = 1.0\n")
    line = refusal(capsys, "train-policy", config, "--out", tmp_path / "run")
    assert "unknown key 'training.lerning_rate'; did you mean 'learning_rate'?" in line
    assert "does not exist; start from one in configs/" in refusal(capsys, "train-policy", tmp_path / "none.toml")
    config.write_text("seed = 1\n")
    line = refusal(capsys, "train-policy", config, "--out", tmp_path / "run", "--set", "instances.family=set-cver")
    assert "unknown family 'set-cver'; did you mean 'set-cover'?" in line
    assert "--dataset" in refusal(capsys, "train-policy", config, "--dataset", tmp_path / "none")


def test_families_and_folders(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "did you mean 'set-cover'" in refusal(capsys, "generate", "set-cver", "--out", tmp_path)
    assert "it has easy, medium, hard" in refusal(capsys, "generate", "set-cover", "--size", "huge", "--out", tmp_path)
    assert "--n 0 must be 1 or more" in refusal(capsys, "generate", "set-cover", "--n", "0", "--out", tmp_path)
    assert "give either --family NAME or --instances" in refusal(capsys, "evaluate", "pscost")
    assert "does not exist" in refusal(capsys, "evaluate", "pscost", "--instances", tmp_path / "none")
    assert "does not exist" in refusal(capsys, "report", tmp_path / "none")
    assert "give one of liu2020" in refusal(capsys, "theory")


def test_json_is_flat_and_numeric(
    capsys: pytest.CaptureFixture[str], small_instances: Mapping[str, list[Path]], tmp_path: Path
) -> None:
    figures_file, solution = tmp_path / "figures.json", tmp_path / "best.sol"
    model = small_instances["combinatorial-auction"][1]
    arguments = ["solve", str(model), "--json", str(figures_file), "--solution", str(solution)]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "SCIP Status        : optimal" in out
    figures = json.loads(figures_file.read_text())
    assert figures["status"] == "optimal"
    assert (figures["settings"], figures["recipe"]) == ("default", False)
    assert all(isinstance(value, int | float) for key, value in figures.items() if key not in ("status", "settings"))
    assert f"{figures['primal_bound']:.9g}" == f"{float(solution.read_text().split()[2]):.9g}"


@pytest.mark.parametrize(
    "command", ["generate", "collect", "train-policy", "tune", "accelerate", "evaluate", "report", "solve", "doctor"]
)
def test_help_shows_an_example(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert main(["--help"]) == 0
    assert f"│ {command} " in capsys.readouterr().out
    assert main([command, "--help"]) == 0
    assert "Example:" in capsys.readouterr().out
