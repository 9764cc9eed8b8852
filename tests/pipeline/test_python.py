"""The jobs from Python: paths as text, models as objects, records that show themselves; the commands call the same."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import pyscipopt
import pytest

import gnn_branching
from gnn_branching import evaluate, load_policy, train_policy
from gnn_branching.contracts import InputError
from gnn_branching.counting import is_live
from gnn_branching.evaluation.report.tables import Cell, Column, Table, Tone, to_html
from gnn_branching.pipeline.experiment import run_name
from gnn_branching.pipeline.train import Training
from gnn_branching.run_folder import RunFolder, run_folder
from gnn_branching.solver.problem import problem_folder, read_problem
from tests.pipeline.test_verdict import QUICK

JOBS = ("train_policy", "evaluate", "tune", "accelerate")
CLI = Path(gnn_branching.__file__).parent / "cli"


@pytest.fixture(scope="module")
def models(bushy_instances: list[Path]) -> list[pyscipopt.Model]:
    return [read_problem(path) for path in bushy_instances[:10]]


@pytest.fixture(scope="module")
def training(models: list[pyscipopt.Model], tmp_path_factory: pytest.TempPathFactory) -> Training:
    out = tmp_path_factory.mktemp("python") / "run"
    quick = [*QUICK, "collection.settings=paper", "collection.strong_branching_iteration_limit=20"]
    return train_policy(out=str(out), instances=models, overrides=quick, verdict_seconds=0.0)


def test_a_policy_is_trained_on_models_at_hand(training: Training) -> None:
    assert training.figures["n_train_samples"] == 20
    assert training.verdict is None
    assert load_policy(training.policy).card.n_parameters > 0
    page = training._repr_html_()
    assert f"<caption>Policy {training.policy}</caption>" in page
    assert "test_acc_5</td>" in page


def test_it_is_compared_on_a_folder_and_on_a_list_of_models(
    training: Training, models: list[pyscipopt.Model], tmp_path: Path
) -> None:
    by_list = evaluate([training.policy], tmp_path / "list", instances=models[:2], seeds=1, settings="default")
    folder = str(tmp_path / "list" / "models")
    by_folder = evaluate(str(training.policy), str(tmp_path / "folder"), instances=folder, seeds=1, settings="default")
    for found in (by_list, by_folder):
        assert {record.policy for record in found.records} == {"relpscost", "run"}
        assert len(found.records) == 4
        assert found._repr_html_().count("<tr>") == len(found.tables[0].rows) + 1
    assert [record.figures and record.figures.primal_bound for record in by_list.records] == [
        record.figures and record.figures.primal_bound for record in by_folder.records
    ]


def test_models_are_written_as_they_are(small_instances: Mapping[str, list[Path]], tmp_path: Path) -> None:
    path = small_instances["capacitated-facility-location"][0]
    nonlinear = pyscipopt.Model()
    x = nonlinear.addVar("with blanks in its name", vtype="I", ub=9)
    nonlinear.addCons(x * x <= 20)
    nonlinear.setObjective(x, "maximize")
    folder = problem_folder([read_problem(path), nonlinear], tmp_path / "models")
    written = sorted(folder.iterdir())
    assert [file.suffix for file in written] == [".mps", ".cip"]
    values = []
    for file in (path, written[0], written[1]):
        model = read_problem(file)
        model.optimize()
        values.append(model.getObjVal())
    assert values[0] == pytest.approx(values[1], rel=1e-9)
    assert values[2] == 4
    assert problem_folder("models", tmp_path) == Path("models")
    for nothing in ([], [path]):
        with pytest.raises(InputError, match="are no models; give a folder of problem files, or PySCIPOpt models"):
            problem_folder(nothing, tmp_path)  # type: ignore[arg-type]


def test_runs_have_names() -> None:
    assert run_folder(None, run_name("configs/set-cover.toml")).path == Path("runs/set-cover")
    assert run_folder(None, run_name(None, "here/mine/")).path == Path("runs/mine")
    assert run_folder(None, run_name(None, [object()])).path == Path("runs/models")
    assert run_folder("there", "else").path == Path("there")
    folder = RunFolder(path=Path("own"))
    assert run_folder(folder, "else") is folder


@pytest.mark.parametrize("job", JOBS)
def test_a_command_calls_the_job_and_nothing_else_of_the_pipeline(job: str) -> None:
    module = ast.parse((CLI / f"{job}.py").read_text())
    function = next(node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == job)
    imported = {
        (node.module, alias.name)
        for node in ast.walk(function)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    names = {name for module_name, name in imported if module_name and module_name.startswith("gnn_branching.pipeline")}
    assert names <= {job, "tune", "acceleration", "run_name"}
    assert getattr(gnn_branching, job) is getattr(import_module(f"gnn_branching.pipeline.{job.split('_')[0]}"), job)


@pytest.mark.parametrize("job", JOBS)
def test_jobs_are_fully_typed(job: str) -> None:
    signature = inspect.signature(getattr(gnn_branching, job))
    assert signature.return_annotation is not inspect.Signature.empty
    for parameter in signature.parameters.values():
        assert parameter.annotation is not inspect.Parameter.empty, parameter


def test_html_is_escaped_and_toned() -> None:
    columns = (Column(key="a", title="a<b", is_number=False), Column(key="n", title="n"))
    rows = ((Cell(text="x & y"), Cell(text="0.5", value=0.5, tone=Tone.GOOD)),)
    page = to_html(Table(name="t", title="T", note="1 < 2", columns=columns, rows=rows))
    assert page == (
        '<table><caption>T</caption><thead><tr><th style="text-align: left">a&lt;b</th>'
        '<th style="text-align: right">n</th></tr></thead><tbody><tr><td style="text-align: left">x &amp; y</td>'
        '<td style="text-align: right" class="good"><b>0.5</b></td></tr></tbody></table><p><small>1 &lt; 2</small></p>'
    )


class FakeConsole:
    def __init__(self, *, terminal: bool, jupyter: bool) -> None:
        self.is_terminal, self.is_jupyter = terminal, jupyter


def test_progress_is_live_on_terminals_and_where_there_are_widgets(monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, object | None] = {"ipywidgets": None}
    monkeypatch.setattr("gnn_branching.counting.find_spec", found.get)
    assert is_live(FakeConsole(terminal=True, jupyter=False))  # type: ignore[arg-type]
    assert not is_live(FakeConsole(terminal=False, jupyter=False))  # type: ignore[arg-type]
    assert not is_live(FakeConsole(terminal=False, jupyter=True))  # type: ignore[arg-type]
    found["ipywidgets"] = object()
    assert is_live(FakeConsole(terminal=False, jupyter=True))  # type: ignore[arg-type]
