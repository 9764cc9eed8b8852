"""Folders that an earlier version wrote, before guards, recipes and the search's features, are read by this one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("torch")

from gnn_branching.cli import main
from gnn_branching.policy import load_policy
from gnn_branching.policy.card import read_card
from gnn_branching.solver.ecole_module import write_generated
from tests.conftest import SMALL_FAMILIES

ONE_THREAD = ("--set", "training.n_threads=1")
EARLIER = Path(__file__).parent / "data" / "earlier"
"""A run of twelve models, whose files are gone, and an evaluation of its policy on two others."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EARLIER, tmp_path / "earlier"))


def figures(path: Path) -> dict[str, float]:
    return dict(json.loads(path.read_text()))


def test_a_finished_run_is_finished(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "models").mkdir()
    for seed in range(12):
        write_generated(*SMALL_FAMILIES["set-cover"], seed, folder / "models" / f"model-{seed:02d}.lp")
    monkeypatch.chdir(folder)
    run, said = folder / "run", folder / "figures.json"
    weights = (run / "policy" / "model.safetensors").read_bytes()
    command = ["train-policy", folder / "own.toml", "--out", run, "--no-verdict", "--json", said]
    assert main([str(part) for part in command]) == 0
    assert (run / "policy" / "model.safetensors").read_bytes() == weights
    assert figures(said)["best_epoch"] == 2


def test_its_samples_train_the_same_network_again(folder: Path) -> None:
    command = [
        "train-policy",
        folder / "own.toml",
        *ONE_THREAD,
        "--dataset",
        folder / "run" / "dataset",
        "--out",
        folder / "again",
    ]
    assert main([str(part) for part in [*command, "--no-verdict"]]) == 0
    before, after = (
        [json.loads(line)["valid_loss"] for line in (folder / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("run", "again")
    )
    assert len(before) == 2
    assert after == pytest.approx(before, rel=1e-5)


def test_its_policy_is_one_still(folder: Path) -> None:
    policy = folder / "run" / "policy"
    assert load_policy(policy).feature_schema == "ecole-node-bipartite-1"
    card = read_card(policy)
    assert (card.verdict, card.recipe) == (None, None)
    assert card.settings == ()  # cards did not say yet


def test_it_is_diagnosed_and_reported(folder: Path) -> None:
    assert main(["diagnose", str(folder / "run")]) == 0
    assert main(["report", str(folder / "run")]) == 0
    assert (folder / "run" / "report.html").is_file()


def test_its_evaluation_is_reported(folder: Path) -> None:
    evaluation = folder / "evaluation"
    assert main(["report", str(evaluation)]) == 0
    report = (evaluation / "report.md").read_text()
    for rule in ("mine", "relpscost", "pscost"):
        assert f"| default | {rule} | 2/2 |" in report
