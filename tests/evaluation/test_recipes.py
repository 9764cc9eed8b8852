"""Recipes and HiGHS as competitors, and recipes in ``solve`` and in Python."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pyscipopt
import pytest

from gnn_branching import LearnedBranching, load_policy
from gnn_branching.cli import main
from gnn_branching.contracts import InputError
from gnn_branching.durable import write_durably
from gnn_branching.evaluation.solves.competitors import parse_competitors, parse_policy
from gnn_branching.evaluation.solves.plan import PolicySpec, ResourceLimits, SolveJob, build_plan, instance_files
from gnn_branching.evaluation.solves.solving import solve_job
from gnn_branching.policy.card import CARD_FILE, RECIPE_FILE, read_card
from gnn_branching.policy.load import find_folder
from gnn_branching.solver.problem import read_problem
from gnn_branching.solver.settings import FIXED_DURING_SOLVE

LIMITS = ResourceLimits(time_limit_seconds=60.0)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A policy without a recipe."""
    folder = tmp_path / "plain"
    shutil.copytree(find_folder("set-cover"), folder)
    write_durably(folder / CARD_FILE, replace(read_card(folder), recipe=None).to_json().encode())
    return folder


@pytest.fixture
def cooked(tmp_path: Path) -> Path:
    """A policy with a recipe."""
    folder = tmp_path / "cooked"
    shutil.copytree(find_folder("set-cover"), folder)
    assert read_card(folder).recipe is not None
    return folder


def test_names_of_competitors(plain: Path, cooked: Path) -> None:
    own = parse_policy(f"{cooked}@recipe")
    assert own.name == "cooked@recipe"
    assert own.recipe == str((cooked / RECIPE_FILE).resolve())
    assert own.preset == read_card(cooked).recipe.rule  # type: ignore[union-attr]
    other = parse_policy("relpscost@recipe=set-cover")
    assert (other.name, other.scip_rule, other.is_learned) == ("relpscost@recipe=set-cover", "relpscost", False)
    mine = parse_policy(f"mine={plain}@plain@recipe={cooked / RECIPE_FILE}")
    assert (mine.name, mine.preset) == (f"mine@recipe=cooked/{RECIPE_FILE}", "plain")
    assert parse_policy(f"relpscost@recipe={cooked}").name == "relpscost@recipe=cooked"
    assert parse_policy("highs") == PolicySpec(name="highs")
    assert other.fingerprint != parse_policy("relpscost").fingerprint
    assert parse_policy(str(plain)).fingerprint == parse_policy(str(cooked)).fingerprint  # a recipe is no other policy
    for text, complaint in (
        (f"{plain}@recipe", "has no recipe; make one with gnn-branching tune"),
        ("relpscost@recipe", "relpscost has no recipe of its own"),
        ("set-cover@recipes", "a recipe is named as"),
        ("set-cover@recipe=", "a recipe is named as"),
        ("relpscost@recipe=nowhere", "neither a folder nor a known policy"),
    ):
        with pytest.raises(InputError, match=complaint):
            parse_policy(text)


def test_a_recipe_of_scips_own_rule(cooked: Path) -> None:
    card = read_card(cooked)
    assert card.recipe is not None
    write_durably(cooked / CARD_FILE, replace(card, recipe=replace(card.recipe, rule="pscost")).to_json().encode())
    spec = parse_policy(f"{cooked}@recipe")
    assert (spec.scip_rule, spec.is_learned) == ("pscost", False)
    assert read_card(cooked).preset == "guarded"


def test_settings_by_what_is_asked_for(plain: Path, cooked: Path) -> None:
    chosen = parse_competitors([str(plain), str(cooked), "pscost"], [])
    assert [spec.name for spec in chosen.specs] == ["plain", "pscost", "cooked@recipe"]
    assert chosen.settings == ("default",)
    assert chosen.notices == (f"note: {cooked} solves under its recipe, and SCIP under its default settings",)
    both = parse_competitors([str(cooked)], ["recipe", "paper"])
    assert [spec.name for spec in both.specs] == ["cooked", "cooked@recipe"]
    assert both.settings == ("paper",)
    assert parse_competitors([str(cooked)], ["default"]).specs == (parse_policy(str(cooked)),)
    assert parse_competitors([str(plain)], []).settings == ("paper",)
    with pytest.raises(InputError, match="none of the policies has a recipe"):
        parse_competitors([str(plain)], ["recipe"])


def test_who_has_settings_of_its_own_solves_once(small_instances: Mapping[str, list[Path]]) -> None:
    files = instance_files(small_instances["set-cover"][:1], family="set-cover")
    specs = [parse_policy(text) for text in ("relpscost", "highs", "relpscost@recipe=set-cover")]
    jobs = build_plan(files, specs, seeds=[0], settings=["paper", "default"], limits=LIMITS)
    assert sorted((job.policy.name, job.settings) for job in jobs) == [
        ("highs", "default"),
        ("relpscost", "default"),
        ("relpscost", "paper"),
        ("relpscost@recipe=set-cover", "default"),
    ]


def test_rows_from_before_there_were_recipes_are_found() -> None:
    job = SolveJob(
        instance=replace(instance_files([Path(__file__)], family="f")[0], path="a.lp", sha256="00"),
        policy=PolicySpec(name="relpscost"),
        settings="paper",
        seed=0,
        limits=ResourceLimits(time_limit_seconds=60.0, memory_limit_mib=1024),
    )
    assert job.job_id == "0b003b82003cd068697629bd"


@pytest.mark.parametrize("family", ["set-cover", "combinatorial-auction", "independent-set"])
def test_highs_finds_scips_optimum(small_instances: Mapping[str, list[Path]], tmp_path: Path, family: str) -> None:
    pytest.importorskip("highspy")
    lp = small_instances[family][0]
    model = pyscipopt.Model()
    model.hideOutput()
    model.readProblem(str(lp))
    cip = tmp_path / "model.cip"
    model.writeProblem(str(cip), verbose=False)
    model.optimize()
    for path in (lp, cip):
        (file,) = instance_files([path], family=family)
        job = SolveJob(instance=file, policy=PolicySpec(name="highs"), settings="default", seed=3, limits=LIMITS)
        figures = solve_job(job)
        assert figures.status == "optimal"
        assert figures.primal_bound == pytest.approx(model.getObjVal(), rel=1e-6)
        assert figures.dual_bound == pytest.approx(model.getObjVal(), rel=1e-6)
        assert figures.wall_seconds > 0


def test_highs_says_infeasible_and_stops_in_time(tmp_path: Path) -> None:
    pytest.importorskip("highspy")
    path = tmp_path / "none.lp"
    path.write_text("Minimize\n obj: x\nSubject To\n a: x + y >= 3\nBinary\n x\n y\nEnd\n")
    (file,) = instance_files([path], family="f")
    job = SolveJob(instance=file, policy=PolicySpec(name="highs"), settings="default", seed=0, limits=LIMITS)
    assert solve_job(job).status == "infeasible"


def test_a_comparison_with_highs(small_instances: Mapping[str, list[Path]], tmp_path: Path) -> None:
    pytest.importorskip("highspy")
    for path in small_instances["combinatorial-auction"][:2]:
        shutil.copy(path, tmp_path)
    out, figures = tmp_path / "out", tmp_path / "figures.json"
    command = ["evaluate", "highs", "--instances", str(tmp_path), "--seeds", "1", "--settings", "default"]
    assert main([*command, "--out", str(out), "--json", str(figures)]) == 0
    values = json.loads(figures.read_text())
    own = {key.rpartition("/")[2]: value for key, value in values.items() if "/highs/" in key}
    assert own["solved"] == 2
    assert own["time_ratio"] > 0
    assert own["post_root_time_ratio"] is None  # it does not say when it began to branch


def test_solve_takes_the_recipe_and_says_so(
    small_instances: Mapping[str, list[Path]], cooked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, figures = str(small_instances["set-cover"][0]), tmp_path / "figures.json"
    seen = {}
    for settings in (None, "recipe", "default"):
        options = [] if settings is None else ["--settings", settings]
        assert main(["solve", model, "--policy", str(cooked), "--json", str(figures), *options]) == 0
        values = json.loads(figures.read_text())
        seen[settings] = (values["settings"], values["recipe"], values["primal_bound"])
        assert ("note: settings from the recipe" in capsys.readouterr().err) == values["recipe"]
    assert seen[None] == seen["recipe"]
    assert [seen[settings][:2] for settings in (None, "default")] == [("recipe", True), ("default", False)]
    assert len({round(found[2], 6) for found in seen.values()}) == 1
    assert main(["solve", model, "--settings", "recipe"]) == 2
    assert "relpscost is SCIP's own rule and has no recipe" in capsys.readouterr().err


def test_a_recipe_that_scip_does_not_know_is_refused(
    small_instances: Mapping[str, list[Path]], cooked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(small_instances["set-cover"][0])
    recipe = cooked / RECIPE_FILE
    recipe.write_text(recipe.read_text() + "separating/nosuch/freq = -1\n")
    assert main(["solve", model, "--policy", str(cooked)]) == 2
    assert "is missing or is not the one in the card" in capsys.readouterr().err
    with pytest.raises(InputError, match="is not the one in the card"):
        load_policy(cooked).apply_recipe(pyscipopt.Model())
    assert main(["solve", model, "--settings", str(recipe)]) == 2
    assert "nosuch" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["limits/gap = 0.5", "numerics/feastol = 1e-3", "  randomization/randomseedshift=3"])
def test_a_recipe_that_may_change_the_answer_is_refused(cooked: Path, line: str) -> None:
    text = f"{(cooked / RECIPE_FILE).read_text()}{line}\n".encode()
    (cooked / RECIPE_FILE).write_bytes(text)
    card = read_card(cooked)
    assert card.recipe is not None
    told = replace(card, recipe=replace(card.recipe, sha256=sha256(text).hexdigest()))
    write_durably(cooked / CARD_FILE, told.to_json().encode())
    with pytest.raises(InputError, match="which may change what a solve returns"):
        load_policy(cooked).apply_recipe(pyscipopt.Model())


def test_a_recipe_in_python(small_instances: Mapping[str, list[Path]], cooked: Path, plain: Path) -> None:
    model = pyscipopt.Model()
    model.hideOutput()
    model.readProblem(str(small_instances["set-cover"][0]))
    policy = load_policy(cooked)
    policy.apply_recipe(model)
    rule = LearnedBranching.attach(model, policy)
    assert model.getParam("heuristics/rens/freq") == -1
    model.optimize()
    assert model.getStatus() == "optimal"
    assert rule.statistics.n_decisions + rule.statistics.n_fallbacks >= 0
    with pytest.raises(InputError, match="has no recipe"):
        load_policy(plain).apply_recipe(model)


def test_a_foreign_model_is_solved_without_the_recipe(
    small_instances: Mapping[str, list[Path]], cooked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = small_instances["combinatorial-auction"][0]
    policy = load_policy(cooked)
    ranges = policy.card.feature_ranges
    assert ranges is not None
    policy.ranges = replace(ranges, variable=ranges.variable + 1e3)
    optima = {}
    for preset in ("guarded", "plain"):
        model = read_problem(path)
        policy.apply_recipe(model)
        rule = LearnedBranching.attach(model, policy, preset)
        model.optimize()
        optima[preset] = model.getObjVal()
        left = {name for name, value in policy.recipe_parameters().items() if model.getParam(name) != value}
        if preset == "guarded":
            assert {name for name in policy.recipe_parameters() if not name.startswith(FIXED_DURING_SOLVE)} == left
            assert rule.statistics.fallbacks["guard-recipe"] == 1
            assert rule.statistics.n_decisions == 0
        else:
            assert not left
    assert optima["guarded"] == pytest.approx(optima["plain"])


def test_settings_of_the_users_own_stay(small_instances: Mapping[str, list[Path]], cooked: Path) -> None:
    policy = load_policy(cooked)
    ranges = policy.card.feature_ranges
    assert ranges is not None
    policy.ranges = replace(ranges, variable=ranges.variable + 1e3)
    model = read_problem(small_instances["combinatorial-auction"][0])
    policy.apply_recipe(model)
    model.setParam("heuristics/rens/freq", 7)
    rule = LearnedBranching.attach(model, policy, "guarded")
    model.optimize()
    assert model.getParam("heuristics/rens/freq") == 7
    assert set(rule.statistics.fallbacks) == {"guard-input"}
