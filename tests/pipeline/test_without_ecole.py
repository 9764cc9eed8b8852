"""From nothing to a policy and its evaluation where there is no Ecole."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gnn_branching.collection import inspect_dataset
from gnn_branching.instances import read_manifest
from gnn_branching.instances.generators import OWN
from gnn_branching.policy import load_policy
from gnn_branching.solver.ecole_module import scip_name

CONFIG = """
seed = 3
[instances]
family = "tiny-cover"
n_train = 4
n_valid = 2
n_test = 2
[collection]
n_train_samples = 12
n_valid_samples = 4
n_test_samples = 4
expert_probability = 0.5
n_samples_per_episode = 4
khalil_features = true
[model]
hidden_size = 8
[training]
n_epochs = 2
n_batches_per_epoch = 4
"""


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.pipeline.without_ecole", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)


@pytest.mark.slow
def test_collecting_training_and_evaluating_without_ecole(tmp_path: Path) -> None:
    config, folder = tmp_path / "tiny.toml", tmp_path / "run"
    config.write_text(CONFIG)
    trained = run("train-policy", config, "--out", folder, "--no-verdict", "--workers", "1")
    assert trained.returncode == 0, trained.stderr
    notices = [line for line in trained.stderr.splitlines() if "ecole" in line.lower()]
    assert notices == [f"without Ecole: SCIP's own strong branching labels ({scip_name()}), with the same scores"]
    splits = ("train", "valid", "test")
    manifests = [read_manifest(folder / "instances" / split, verify=True) for split in splits]
    assert {file.generator for manifest in manifests for file in manifest.instances} == {OWN}
    summary = inspect_dataset(folder / "dataset")
    assert summary.all_problems == ()
    assert [summary.splits[split].n_samples for split in splits] == [12, 4, 4]
    recipe = load_policy(folder / "policy").card.trained_on[0]["recipe"]
    assert (recipe["labelled_by"], recipe["generated_by"]) == (scip_name(), OWN)
    options = ("--family", "tiny-cover", "--n", "1", "--seeds", "1", "--settings", "paper", "--workers", "1")
    evaluated = run("evaluate", folder / "policy", *options, "--out", tmp_path / "evaluation")
    assert evaluated.returncode == 0, evaluated.stderr
    assert "ecole" not in evaluated.stderr.lower()
    assert json.loads((tmp_path / "evaluation" / "summary.json").read_text())
