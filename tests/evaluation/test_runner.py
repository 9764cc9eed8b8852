from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from conftest import toy_instance, toy_plan
from toys import figures

from gnn_branching.contracts import SolveRecord, SolveStatus
from gnn_branching.evaluation.solves.plan import PolicySpec, ResourceLimits, SolveJob, build_plan
from gnn_branching.evaluation.solves.runner import RunnerOptions, run_plan
from gnn_branching.evaluation.solves.store import RowStore
from gnn_branching.execution.protocol import JobOutcome

WELL = RunnerOptions(n_workers=2, target="toys:solve_well")


def test_rows_come_in_the_order_of_the_plan(plan: tuple[SolveJob, ...], tmp_path: Path) -> None:
    seen: list[str] = []
    rows = run_plan(plan, RowStore(tmp_path), WELL, lambda job, record: seen.append(job.job_id))
    assert [(row.instance, row.policy, row.seed) for row in rows] == [
        (job.instance.path, job.policy.name, job.seed) for job in plan
    ]
    assert sorted(seen) == sorted(job.job_id for job in plan)


def test_what_is_done_is_not_done_again(plan: tuple[SolveJob, ...], tmp_path: Path) -> None:
    store = RowStore(tmp_path)
    first = run_plan(plan[:3], store, WELL)
    fresh: list[SolveJob] = []
    rows = run_plan(plan, store, WELL, lambda job, record: fresh.append(job))
    assert rows[:3] == first
    assert {job.job_id for job in fresh} == {job.job_id for job in plan[3:]}


def test_failures_are_rows_beside_the_others(tmp_path: Path) -> None:
    jobs = build_plan(
        [toy_instance(name, behaviour=name) for name in ("segfault", "raise", "well")],
        [PolicySpec(name="relpscost")],
        seeds=(0,),
        limits=ResourceLimits(time_limit_seconds=60, memory_limit_mib=512),
    )
    rows = run_plan(jobs, RowStore(tmp_path), replace(WELL, target="toys:solve_by_name"))
    assert [row.status for row in rows] == [SolveStatus.CRASHED, SolveStatus.CRASHED, SolveStatus.OPTIMAL]
    again: list[SolveJob] = []
    options = replace(WELL, target="toys:solve_by_name", retry_failures=True)
    run_plan(jobs, RowStore(tmp_path), options, lambda job, record: again.append(job))
    assert {job.instance.family for job in again} == {"segfault", "raise"}


def test_infinite_bounds_survive_the_store(plan: tuple[SolveJob, ...], tmp_path: Path) -> None:
    record = SolveRecord(
        instance="a",
        family="b",
        size="",
        policy="c",
        settings="paper",
        seed=1,
        status=SolveStatus.TIME_LIMIT,
        figures=figures(status=SolveStatus.TIME_LIMIT, primal_bound=float("inf"), dual_bound=float("-inf")),
    )
    store = RowStore(tmp_path)
    store.add(plan[0], record)
    assert store.read(plan) == (record,)
    assert "NaN" not in next(tmp_path.glob("*.json")).read_text()


class BrokenExecutor:
    def run(
        self, function: Callable[[SolveJob], SolveRecord | None], payloads: Sequence[SolveJob]
    ) -> Iterator[JobOutcome[SolveRecord | None]]:
        yield JobOutcome(index=0, result=function(payloads[0]))
        yield JobOutcome(index=1, result=None, failure="node of the cluster lost")


def test_another_executor_may_run_the_solves(tmp_path: Path) -> None:
    options = RunnerOptions(target="toys:solve_well", executor=BrokenExecutor())  # type: ignore[arg-type]
    rows = run_plan(toy_plan(1, seeds=(0,)), RowStore(tmp_path), options)
    assert [row.status for row in rows] == [SolveStatus.OPTIMAL, SolveStatus.CRASHED]
    assert rows[1].detail == "node of the cluster lost"


def test_an_interrupt_stops_the_solves_and_keeps_the_rows(tmp_path: Path) -> None:
    jobs = build_plan(
        [toy_instance("a", behaviour="well"), *(toy_instance(f"b{i}", behaviour="sleep") for i in range(4))],
        [PolicySpec(name="relpscost")],
        seeds=(0,),
        limits=ResourceLimits(time_limit_seconds=600, memory_limit_mib=512),
    )

    def interrupt(job: SolveJob, record: SolveRecord) -> None:
        raise KeyboardInterrupt

    n_threads = threading.active_count()
    store = RowStore(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run_plan(jobs, store, replace(WELL, target="toys:solve_by_name"), interrupt)
    assert [row.instance for row in store.read(jobs)] == ["a.lp"]
    assert threading.active_count() == n_threads
    assert solving_processes() == []


def test_processes_of_another_environment_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = set()
    for number in range(3):
        monkeypatch.setenv("SOMETHING", str(number))
        run_plan(toy_plan(1, seeds=(0,)), RowStore(tmp_path / str(number)), replace(WELL, n_workers=1))
        kept.add(tuple(process.pid for process in serving_processes()))
    assert all(len(pids) == 1 for pids in kept)
    assert len(kept) == 3


DRIVER = """
    import sys
    from pathlib import Path
    from conftest import toy_plan
    from gnn_branching.evaluation.solves.runner import RunnerOptions, run_plan
    from gnn_branching.evaluation.solves.store import RowStore
    run_plan(toy_plan(6), RowStore(Path(sys.argv[1])), RunnerOptions(n_workers=2, target="toys:nap"))
"""


def solving_processes(parent: int | None = None) -> list[int]:
    """Return the processes that solve, and not those that only wait to start one."""
    return [child.pid for child in serving_processes(parent) if _serves(psutil.Process(child.ppid()))]


def serving_processes(parent: int | None = None) -> list[psutil.Process]:
    mine = psutil.Process(parent or os.getpid())
    return [child for child in mine.children(recursive=True) if _serves(child)]


def _serves(process: psutil.Process) -> bool:
    return "gnn_branching.evaluation.solves.server" in process.cmdline()


@pytest.mark.slow
def test_killed_at_random_moments_it_resumes_to_the_same_rows(tmp_path: Path) -> None:
    jobs = toy_plan(6)
    uninterrupted = run_plan(jobs, RowStore(tmp_path / "whole"), replace(WELL, target="toys:nap"))
    command = [sys.executable, "-c", textwrap.dedent(DRIVER), str(tmp_path / "killed")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    moments = random.Random(20190601)
    n_kills = 0
    while True:
        process = subprocess.Popen(command, env=environment)
        wait_for_rows(tmp_path / "killed", n_more=moments.randint(0, 5), process=process)
        time.sleep(moments.uniform(0.0, 0.3))
        if process.poll() is not None:
            assert process.returncode == 0
            break
        orphans = [child.pid for child in serving_processes(process.pid)]
        process.send_signal(signal.SIGKILL)
        process.wait()
        n_kills += 1
        wait_until_gone(orphans)
    store = RowStore(tmp_path / "killed")
    assert n_kills >= 2
    assert store.read(jobs) == uninterrupted
    assert len(list((tmp_path / "killed").iterdir())) == len(jobs)


def wait_for_rows(folder: Path, *, n_more: int, process: subprocess.Popen[bytes]) -> None:
    n_wanted = len(list(folder.glob("*.json"))) + n_more
    while process.poll() is None and len(list(folder.glob("*.json"))) < n_wanted:
        time.sleep(0.02)


def wait_until_gone(pids: list[int], patience_seconds: float = 20.0) -> None:
    deadline = time.monotonic() + patience_seconds
    while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids):
        assert time.monotonic() < deadline, "a solve outlived the runner that started it"
        time.sleep(0.05)
