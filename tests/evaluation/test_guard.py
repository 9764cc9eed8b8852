from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from toys import figures

from gnn_branching.contracts import InstanceFile, SolveStatus
from gnn_branching.evaluation.solves.guard import GuardedSolve
from gnn_branching.evaluation.solves.plan import PolicySpec, ResourceLimits, SolveJob
from gnn_branching.evaluation.solves.process import SolvingProcess
from gnn_branching.evaluation.solves.store import dump_job


def make_job(*, time_limit: float = 60.0, memory_mib: int = 512) -> SolveJob:
    return SolveJob(
        instance=InstanceFile(path="toy.lp", family="toys", size="easy", seed=1, sha256="0" * 64),
        policy=PolicySpec(name="relpscost"),
        settings="paper",
        seed=3,
        limits=ResourceLimits(time_limit_seconds=time_limit, memory_limit_mib=memory_mib),
    )


def test_figures_come_back_unchanged() -> None:
    record = GuardedSolve(target="toys:solve_well")(make_job())
    assert record is not None
    assert record.figures == figures(wall_seconds=4.0, n_tree_nodes=len("relpscost"))
    assert (record.instance, record.family, record.size, record.policy) == ("toy.lp", "toys", "easy", "relpscost")
    assert (record.settings, record.seed, record.detail) == ("paper", 3, "")
    assert '"cpu"' in record.versions


def test_each_solve_has_a_process_of_its_own_and_one_thread() -> None:
    first, second = (GuardedSolve(target="toys:report_threads")(make_job()) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.figures is not None
    assert second.figures is not None
    assert first.figures.n_tree_nodes == 1
    assert first.figures.n_lp_iterations != second.figures.n_lp_iterations


@pytest.mark.parametrize(
    ("toy", "status", "words"),
    [
        ("raise_error", SolveStatus.CRASHED, "ValueError: no such problem: toy.lp"),
        ("segfault", SolveStatus.CRASHED, "SIGSEGV"),
        ("exit_silently", SolveStatus.CRASHED, "exit code 0"),
        ("not_there", SolveStatus.CRASHED, "not_there"),
        ("eat_memory_slowly", SolveStatus.KILLED_MEMORY, "resident"),
        ("eat_memory_at_once", SolveStatus.KILLED_MEMORY, "out of memory"),
    ],
)
def test_a_failure_is_a_row_without_figures(toy: str, status: SolveStatus, words: str) -> None:
    record = GuardedSolve(target=f"toys:{toy}")(make_job())
    assert record is not None
    assert record.status is status
    assert record.figures is None
    assert words in record.detail
    assert "\n" not in record.detail


def test_a_solve_may_end_before_anybody_looks(tmp_path: Path) -> None:
    job, target = make_job(), "toys:segfault"
    (tmp_path / "job.json").write_bytes(dump_job(job))
    files = (str(tmp_path / name) for name in ("output.txt", "job.json", "report.json"))
    with SolvingProcess(*files, target) as process:
        while psutil.pid_exists(process.pid):
            time.sleep(0.01)
        assert GuardedSolve(target=target)._watch(process, job).status is SolveStatus.CRASHED


def test_a_stuck_solve_is_killed() -> None:
    record = GuardedSolve(target="toys:sleep_forever", start_allowance_seconds=1.5)(make_job(time_limit=0.5))
    assert record is not None
    assert record.status is SolveStatus.KILLED_TIME
    assert "killed" in record.detail


def test_stopping_makes_no_row() -> None:
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    assert GuardedSolve(target="toys:sleep_forever", stop=stop)(make_job()) is None


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    GuardedSolve(target="toys:segfault")(make_job())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_watching_costs_less_than_one_per_cent_of_the_timed_region() -> None:
    """Processor time, not wall time: all that the harness could take away from the solve it watches."""
    job = make_job()
    spinning = replace(job, instance=replace(job.instance, seed=4))
    start = time.process_time()
    record = GuardedSolve(target="toys:spin")(spinning)
    used_seconds = time.process_time() - start
    assert record is not None
    assert record.figures is not None
    assert used_seconds / record.figures.wall_seconds < 0.01
