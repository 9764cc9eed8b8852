"""From a folder of models to a policy with a verdict, with real solves; small, and interrupted."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from gnn_branching.cli import main
from gnn_branching.config import ExperimentConfig
from gnn_branching.contracts import InputError
from gnn_branching.durable import write_durably
from gnn_branching.pipeline import Budget, fit_to_budget, judge, read_experiment
from gnn_branching.pipeline.budget import LEAST_TRAIN_SAMPLES, MOST_HELD_OUT, MOST_TRAIN_SAMPLES, _counts
from gnn_branching.policy.card import CARD_FILE, PolicyCard, Verdict, read_card
from gnn_branching.run_folder import RunFolder
from tests.solver.probe import probe

QUICK = [
    "collection.n_train_samples=20",
    "collection.n_valid_samples=6",
    "collection.n_test_samples=6",
    "collection.expert_probability=0.5",
    "training.n_epochs=2",
    "model.hidden_size=16",
]
LOST = Verdict(
    verdict="slower",
    preset="guarded",
    baseline="relpscost",
    settings="default",
    time_ratio=1.8,
    time_ratio_low=1.4,
    time_ratio_high=2.3,
    nodes_ratio=2.0,
    n_pairs=12,
    n_instances=6,
    time_limit_seconds=60.0,
)


@pytest.fixture(scope="module")
def trained(bushy_instances: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train on a folder of one's own, as the README says, but for the numbers."""
    place = tmp_path_factory.mktemp("own")
    (place / "models").mkdir()
    for path in bushy_instances[:10]:
        shutil.copy(path, place / "models")
    sets = [word for value in QUICK for word in ("--set", value)]
    command = ["train-policy", "--instances", str(place / "models"), "--out", str(place / "run"), *sets]
    assert main([*command, "--json", str(place / "figures.json")]) == 0
    return place


def test_the_card_and_the_figures_have_the_verdict(trained: Path) -> None:
    card = read_card(trained / "run" / "policy")
    assert card.verdict is not None
    assert card.verdict.n_pairs == 12
    assert card.verdict.settings == "default"
    assert card.verdict.time_ratio is not None
    assert card.ranges is not None
    assert card.architecture.search == "head"
    assert (card.verdict.expert_nodes_ratio is None) == (card.verdict.n_expert == 0)
    figures = json.loads((trained / "figures.json").read_text())
    assert figures["verdict"] == card.verdict.verdict
    for name in ("time_ratio", "time_ratio_low", "time_ratio_high", "nodes_ratio"):
        assert figures[name] == getattr(card.verdict, name)
    assert card.verdict.time_ratio_low <= card.verdict.time_ratio <= card.verdict.time_ratio_high  # type: ignore[operator]


def test_only_what_was_held_back_is_solved_and_nothing_twice(trained: Path) -> None:
    folder = RunFolder(path=trained / "run")
    rows = [json.loads(path.read_text())["record"] for path in folder.verdict.glob("*.json")]
    train = {
        Path(entry["path"]).name
        for entry in json.loads(next(folder.instances.glob("train/*.json")).read_text())["instances"]
    }
    experts = [row for row in rows if row["policy"] == "expert"]
    assert len(rows) - len(experts) == 36
    assert len(experts) <= 4
    assert not train & {Path(row["instance"]).name for row in rows}
    before = {path: path.stat().st_mtime_ns for path in folder.verdict.glob("*.json")}
    config = read_experiment(None, QUICK, instances=trained / "models")
    card = read_card(folder.policy)
    assert judge(config, folder, card) == card.verdict
    next(iter(before)).unlink()  # an interrupt loses the solve at hand alone
    assert judge(config, folder, card) is not None
    after = {path: path.stat().st_mtime_ns for path in folder.verdict.glob("*.json")}
    assert after.keys() == before.keys()
    assert sum(after[path] != before[path] for path in after) == 1


def test_without_time_or_instances_there_is_none(trained: Path, tmp_path: Path) -> None:
    card = read_card(trained / "run" / "policy")
    config = ExperimentConfig()
    assert judge(config, RunFolder(path=tmp_path), card) is None


def test_a_policy_that_lost_does_not_branch_unless_forced(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = tmp_path / "mine"
    shutil.copytree(trained / "run" / "policy", policy)
    card = read_card(policy)
    write_durably(policy / CARD_FILE, replace(card, verdict=LOST).to_json().encode())
    models = (trained / "models").iterdir()
    model = max(models, key=lambda path: probe(path, lambda *_: None, settings="default"))
    decisions = []
    for options in ([], ["--force"]):
        figures = tmp_path / "figures.json"
        assert main(["solve", str(model), "--policy", str(policy), "--json", str(figures), *options]) == 0
        values = json.loads(figures.read_text())
        decisions.append(values["n_decisions"] + values["n_fallbacks"])
        said = capsys.readouterr().err
        if options:
            assert said == ""
        else:
            assert f"note: policy {policy} is slower: 1.80 [1.40, 2.30] of the time of relpscost under default" in said
            assert "SCIP's relpscost branches instead (--force uses the policy)" in said
    assert decisions[0] == 0
    assert decisions[1] > 0


def test_a_verdict_says_what_it_knows() -> None:
    assert str(LOST) == (
        "slower: 1.80 [1.40, 2.30] of the time of relpscost under default settings, used as guarded, "
        "on 6 instances held back (12 pairs)"
    )
    single = replace(LOST, time_ratio_low=None, time_ratio_high=None, verdict="no-difference")
    assert str(single).startswith("no-difference: 1.80 of the time")
    assert str(replace(LOST, time_ratio=None)) == "no pair of solves to compare with relpscost"
    assert LOST.about_expert == ""
    near = replace(LOST, expert_nodes_ratio=1.02, n_expert=3)
    assert near.about_expert == (
        "its trees are 1.02 times those of strong branching's own choice, on 3 instances: "
        "a better imitation saves no tree nodes; train no further, tune SCIP's settings"
    )
    assert replace(near, expert_nodes_ratio=2.0).about_expert.endswith(
        "a perfect imitation would save 50% of the tree nodes"
    )


def test_budgets_are_times() -> None:
    assert [Budget.parse(text).seconds for text in ("90s", "1.5m", " 2h ")] == [90.0, 90.0, 7200.0]
    for text in ("", "90", "0m", "-3m", "2d"):
        with pytest.raises(InputError, match="is no time; give 90s, 30m or 2h"):
            Budget.parse(text)


def test_a_budget_gives_numbers_of_samples_within_bounds() -> None:
    assert _counts(0) == {"n_train_samples": LEAST_TRAIN_SAMPLES, "n_valid_samples": 15, "n_test_samples": 15}
    assert _counts(700) == {"n_train_samples": 500, "n_valid_samples": 100, "n_test_samples": 100}
    assert _counts(10**6) == {
        "n_train_samples": MOST_TRAIN_SAMPLES,
        "n_valid_samples": MOST_HELD_OUT,
        "n_test_samples": MOST_HELD_OUT,
    }


def test_a_pilot_counts_and_its_decision_stays(bushy_instances: list[Path], tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    for path in bushy_instances[:10]:
        shutil.copy(path, models)
    config = read_experiment(None, ["collection.expert_probability=0.5"], instances=models)
    folder = RunFolder(path=tmp_path / "run")
    fitted = fit_to_budget(config, folder, Budget(seconds=1.0, patience_seconds=600.0))
    assert fitted.collection.n_train_samples == LEAST_TRAIN_SAMPLES
    assert list((folder.dataset / "train").glob("*.arrow")), "the pilot's samples are there"
    again = fit_to_budget(config, folder, Budget(seconds=1e6))
    assert again == fitted, "a run that goes on, goes on with the same numbers"


def test_a_card_without_a_verdict_is_one_of_an_earlier_version(trained: Path, tmp_path: Path) -> None:
    policy = tmp_path / "old"
    shutil.copytree(trained / "run" / "policy", policy)
    values = json.loads((policy / CARD_FILE).read_text())
    for name in ("verdict", "ranges"):
        del values[name]
    (policy / CARD_FILE).write_text(json.dumps(values))
    card: PolicyCard = read_card(policy)
    assert card.verdict is None
    assert card.feature_ranges is None
