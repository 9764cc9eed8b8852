"""What `pip install gnn-branching` alone can do: an environment of the core's requirements, and nothing else."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import tomllib
import venv
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from gnn_branching.libraries import EXTRAS, imported, require

LOWEST = "GNN_BRANCHING_LOWEST"
"""Names the Python of an environment with the oldest versions that the package says it can do with."""
ROOT = Path(__file__).parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def requirements() -> set[str]:
    """Return the distributions that the package and its requirements name, extras left out."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found: set[str] = set()
    ahead = [Requirement(line) for line in project["dependencies"]]
    while ahead:
        requirement = ahead.pop()
        if requirement.name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        found.add(requirement.name)
        ahead += [Requirement(line) for line in importlib.metadata.requires(requirement.name) or ()]
    return found


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment of links to the core's requirements, unless ``make test-lowest`` did; return its Python."""
    if LOWEST in os.environ:
        return Path(os.environ[LOWEST])
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, symlinks=True)
    site = next(folder.glob("lib/python*/site-packages"))
    for name in requirements():
        distribution = importlib.metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or () if file.parts[0] not in ("..", "__pycache__")}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(distribution.locate_file(top))))
    return folder / "bin" / "python"


@pytest.fixture
def run(bare: Path, tmp_path: Path) -> Run:
    """Run something in the bare environment, in an empty folder."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error::ImportWarning"}

    def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [str(bare), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)

    return call


@pytest.fixture
def command(run: Run) -> Run:
    return lambda *arguments: run("-m", "gnn_branching", *arguments)


def test_the_environment_is_bare(run: Run) -> None:
    modules = [module for extra in EXTRAS.values() for module in extra.modules]
    code = f"import importlib.util as u; print([m for m in {modules} if u.find_spec(m)])"
    assert run("-c", code).stdout.strip() == "[]"


def test_policies_and_doctor(command: Run, tmp_path: Path) -> None:
    listed = command("policies", "--json", tmp_path / "policies.json")
    assert listed.returncode == 0, listed.stderr
    names = [policy["name"] for policy in json.loads((tmp_path / "policies.json").read_text())["policies"]]
    assert "set-cover" in names
    doctor = command("doctor", "--json", tmp_path / "doctor.json")
    assert doctor.returncode == 0, doctor.stderr
    found = json.loads((tmp_path / "doctor.json").read_text())
    assert found["n_problems"] == 0
    assert found["train"].startswith("not installed: torch, ")
    assert "pip install 'gnn-branching[train]'" in doctor.stdout
    assert "gnn-branching install-ecole" in doctor.stdout


def test_solving_and_evaluating(command: Run, small_instances: Mapping[str, list[Path]], tmp_path: Path) -> None:
    model = small_instances["set-cover"][0]
    solved = command("solve", model, "--policy", "set-cover", "--json", tmp_path / "solve.json")
    assert solved.returncode == 0, solved.stderr
    assert "SCIP Status        : optimal" in solved.stdout
    assert json.loads((tmp_path / "solve.json").read_text())["n_decisions"] > 0
    arguments = ("set-cover", "--instances", model, "--seeds", "1", "--settings", "paper", "--out", "evaluation")
    evaluated = command("evaluate", *arguments)
    assert evaluated.returncode == 0, evaluated.stderr
    assert (tmp_path / "evaluation" / "results.parquet").exists()
    assert (tmp_path / "evaluation" / "report.html").exists()


def test_generating_without_ecole(command: Run, tmp_path: Path) -> None:
    made = command("generate", "multiple-knapsack", "--n", "2", "--out", "knapsacks", "--workers", "1")
    assert made.returncode == 0, made.stderr
    assert len(list((tmp_path / "knapsacks").glob("*.lp"))) == 2
    published = command("generate", "set-cover", "--n", "1", "--out", "covers", "--workers", "1")
    assert published.returncode == 0, published.stderr
    assert len(list((tmp_path / "covers").glob("*.lp"))) == 1


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (["train-policy", "CONFIG"], "pip install 'gnn-branching[train]'"),
        (["accelerate", "."], "pip install 'gnn-branching[train]'"),
        (["diagnose", "."], "pip install 'gnn-branching[train]'"),
        (["theory", "du2018"], "pip install 'gnn-branching[train]'"),
        (["bench", "training"], "pip install 'gnn-branching[train]'"),
        (["bench", "collection"], "gnn-branching install-ecole"),
        (["tune", "relpscost", "--instances", "MODELS"], "pip install 'gnn-branching[tune]'"),
        (["evaluate", "highs", "--instances", "MODELS"], "pip install 'gnn-branching[highs]'"),
        (["evaluate", "pscost", "--instances", "MODELS", "--executor", "ray"], "pip install 'gnn-branching[ray]'"),
    ],
    ids=lambda part: " ".join(part[:2]) if isinstance(part, list) else "",
)
def test_what_is_missing_is_said_in_one_line(
    command: Run, small_instances: Mapping[str, list[Path]], arguments: list[str], remedy: str, tmp_path: Path
) -> None:
    places = {"CONFIG": ROOT / "configs" / "demo.toml", "MODELS": small_instances["set-cover"][0].parent}
    refused = command(*[places.get(argument, argument) for argument in arguments])
    assert refused.returncode == 2, refused.stderr
    (line,) = refused.stderr.splitlines()
    assert line.startswith("gnn-branching: ")
    assert line.endswith(remedy)
    assert refused.stdout == ""


def test_python_loads_no_more_than_solving_needs(run: Run, small_instances: Mapping[str, list[Path]]) -> None:
    code = f"""
import pyscipopt
from gnn_branching import LearnedBranching, load_policy
from gnn_branching.pipeline.evaluate import evaluate
model = pyscipopt.Model()
model.hideOutput()
model.readProblem({str(small_instances["set-cover"][0])!r})
policy = load_policy("set-cover")
policy.apply_recipe(model)
rule = LearnedBranching.attach(model, policy)
model.optimize()
print(rule.statistics.n_decisions > 0)
"""
    ran = run("-c", code)
    assert ran.stdout.splitlines()[-1:] == ["True"], ran.stderr


def test_a_library_that_does_not_load_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "submitit.py").write_text("raise OSError('libmissing.so: cannot open\\n  shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "submitit", raising=False)
    require("slurm")
    with pytest.raises(ValueError, match=r"does not load \(libmissing.so: cannot open shared object file\); pip"):
        imported("slurm", "submitit")
