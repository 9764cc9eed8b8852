"""Tuning and accelerating, with real policies, searches and proofs; small."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from html import escape
from pathlib import Path

import pytest

pytest.importorskip("optuna")

from gnn_branching.cli import main
from gnn_branching.contracts import SolveFigures
from gnn_branching.evaluation.solves import solving
from gnn_branching.evaluation.solves.plan import SolveJob
from gnn_branching.evaluation.solves.runner import RunnerOptions
from gnn_branching.pipeline.accelerate import Progress, accelerate, choose_best
from gnn_branching.pipeline.acceleration import Line, acceleration_figures, sentence, to_markdown
from gnn_branching.pipeline.pools import pools_for
from gnn_branching.pipeline.tune import _starts, tune
from gnn_branching.policy.card import Outcome, Verdict, read_card
from gnn_branching.policy.folder import recipe_file
from gnn_branching.policy.load import find_folder
from gnn_branching.run_folder import RunFolder
from gnn_branching.solver.ecole_module import write_generated
from gnn_branching.tuning.search import differences
from gnn_branching.tuning.space import RULE

N_MODELS = 12
COVER = {"n_rows": 100, "n_cols": 100, "density": 0.08, "max_coef": 3}


def steady(job: SolveJob) -> SolveFigures:
    """Take a time that says which settings were used, whatever else the machine does."""
    figures = solving.solve_job(job)
    settings = job.policy.recipe or job.settings
    text = Path(settings).read_text() if Path(settings).is_file() else ""
    seconds = 4.0 if "heuristics/rens/freq = -1" in text else 10.0
    return replace(figures, wall_seconds=seconds, cpu_seconds=seconds)


STEADY = RunnerOptions(n_workers=2, target="tests.pipeline.test_tune:steady")


@pytest.fixture(autouse=True)
def short_races(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["gnn_branching.pipeline.tune"]
    monkeypatch.setattr(module, "N_RACE", 3)
    monkeypatch.setattr(module, "N_FINALS", 2)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own") / "models"
    folder.mkdir()
    for seed in range(N_MODELS):
        write_generated("SetCover", COVER, seed, folder / f"model-{seed:02d}.lp")
    return folder


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    shutil.copytree(find_folder("set-cover"), folder)
    return folder


def test_a_recipe_is_found_proven_and_kept(models: Path, policy: Path, tmp_path: Path) -> None:
    folder = RunFolder(path=tmp_path / "run")
    pools = pools_for(str(policy), folder, family=None, size=None, instances=models)
    assert not {file.sha256 for file in pools.search} & {file.sha256 for file in pools.proof}
    tuning = tune(policy, folder, instances=models, budget="1h", most_trials=3, runner=STEADY)
    assert tuning.recipe is not None
    assert tuning.against_untouched.time_ratio == pytest.approx(4 / 10)
    assert tuning.against_start.verdict == "faster"
    card = read_card(policy)
    assert card.recipe == tuning.recipe
    assert recipe_file(policy).read_bytes() == tuning.parameters.read_bytes() == folder.recipe.read_bytes()
    proven = {
        Path(json.loads(path.read_text())["record"]["instance"]).name for path in (folder.proof / "rows").iterdir()
    }
    assert proven <= {Path(file.path).name for file in pools.proof}
    assert (folder.proof / "report.html").is_file()
    page = tuning._repr_html_()
    assert f"Recipe: {tuning.recipe.rule}; " in page
    assert '<td style="text-align: left">untouched SCIP</td><td style="text-align: left">0.40' in page


def test_a_search_goes_on_from_the_recipe_that_there_is(policy: Path) -> None:
    card = read_card(policy)
    assert card.recipe is not None
    first, second = _starts("guarded", card)[:2]
    assert (first[RULE], differences(first)) == ("guarded", {"restarts": "0", "cut rounds": "0"})
    assert (second[RULE], differences(second)) == (card.recipe.rule, card.recipe.options)
    assert {"LP scaling": "0", "diving": "off"} in [differences(start) for start in _starts("guarded", card)]
    elsewhere = replace(card, recipe=replace(card.recipe, options={"branching on constraints": "off"}))
    assert second not in _starts("guarded", elsewhere)


def line(name: str, outcome: Outcome, ratio: float, by_settings: Outcome | None = None) -> Line:
    verdict = Verdict(
        verdict=outcome,
        preset="guarded",
        baseline="relpscost",
        settings="default",
        time_ratio=ratio,
        time_ratio_low=ratio - 0.1,
        time_ratio_high=ratio + 0.1,
        nodes_ratio=1.0,
        n_pairs=15,
        n_instances=15,
        time_limit_seconds=60.0,
    )
    return Line(
        name=name,
        verdict=verdict,
        by_settings=None if by_settings is None else replace(verdict, verdict=by_settings),
    )


def test_searched_settings_must_earn_their_place() -> None:
    plain, tuned = line("policy", "faster", 0.8), line("policy, tuned", "faster", 0.75, "no-difference")
    assert choose_best([plain, tuned]) == plain
    assert choose_best([line("policy", "no-difference", 0.95), tuned]) == tuned
    clearly = line("policy, tuned", "faster", 0.3, "faster")
    assert choose_best([plain, clearly, line("highs", "faster", 0.1)]) == clearly
    assert choose_best([line("policy", "slower", 1.4), line("SCIP, tuned", "no-difference", 0.97)]) is None


@pytest.mark.slow
def test_a_rule_of_scip_has_its_settings_in_the_run(models: Path, tmp_path: Path) -> None:
    folder = RunFolder(path=tmp_path / "run")
    tuning = tune("relpscost", folder, instances=models, budget="1h", most_trials=3, runner=STEADY)
    assert {trial.rule for trial in tuning.found.trials} <= {"relpscost", "pscost"}
    assert folder.recipe.is_file()
    figures = json.loads((folder.path / "tuning.json").read_text())
    assert figures["verdict"] == tuning.against_untouched.verdict


def test_from_a_folder_to_a_verdict_however_often_it_is_killed(
    bushy_instances: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {"n_train_samples": 10, "n_valid_samples": 4, "n_test_samples": 2}
    monkeypatch.setattr("gnn_branching.pipeline.budget.PILOT", few)
    monkeypatch.setattr("gnn_branching.pipeline.budget.MOST_TRAIN_SAMPLES", 10)
    folder = RunFolder(path=tmp_path / "run")
    quick = ["collection.expert_probability=0.5", "training.n_epochs=2", "model.hidden_size=16"]

    class KilledError(Exception):
        pass

    def kill(*_: object) -> None:
        raise KilledError

    models = str(bushy_instances[0].parent)
    job = partial(accelerate, models, folder, budget="10m", runner=STEADY, overrides=quick, most_trials=3)
    with pytest.raises(KilledError):
        job(progress=Progress(trial=kill))
    trained = (folder.policy / "card.json").stat().st_mtime_ns
    used = json.loads((folder.path / "time.json").read_text())["seconds"]
    steps: list[str] = []
    progress = Progress(step=lambda text, seconds: steps.append(text))
    done = job(progress=progress)
    assert done.seconds > used
    assert steps == [
        "samples and training",
        "settings for the policy",
        "settings for SCIP's own rules",
        "proof on models held back",
    ]
    assert {line.name for line in done.lines} >= {"policy", "policy, tuned", "SCIP, tuned"}
    assert done.best is not None
    assert done.best.verdict.time_ratio == pytest.approx(4 / 10)
    assert "0.40" in sentence(done)
    assert f"<caption>{escape(sentence(done))}</caption>" in done._repr_html_()
    assert "<b>0.40 [0.40, 0.40]</b>" in done._repr_html_()
    assert done.command == f"gnn-branching solve MODEL --policy {folder.policy}"
    assert (folder.path / "verdict.md").read_text() == to_markdown(done)
    card = read_card(folder.policy)
    assert card.recipe is not None
    assert card.verdict is not None
    assert (folder.policy / "card.json").stat().st_mtime_ns != trained
    figures = acceleration_figures(done)
    assert figures["verdict"] == "faster"
    assert figures["time_ratio"] == pytest.approx(4 / 10)
    rows = sorted(folder.path.rglob("rows/*.json"))
    assert job().best == done.best
    assert sorted(folder.path.rglob("rows/*.json")) == rows  # nothing is solved again


def test_models_that_are_solved_at_once(small_instances: Mapping[str, list[Path]], tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    for path in small_instances["combinatorial-auction"]:
        shutil.copy(path, models)
    figures = tmp_path / "figures.json"
    command = ["accelerate", str(models), "--budget", "40s", "--out", str(tmp_path / "run"), "--json", str(figures)]
    assert main(command) == 0
    values = json.loads(figures.read_text())
    assert values["verdict"] in ("no-difference", "faster", "slower")
    assert "Verdict" in (tmp_path / "run" / "verdict.md").read_text()


def test_what_cannot_be_tuned_is_refused(
    models: Path, small_instances: Mapping[str, list[Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refusal(*arguments: str | Path) -> str:
        capsys.readouterr()
        assert main([str(argument) for argument in arguments]) == 2
        return capsys.readouterr().err

    run = ["--out", str(tmp_path / "run")]
    assert "give either --family NAME or --instances FOLDER" in refusal("tune", "set-cover", *run)
    assert "is no time" in refusal("tune", "set-cover", "--family", "set-cover", "--budget", "soon", *run)
    assert "neither a folder nor one of" in refusal("tune", "nobody", "--instances", models, *run)
    assert "too small to find anything out" in refusal("accelerate", models, "--budget", "5s", *run)
    assert "does not exist" in refusal("accelerate", tmp_path / "nothing", *run)
    (tmp_path / "one").mkdir()
    shutil.copy(next(models.iterdir()), tmp_path / "one")
    assert refusal("accelerate", tmp_path / "one", *run).count("\n") == 1
    mixed = tmp_path / "mixed"
    shutil.copytree(models, mixed)
    for path in small_instances["capacitated-facility-location"]:
        shutil.copy(path, mixed)
    assert refusal("accelerate", mixed, "--budget", "1m", *run).count("\n") == 1
