"""``gnn-branching solve`` as a user types it: files in, files out, limits, and Ctrl-C."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from gnn_branching.cli import main
from gnn_branching.config import ModelConfig
from gnn_branching.solver.ecole_module import write_generated
from gnn_branching.solver.problem import read_problem
from tests.policy.conftest import make_network, save


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy that knows nothing: its trees are large."""
    return save(tmp_path_factory.mktemp("policies") / "ignorant", make_network(ModelConfig(hidden_size=12)))


@pytest.fixture
def auction(small_instances: Mapping[str, list[Path]]) -> Path:
    return small_instances["combinatorial-auction"][1]


def solve(tmp_path: Path, model: Path, *options: str | Path) -> dict[str, object]:
    """Run the command; return its figures."""
    file = tmp_path / "figures.json"
    assert main(["solve", str(model), "--json", str(file), *map(str, options)]) == 0
    figures: dict[str, object] = json.loads(file.read_text())
    return figures


def test_the_solution_file_holds_the_optimum(tmp_path: Path, auction: Path, folder: Path) -> None:
    best = tmp_path / "best.sol"
    learned = solve(tmp_path, auction, "--policy", folder, "--solution", best)
    default = solve(tmp_path, auction)
    assert learned["status"] == default["status"] == "optimal"
    assert learned["primal_bound"] == pytest.approx(default["primal_bound"], rel=1e-9)
    assert learned["n_decisions"] > 0
    assert learned["n_fallbacks"] == 0
    model = read_problem(auction)
    solution = model.readSolFile(str(best))
    assert model.checkSol(solution, original=True)
    assert model.getSolObjVal(solution) == pytest.approx(default["primal_bound"], rel=1e-9)


@pytest.mark.parametrize("preset", ["plain", "verified", "cautious", "top-of-tree", "warm"])
def test_presets_by_name(tmp_path: Path, auction: Path, folder: Path, preset: str) -> None:
    assert solve(tmp_path, auction, "--policy", folder, "--preset", preset)["status"] == "optimal"


def test_an_unknown_preset_is_refused(auction: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", str(auction), "--policy", str(folder), "--preset", "fast"]) == 2
    assert "preset 'fast' is unknown; there are guarded" in capsys.readouterr().err


def test_limits_end_the_solve(tmp_path: Path, auction: Path, folder: Path) -> None:
    limited = solve(tmp_path, auction, "--policy", folder, "--node-limit", "3")
    assert (limited["status"], limited["n_tree_nodes"]) == ("node-limit", 3)
    assert solve(tmp_path, auction, "--gap-limit", "0.5")["status"] == "gap-limit"
    assert solve(tmp_path, auction, "--time-limit", "0")["status"] == "time-limit"
    assert solve(tmp_path, auction, "--memory-limit", "0")["status"] == "memory-limit"


def test_a_parameter_file_counts_unless_an_option_says_otherwise(tmp_path: Path, auction: Path) -> None:
    parameters = tmp_path / "mine.set"
    parameters.write_text("# mine\nlimits/gap = 0.5\nbranching/random/priority = 2000000\n")
    by_file = solve(tmp_path, auction, "--settings", parameters)
    assert by_file["status"] == "gap-limit"
    assert solve(tmp_path, auction, "--settings", parameters, "--gap-limit", "0")["status"] == "optimal"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("limits/tyme = 3\n", "unknown parameter <limits/tyme>"),
        ("limits/time = soon\n", "invalid parameter value <soon>"),
        ("limits/time = -4\n", "invalid"),
        ("please hurry\n", "expected character '='"),
    ],
)
def test_a_wrong_parameter_file_is_refused(
    tmp_path: Path, auction: Path, capfd: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    parameters = tmp_path / "mine.set"
    parameters.write_text(text)
    assert main(["solve", str(auction), "--settings", str(parameters)]) == 2
    captured = capfd.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_numbers_out_of_range_are_refused(auction: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option, value, said in (
        ("--seed", "-3", "seed -3 must lie in"),
        ("--seed", str(2**31), "must lie in [0, 2147483647]"),
        ("--time-limit", "1e30", "must be at most 1e+20"),
        ("--time-limit", "nan", "must be zero or more"),
        ("--node-limit", str(2**64), "must be at most"),
        ("--memory-limit", "-1", "must be zero or more"),
    ):
        assert main(["solve", str(auction), option, value]) == 2
        assert said in capsys.readouterr().err


def test_settings_that_the_policy_has_not_seen_are_said(
    tmp_path: Path, auction: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = save(tmp_path / "of-paper", make_network(ModelConfig(hidden_size=12)), "paper")
    solve(tmp_path, auction, "--policy", policy, "--settings", "paper")
    assert capsys.readouterr().err == ""
    solve(tmp_path, auction, "--policy", policy)
    assert "trained under paper settings alone, and may branch worse under default settings" in capsys.readouterr().err


def test_of_a_policy_on_subproblems_no_settings_are_said(
    tmp_path: Path, auction: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = make_network(ModelConfig(hidden_size=12, graph="subproblem"))
    solve(tmp_path, auction, "--policy", save(tmp_path / "of-paper", network, "paper"))
    assert capsys.readouterr().err == ""


def test_the_log_goes_to_stderr(auction: Path, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", str(auction), "--policy", str(folder), "--log"]) == 0
    captured = capfd.readouterr()
    assert "dualbound" in captured.err
    assert "dualbound" not in captured.out
    assert captured.out.startswith("SCIP Status        : optimal")


def test_ctrl_c_prints_the_best_solution_so_far(tmp_path: Path, folder: Path) -> None:
    model, figures, best = tmp_path / "large.lp", tmp_path / "figures.json", tmp_path / "best.sol"
    write_generated("CombinatorialAuction", {"n_items": 150, "n_bids": 750, "add_item_prob": 0.7}, 0, model)
    options = ["--policy", folder, "--log", "--solution", best, "--json", figures]
    command = [
        sys.executable,
        "-c",
        "import gnn_branching.cli as c; raise SystemExit(c.main())",
        "solve",
        model,
        *options,
    ]
    process = subprocess.Popen(
        [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        found = re.match(r"[^|]*\|\s*(\d+) \|", line)
        if found and int(found[1]) > 20:  # well into the tree, where the rule decides
            process.send_signal(signal.SIGINT)
            break
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert out.startswith("SCIP Status        : interrupted")
    said = json.loads(figures.read_text())
    assert said["n_decisions"] > 10
    problem = read_problem(model)
    objective = {variable.name: variable.getObj() for variable in problem.getVars()}
    printed = [line.split() for line in out.splitlines() if re.fullmatch(r"x\d+ \S+", line)]
    assert sum(objective[name] * float(value) for name, value in printed) == pytest.approx(said["primal_bound"])
    assert problem.checkSol(problem.readSolFile(str(best)), original=True)


def test_solving_needs_no_ecole(auction: Path, folder: Path) -> None:
    code = (
        "import sys; sys.modules['ecole'] = None; from gnn_branching.cli import main; "
        f"sys.exit(main(['solve', {str(auction)!r}, '--policy', {str(folder)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"Learned decisions +: [1-9]", done.stdout)
