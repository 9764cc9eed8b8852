"""The main job end to end, as a user types it: instances, samples, network, policy, comparison, report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gnn_branching.cli import main

CONFIG = """
seed = 3

[instances]
family = "combinatorial-auction"
sizes = ["easy"]
n_train = 6
n_valid = 2
n_test = 2

[collection]
n_train_samples = 40
n_valid_samples = 10
n_test_samples = 10
expert_probability = 0.5
n_samples_per_episode = 8

[model]
hidden_size = 16

[training]
loss = "tie-aware"
schedule = "one-cycle"
learning_rate = 4e-3
batch_size = 8
n_epochs = 3
n_batches_per_epoch = 0
"""


@pytest.mark.slow
def test_from_nothing_to_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "tiny.toml"
    config.write_text(CONFIG)
    run = tmp_path / "run"
    training = ["train-policy", str(config), "--out", str(run), "--no-verdict"]
    assert main([*training, "--json", str(tmp_path / "train.json")]) == 0
    figures = json.loads((tmp_path / "train.json").read_text())
    assert figures["n_train_samples"] == 40
    assert 0 <= figures["test_acc_1"] <= figures["test_acc_5"] <= 1
    weights = (run / "policy" / "model.safetensors").read_bytes()
    # Run again: nothing is collected or trained anew.
    assert main(training) == 0
    assert (run / "policy" / "model.safetensors").read_bytes() == weights
    family = ["--family", "combinatorial-auction", "--n", "2", "--seeds", "1", "--trees", "1", "--agreement", "1"]
    evaluation = run / "evaluation"
    assert main(["evaluate", str(run / "policy"), *family, "--out", str(evaluation)]) == 0
    for name in ("results.parquet", "summary.json", "report.html"):
        assert (evaluation / name).stat().st_size > 0
    assert main(["report", str(run)]) == 0
    page = (run / "report.html").read_text()
    assert "relpscost" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    model = next((evaluation / "instances").glob("*.lp.gz"))
    capsys.readouterr()
    assert main(["solve", str(model), "--policy", str(run / "policy")]) == 0
    out = capsys.readouterr().out
    assert "SCIP Status        : optimal" in out
    assert "Learned decisions" in out
