"""The command as a user types it: bad input, lists, interrupts, kills at random moments, several folders on a page."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import toy_instance
from synthetic import TIME_LIMIT, made_up_rows

from gnn_branching.cli import main
from gnn_branching.contracts import InputError
from gnn_branching.durable import exclusive
from gnn_branching.evaluation.evaluate import LOCKED_WORK, EvaluationRequest
from gnn_branching.evaluation.evaluate import evaluate as run_evaluation
from gnn_branching.evaluation.solves.instance_choice import read_instances
from gnn_branching.evaluation.solves.leavings import Conditions, write_conditions
from gnn_branching.evaluation.solves.plan import PolicySpec, ResourceLimits
from gnn_branching.evaluation.solves.results import write_results

DETERMINISTIC = ("instance", "settings", "policy", "seed", "status", "n_tree_nodes", "primal_bound", "n_lp_iterations")


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.strip().splitlines()
    return line


@pytest.fixture
def models(small_instances: Mapping[str, list[Path]], tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    for path in small_instances["combinatorial-auction"][:3]:
        shutil.copy(path, folder)
    return folder


def test_bad_input_is_one_line(capsys: pytest.CaptureFixture[str], models: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "out")
    family = ("evaluate", "pscost", "--family", "set-cover", *out)
    instances = ("evaluate", "pscost", "--instances")
    assert "did you mean 'set-cover'" in refusal(capsys, "evaluate", "pscost", "--family", "set-cver", *out)
    assert "it has easy, medium, hard" in refusal(capsys, *family, "--size", "easy", "--size", "huge")
    assert "must be 1 or more" in refusal(capsys, *family, "--seeds", "0")
    assert "must be positive" in refusal(capsys, *family, "--time-limit", "-3")
    assert "256 MiB" in refusal(capsys, *family, "--memory-limit", "1")
    assert "neither a folder nor one of relpscost" in refusal(capsys, "evaluate", "relpscots", "--family", "set-cover")
    assert "goes with --family" in refusal(capsys, *instances, models, "--size", "easy", *out)
    assert "holds no problem files" in refusal(capsys, *instances, tmp_path, *out)
    assert "n_tree_instances = -1" in refusal(capsys, *instances, models, "--trees", "-1", *out)
    assert "shift 0.0 must be positive" in refusal(capsys, *instances, models, "--shift", "0", *out)
    assert "settings 'fast' are unknown" in refusal(capsys, *instances, models, "--settings", "fast", *out)
    assert "cannot be read" in refusal(capsys, *instances, models, "--solu", tmp_path / "none.solu", *out)
    (tmp_path / "file").write_text("")
    assert "cannot write" in refusal(capsys, *instances, models, "--out", tmp_path / "file" / "below")
    empty = tmp_path / "policy"
    empty.mkdir()
    (empty / "card.json").write_text("{}")
    assert "card.json" in refusal(capsys, "evaluate", empty, "--instances", models, *out)
    assert "must end in .html" in refusal(capsys, "report", models, "--out", tmp_path / "page.txt")
    assert "holds neither" in refusal(capsys, "report", models)
    assert not (tmp_path / "out" / "rows").exists()


def test_lists_name_files_with_or_without_endings(models: Path, tmp_path: Path) -> None:
    names = sorted(path.name for path in models.iterdir())
    (models / "some.test").write_text(f"# three\n{names[0]}\n\n{names[1].removesuffix('.lp')}  # no ending\n")
    listed = read_instances(models / "some.test")
    assert [Path(file.path).name for file in listed] == names[:2]
    assert {file.family for file in listed} == {"some"}
    single = read_instances(models / names[2])
    assert [(Path(file.path).name, file.family) for file in single] == [(names[2], "models")]
    (tmp_path / "bad.test").write_text("missing.mps.gz\n")
    with pytest.raises(InputError, match=r"missing\.mps\.gz does not exist"):
        read_instances(tmp_path / "bad.test")
    (tmp_path / "binary.test").write_bytes(b"\x8f\xff\x00")
    with pytest.raises(InputError, match="neither a problem file nor a text file"):
        read_instances(tmp_path / "binary.test")
    (tmp_path / "empty.test").write_text("# nothing\n")
    with pytest.raises(InputError, match="names no problem files"):
        read_instances(tmp_path / "empty.test")


def test_a_second_evaluation_of_the_same_folder_is_refused(tmp_path: Path) -> None:
    request = EvaluationRequest(
        instances=(toy_instance("a"),),
        policies=(PolicySpec(name="pscost"),),
        limits=ResourceLimits(time_limit_seconds=60.0),
        target="toys:solve_well",
    )
    with exclusive(tmp_path, work=LOCKED_WORK), pytest.raises(InputError, match="another evaluation is running"):
        run_evaluation(request, tmp_path)


def test_several_folders_make_one_page_and_one_markdown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = made_up_rows()
    for family in ("set-cover", "combinatorial-auction"):
        folder = tmp_path / family
        folder.mkdir()
        write_results(folder / "results.parquet", [row for row in rows if row.family == family])
        write_conditions(folder, Conditions(time_limit_seconds=TIME_LIMIT, command=f"evaluate gcnn --family {family}"))
    page = tmp_path / "results" / "easy.html"
    folders = [str(tmp_path / family) for family in ("set-cover", "combinatorial-auction")]
    assert main(["report", *folders, "--out", str(page)]) == 0
    assert capsys.readouterr().out.split() == [str(page), str(page.with_suffix(".md"))]
    text = page.with_suffix(".md").read_text()
    assert text.startswith("# Branching rules on 2 kinds of instances\n")
    assert "| all | paper | gcnn | 32/32 |" in text
    assert "- Processor: Toy CPU" in text
    assert "pyscipopt 6.3.0" in text
    commands = text[text.index("```") :].splitlines()[1:3]
    assert commands == ["evaluate gcnn --family set-cover", "evaluate gcnn --family combinatorial-auction"]
    assert "Instance by instance" not in text
    assert "![Time against relpscost](easy.svg)" in text
    assert page.with_suffix(".svg").read_text().startswith("<?xml")
    write_conditions(tmp_path / "set-cover", Conditions(time_limit_seconds=TIME_LIMIT, baseline="pscost"))
    assert "baselines differ" in refusal(capsys, "report", *folders, "--out", page)
    assert "no solve of highs" in refusal(capsys, "report", *folders, "--baseline", "highs", "--out", page)
    assert main(["report", *folders, "--baseline", "pscost", "--out", str(page)]) == 0
    text = page.with_suffix(".md").read_text()
    assert "Paired ratios to pscost" in text
    assert "Time against relpscost" not in text


def test_the_same_solve_in_two_folders_counts_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_results(tmp_path / name / "results.parquet", made_up_rows(2, 1))
    assert main(["report", str(tmp_path / "one"), str(tmp_path / "two")]) == 0
    page = (tmp_path / "one" / "report.md").read_text()
    assert "32 solves" in page
    assert "32 solves are in several folders" in page
    capsys.readouterr()


def start(models: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "gnn_branching", "evaluate", "pscost", "--instances", str(models)]
    options = ["--seeds", "2", "--workers", "2", "--time-limit", "60", "--out", str(out), *more]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [*command, *options], env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def rows_of(out: Path) -> set[tuple[object, ...]]:
    rows: Sequence[Mapping[str, object]] = pq.read_table(out / "results.parquet").to_pylist()
    found = {tuple(row[name] for name in DETERMINISTIC) for row in rows}
    assert len(found) == len(rows)
    return found


@pytest.mark.slow
def test_killed_at_random_moments_the_command_resumes_to_the_same_rows(models: Path, tmp_path: Path) -> None:
    max(models.iterdir()).unlink()
    whole = start(models, tmp_path / "whole", "--trees", "1")
    began = time.monotonic()
    assert whole.wait() == 0
    duration = time.monotonic() - began
    moments = random.Random(20190601)
    n_kills = 0
    while True:
        process = start(models, tmp_path / "killed", "--trees", "1")
        try:
            # Anywhere from the imports to well into the work; at last it gets the time it needs.
            process.wait(timeout=moments.uniform(0.0, 0.4 * duration) if n_kills < 6 else None)
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            n_kills += 1
    assert process.returncode == 0, process.stderr and process.stderr.read()
    assert n_kills >= 3
    assert rows_of(tmp_path / "killed") == rows_of(tmp_path / "whole")
    assert len(rows_of(tmp_path / "whole")) == 2 * 2 * 2
    assert list((tmp_path / "killed").rglob("*.partial")) == []
    trees = [json.loads((tmp_path / name / "trees.json").read_text()) for name in ("killed", "whole")]
    assert trees[0] == trees[1]
    assert len(trees[0]) == 2, "without a learned rule, every rule's tree is recorded"


@pytest.mark.slow
def test_ctrl_c_ends_with_130_and_keeps_rows(models: Path, tmp_path: Path) -> None:
    process = start(models, tmp_path)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "rows").glob("*.json")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.splitlines() == ["interrupted; what was finished is kept"]
    assert 1 <= len(rows_of(tmp_path)) < 12
