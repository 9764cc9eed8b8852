from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import pytest

from gnn_branching.contracts import InputError
from gnn_branching.execution import make_executor
from gnn_branching.execution.protocol import Executor
from tests.execution import jobs


@pytest.fixture(params=["ray", "slurm"])
def executor(request: pytest.FixtureRequest, tmp_path: Path) -> Executor:
    pytest.importorskip({"ray": "ray", "slurm": "submitit"}[request.param])
    return make_executor(request.param, workers=2, slurm_folder=tmp_path / "slurm", slurm_cluster="local")


@pytest.mark.slow
def test_jobs_are_done_and_fail_alone(executor: Executor) -> None:
    ways = ["fine", "raise", "refuse", "kill", "also fine"]
    outcomes = sorted(executor.run(jobs.misbehave, ways), key=lambda outcome: outcome.index)
    assert [outcome.result for outcome in outcomes] == ["fine", None, None, None, "also fine"]
    assert outcomes[1].failure == "ValueError: first line second line"
    assert outcomes[2].failure == "bad.lp is broken"
    assert "process died" in outcomes[3].failure


@pytest.mark.slow
def test_payloads_are_asked_for_late(executor: Executor) -> None:
    payloads = jobs.UntilEnough()
    n_done = 0
    with closing(executor.run(jobs.square, payloads)) as outcomes:
        for outcome in outcomes:
            assert outcome.result == outcome.index**2
            n_done += 1
            payloads.enough = True
    assert n_done == payloads.n_asked < 40


@pytest.mark.slow
def test_what_is_lost_with_its_slurm_job_is_tried_once_more(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    executor = make_executor("slurm", workers=1, slurm_folder=tmp_path / "slurm", slurm_cluster="local")
    works = [jobs.TakeAlong(tmp_path / name, times) for name, times in (("a", 0), ("b", 1), ("c", 2))]
    outcomes = sorted(executor.run(jobs.call, works), key=lambda outcome: outcome.index)
    assert [outcome.result for outcome in outcomes] == ["done", "done", None]
    assert "failed, the second for it" in outcomes[2].failure


@pytest.mark.parametrize(("name", "module"), [("ray", "ray"), ("slurm", "submitit")])
def test_what_is_not_installed_is_named(name: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf"needed for the executor '{name}'; .*gnn-branching\[{name}\]"):
        make_executor(name)


def test_a_missing_cluster_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="executor 'slurm' cannot be used here"):
        make_executor("slurm", slurm_folder=tmp_path)
