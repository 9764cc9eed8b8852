"""What examples/ shows runs, and does what it says."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from examples import own_family, own_feature, own_function, speed_up_a_folder, train_on_your_folder
from gnn_branching.cli import main
from gnn_branching.config import CollectionConfig, ModelConfig
from gnn_branching.instances import list_instances
from gnn_branching.policy import load_policy
from gnn_branching.solver.problem import read_problem
from gnn_branching.solver.sampling import run_episode
from gnn_branching.subproblem import View
from tests.pipeline.test_verdict import QUICK

EXAMPLES = Path(own_family.__file__).parent
DOCS = EXAMPLES.parent / "docs"


def test_speed_up_a_folder(
    small_instances: Mapping[str, list[Path]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def small(*arguments: object, **_: object) -> None:
        (tmp_path / "models").mkdir()
        for path in small_instances["combinatorial-auction"][:2]:
            (tmp_path / "models" / path.name).write_bytes(path.read_bytes())

    monkeypatch.setattr(speed_up_a_folder, "generate_instances", small)
    speed_up_a_folder.main(tmp_path)
    said = capsys.readouterr().out
    assert "optimal: " in said
    assert "   combinatorial-auction@recipe   2/2   " in said
    assert (tmp_path / "comparison" / "report.html").is_file()


def test_train_on_your_folder(
    small_instances: Mapping[str, list[Path]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("gnn_branching.pipeline.verdict.N_PAIRS", 2)
    models = tmp_path / "models"
    models.mkdir()
    for path in small_instances["combinatorial-auction"]:
        (models / path.name).write_bytes(path.read_bytes())
    train_on_your_folder.main(models, tmp_path / "run", None, QUICK)
    said = capsys.readouterr().out
    assert "20 samples" in said
    assert "of the time of relpscost under default settings" in said
    assert "RuleStatistics(" in said
    assert load_policy(tmp_path / "run" / "policy").card.architecture.hidden_size == 16


def test_an_own_family_is_one_like_any_other(tmp_path: Path) -> None:
    command = ["generate", "knapsack", "--n", "2", "--out", str(tmp_path)]
    assert main(command) == 0
    one, other = list_instances(tmp_path)
    assert one.read_bytes() != other.read_bytes()
    size = own_family.FAMILY.sizes["easy"]
    assert read_problem(one).getNVars(transformed=False) == size["n_items"]
    for name in ("a.lp", "b.lp"):
        own_family.write_knapsack(tmp_path / name, 5, n_items=20, n_conflicts=10)
    assert (tmp_path / "a.lp").read_bytes() == (tmp_path / "b.lp").read_bytes()


def test_an_own_function_branches(small_instances: Mapping[str, list[Path]]) -> None:
    solves = [own_function.solve(str(path)) for path in small_instances["set-cover"][:4]]
    assert sum(statistics.n_decisions for statistics in solves) > 0
    assert not any(statistics.fallbacks for statistics in solves)


def test_an_own_feature_is_read_and_can_be_chosen(small_instances: Mapping[str, list[Path]]) -> None:
    collection = CollectionConfig(
        expert_probability=1.0,
        strong_branching_iteration_limit=10,
        n_samples_per_episode=4,
        schema=own_feature.SCHEMA.name,
    )
    path = str(small_instances["combinatorial-auction"][1])
    episode = run_episode(path, episode=0, scip_seed=0, config=collection, instance_sha256="0" * 64)
    assert episode.samples
    for sample in episode.samples:
        assert sample.state.schema == own_feature.SCHEMA.name
        assert sample.state.search_features is not None
        assert (sample.state.search_features[:, -1] > 0).all()
        assert np.isfinite(sample.state.search_features).all()
    sees = ModelConfig(schema=own_feature.SCHEMA.name, search="head", search_features=("pseudocost_score", "n_locks"))
    assert View.of(sees).schema == own_feature.SCHEMA.name


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_says_what_it_is_and_the_site_shows_it(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))
    assert any(f"--8<--\nexamples/{path.name}\n--8<--" in page.read_text() for page in DOCS.glob("*.md"))
