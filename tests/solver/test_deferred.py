"""A policy that is loaded while SCIP already solves."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pyscipopt
import pytest

from gnn_branching.cli import main
from gnn_branching.contracts import InputError, Policy
from gnn_branching.policy.card import WEIGHTS_FILE
from gnn_branching.policy.load import find_folder, load_policy
from gnn_branching.solver.deferred import DeferredPolicy
from gnn_branching.solver.settings import SolveLimits
from gnn_branching.solver.solve import prepare_solve


def deferred(name: str = "set-cover") -> DeferredPolicy:
    return DeferredPolicy(name=name, preset="plain", load=lambda: load_policy(name))


def solve(path: Path, rule: Policy | DeferredPolicy) -> tuple[int, int, int, float]:
    figures = prepare_solve(
        path, rule=rule, settings="default", seed=0, limits=SolveLimits(), rule_settings="plain"
    ).run()
    return figures.rule.n_decisions, figures.n_tree_nodes, figures.n_lp_iterations, figures.primal_bound


def test_the_tree_is_the_same(small_instances: Mapping[str, list[Path]]) -> None:
    policy = load_policy("set-cover")
    seen = [(solve(path, policy), solve(path, deferred())) for path in small_instances["set-cover"][:4]]
    assert all(ready == late for ready, late in seen)
    assert sum(ready[0] for ready, _ in seen) > 0, "somewhere the policy decides"


def test_what_cannot_be_loaded_is_one_clear_line(
    small_instances: Mapping[str, list[Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = load_policy("set-cover")
    hard = max(small_instances["set-cover"][:4], key=lambda path: solve(path, policy)[0])
    folder = tmp_path / "damaged"
    shutil.copytree(find_folder("set-cover"), folder)
    (folder / WEIGHTS_FILE).write_bytes(b"no weights")
    assert main(["solve", str(hard), "--policy", str(folder), "--settings", "default"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(InputError):
        solve(hard, deferred(str(folder)))


def test_a_model_that_needs_no_decision_is_solved(tmp_path: Path) -> None:
    model = pyscipopt.Model()
    x = model.addVar("x", vtype="I", ub=7, obj=-1)
    model.addCons(2 * x <= 7)
    file = tmp_path / "tiny.lp"
    model.writeProblem(str(file), verbose=False)
    assert solve(file, deferred())[0::3] == (0, pytest.approx(-3.0))


@pytest.mark.parametrize("arguments", [["--help"], ["policies"], ["solve", "MODEL"]])
def test_nothing_compiled_is_loaded_where_no_policy_branches(
    small_instances: Mapping[str, list[Path]], arguments: list[str]
) -> None:
    model = str(small_instances["set-cover"][0])
    asked = [model if word == "MODEL" else word for word in arguments]
    code = f"from gnn_branching.cli import main; import sys; main({asked}); sys.exit('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
