from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from gnn_branching.contracts import InputError
from gnn_branching.execution import LocalExecutor, make_executor
from gnn_branching.execution.job import ARRIVED, run_job
from gnn_branching.execution.local import _Job, _Running
from gnn_branching.execution.protocol import Executor, JobOutcome
from tests.execution import jobs

INTERRUPTED = """
import signal
import sys
from contextlib import closing
from gnn_branching.execution import LocalExecutor
from tests.execution.jobs import note_and_sleep

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with it ignored
    with closing(LocalExecutor(workers=2).run(note_and_sleep, [sys.argv[1]] * 2)) as outcomes:
        list(outcomes)
"""


def by_index(outcomes: Sequence[JobOutcome[object]]) -> list[JobOutcome[object]]:
    return sorted(outcomes, key=lambda outcome: outcome.index)


def is_running(process: int) -> bool:
    status = Path(f"/proc/{process}/stat")
    try:
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: object, seconds: float = 60.0) -> bool:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_every_job_is_done_once() -> None:
    executor: Executor = LocalExecutor(workers=3)
    outcomes = list(executor.run(jobs.square, range(20)))
    assert [outcome.result for outcome in by_index(outcomes)] == [n * n for n in range(20)]
    assert [outcome.failure for outcome in outcomes] == [""] * 20
    assert list(executor.run(jobs.square, [])) == []


def test_every_job_has_a_fresh_process_without_torch() -> None:
    processes = {outcome.result for outcome in LocalExecutor(workers=1).run(jobs.process_id, range(4))}
    assert len(processes) == 4
    assert os.getpid() not in processes
    assert [outcome.result for outcome in LocalExecutor(workers=1).run(jobs.torch_is_loaded, [0])] == [False]


def test_results_larger_than_a_pipe_come_back_whole() -> None:
    outcomes = by_index(list(LocalExecutor(workers=2).run(jobs.big, range(3))))
    assert [outcome.result for outcome in outcomes] == [bytes([n]) * 5_000_000 for n in range(3)]


def test_a_job_fails_alone_and_says_why() -> None:
    ways = ["fine", "raise", "refuse", "exit", "segfault", "kill", "also fine"]
    outcomes = by_index(list(LocalExecutor(workers=2, attempts=1).run(jobs.misbehave, ways)))
    assert [outcome.result for outcome in outcomes] == ["fine", None, None, None, None, None, "also fine"]
    assert [outcome.failure for outcome in outcomes] == [
        "",
        "ValueError: first line second line",
        "bad.lp is broken",
        "process ended with exit code 7",
        "process died of SIGSEGV",
        "process died of SIGKILL (out of memory?)",
        "",
    ]


def test_limits_are_enforced() -> None:
    late = list(LocalExecutor(workers=2, time_limit_seconds=0.5).run(jobs.misbehave, ["sleep", "fine"]))
    assert sorted(outcome.failure for outcome in late) == ["", "killed after 0.5 s"]
    (large,) = LocalExecutor(workers=1, memory_limit_mib=1024).run(jobs.misbehave, ["allocate"])
    assert large.failure == "MemoryError"


def test_a_job_whose_process_dies_is_tried_again(tmp_path: Path) -> None:
    (outcome,) = LocalExecutor(workers=1).run(jobs.die_once, [jobs.Once(tmp_path / "died")])
    assert outcome.result == "survived"
    (outcome_of_killer,) = LocalExecutor(workers=1).run(jobs.misbehave, ["kill"])
    assert outcome_of_killer.failure == "process died of SIGKILL (out of memory?), 3 times"


def test_processes_that_cannot_start_are_no_jobs_fault() -> None:
    outcomes = LocalExecutor(workers=1).run(jobs.misbehave, ["fine", jobs.Unimportable()])
    assert next(outcomes).result == "fine"
    with pytest.raises(InputError, match="worker processes cannot start"):
        next(outcomes)


class LatePipe:
    """The end of a pipe through which a message comes right after the first look."""

    def __init__(self) -> None:
        self._near, self._far = multiprocessing.Pipe(duplex=False)
        self._sent = False
        self.recv = self._near.recv

    def poll(self) -> bool:
        found = self._near.poll()
        if not self._sent:
            self._far.send(ARRIVED)
            self._sent = True
        return found


def test_an_arrival_between_two_looks_is_no_end() -> None:
    living = multiprocessing.current_process()
    item = _Running(job=_Job(index=0, payload=None), process=living, pipe=LatePipe(), deadline=None)  # type: ignore[arg-type]
    assert not item.is_over()
    assert not item.is_over()
    assert item.has_arrived
    assert item.receive() is None


def test_payloads_are_asked_for_late() -> None:
    payloads = jobs.UntilEnough()
    n_done = 0
    for _ in LocalExecutor(workers=2).run(jobs.square, payloads):
        n_done += 1
        payloads.enough = n_done >= 5
    assert n_done == payloads.n_asked
    assert 5 <= n_done <= 7


def test_closing_kills_what_runs(tmp_path: Path) -> None:
    with closing(LocalExecutor(workers=3).run(jobs.misbehave, ["fine", "sleep", "sleep"])) as outcomes:
        assert next(outcomes).result == "fine"
        start = time.monotonic()
    assert time.monotonic() - start < 60


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_no_job_outlives_its_owner(sign: signal.Signals, tmp_path: Path) -> None:
    script, notes = tmp_path / "script.py", tmp_path / "notes"
    script.write_text(INTERRUPTED)
    notes.mkdir()
    root = str(Path(__file__).parents[2])
    owner = subprocess.Popen(
        [sys.executable, str(script), str(notes)], env={**os.environ, "PYTHONPATH": root}, stderr=subprocess.DEVNULL
    )
    try:
        assert wait_until(lambda: len(list(notes.iterdir())) == 2)
        owner.send_signal(sign)
        owner.wait(30)
        assert wait_until(lambda: not any(is_running(int(note.name)) for note in notes.iterdir()))
    finally:
        owner.kill()


def test_a_report_that_nobody_awaits_is_dropped_in_silence(capfd: pytest.CaptureFixture[str]) -> None:
    context = multiprocessing.get_context("spawn")
    pipe, far_end = context.Pipe(duplex=False)
    process = context.Process(target=run_job, args=(far_end, os.getpid(), None, jobs.square, 2))
    pipe.close()
    process.start()
    far_end.close()
    process.join(60)
    assert (process.exitcode, capfd.readouterr().err) == (0, "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": -1}, "workers = -1 must be"),
        ({"time_limit_seconds": 0.0}, r"time_limit_seconds = 0\.0 must be positive"),
        ({"memory_limit_mib": -5}, "memory_limit_mib = -5 must be positive"),
        ({"name": "kubernetes"}, "executor 'kubernetes' is none of local, ray, slurm"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_executor(**options)  # type: ignore[arg-type]
