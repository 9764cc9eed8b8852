"""Kill the collector, its workers and its disk: the dataset comes out the same."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from gnn_branching.collection import collect_dataset
from gnn_branching.contracts import InputError
from gnn_branching.execution import LocalExecutor, make_executor
from gnn_branching.execution.protocol import Executor
from gnn_branching.shards import open_dataset, open_episode
from tests.collection.toys import contents, toy_config, toy_instances, toy_sampler

ROOT = Path(__file__).parents[2]


N_TRAIN = 40
N_TRAIN_FOR_TWENTY_KILLS = 400


def start(folder: Path, n_train: int = N_TRAIN, *, limit_bytes: int | None = None) -> subprocess.Popen[str]:
    def limit() -> None:
        if limit_bytes is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    return subprocess.Popen(
        [sys.executable, "-m", "tests.collection.collector", str(folder), str(n_train)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limit,
    )


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert start(folder).wait(120) == 0
    return contents(folder / "d")


def n_shards(folder: Path) -> int:
    return len(list((folder / "d").rglob("episode-*.arrow")))


def kill_at_random_moments(folder: Path, n_kills: int, n_train: int) -> int:
    """Kill collectors of one dataset, each at a random moment of its work, and return how many were killed."""
    rng = np.random.default_rng(n_kills)
    n_killed = 0
    for _ in range(n_kills):
        process = start(folder, n_train)
        n_before = n_shards(folder)
        deadline = time.monotonic() + 60
        while process.poll() is None and n_shards(folder) <= n_before and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(rng.random() * 0.15)
        n_killed += process.poll() is None
        process.kill()
        process.communicate()
    return n_killed


def check_killed(folder: Path, n_kills: int, n_train: int, reference: dict[str, bytes]) -> None:
    assert kill_at_random_moments(folder, n_kills, n_train) == n_kills
    for path in (folder / "d").rglob("*.arrow"):
        open_episode(path).verify()
    assert start(folder, n_train).wait(120) == 0
    assert contents(folder / "d") == reference


def test_a_killed_collector_resumes_to_the_same_dataset(tmp_path: Path, reference: dict[str, bytes]) -> None:
    check_killed(tmp_path, 2, N_TRAIN, reference)


@pytest.mark.slow
def test_twenty_kills_change_nothing(tmp_path: Path) -> None:
    assert start(tmp_path / "undisturbed", N_TRAIN_FOR_TWENTY_KILLS).wait(120) == 0
    check_killed(tmp_path / "killed", 20, N_TRAIN_FOR_TWENTY_KILLS, contents(tmp_path / "undisturbed" / "d"))


def test_killed_workers_change_nothing(tmp_path: Path, reference: dict[str, bytes]) -> None:
    process = start(tmp_path)
    collector = psutil.Process(process.pid)
    rng = np.random.default_rng(0)
    n_killed = 0
    while process.poll() is None and n_killed < 4:
        try:
            server = [child for child in collector.children() if "forkserver" in " ".join(child.cmdline())]
            workers = [worker for one in server for worker in one.children()]
            if workers:
                workers[int(rng.integers(len(workers)))].send_signal(signal.SIGKILL)
                n_killed += 1
        except psutil.NoSuchProcess:
            continue
        time.sleep(0.1)
    assert process.wait(120) == 0
    assert n_killed >= 3
    assert contents(tmp_path / "d") == reference


def test_a_full_disk_is_one_clear_error(tmp_path: Path, reference: dict[str, bytes]) -> None:
    largest = max(len(content) for name, content in reference.items() if name.endswith(".arrow"))
    process = start(tmp_path, limit_bytes=largest - 1)
    _, message = process.communicate(timeout=120)
    assert process.returncode == 2
    assert message.startswith("cannot write ")
    assert "no space is left; free some and run the same command again" in message
    assert message.count("\n") == 1
    kept = list((tmp_path / "d" / "train").glob("episode-*"))
    assert kept
    assert start(tmp_path).wait(120) == 0
    assert contents(tmp_path / "d") == reference


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", folder], check=False).returncode == 0
    if not mounted:
        pytest.skip("no right to mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root mounts disks")
def test_a_disk_that_fills_up_loses_nothing(small_disk: Path, tmp_path: Path, reference: dict[str, bytes]) -> None:
    instances = toy_instances(tmp_path / "i")
    arguments = (toy_config(N_TRAIN, 4, 3), instances, small_disk / "d", LocalExecutor(workers=2))
    with pytest.raises(InputError, match="no space is left; free some and run the same command again"):
        collect_dataset(*arguments, sampler=toy_sampler)
    kept = {name: content for name, content in contents(small_disk / "d").items() if name.endswith(".arrow")}
    assert len(kept) > 3
    subprocess.run(["mount", "-o", "remount,size=40m", small_disk], check=True)
    collect_dataset(*arguments, sampler=toy_sampler)
    found = contents(small_disk / "d")
    assert found == reference
    assert all(found.get(name, content) == content for name, content in kept.items())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ray", "slurm"])
def test_executors_change_nothing(name: str, tmp_path: Path, reference: dict[str, bytes]) -> None:
    pytest.importorskip({"ray": "ray", "slurm": "submitit"}[name])
    executor: Executor = make_executor(name, workers=2, slurm_folder=tmp_path / "slurm", slurm_cluster="local")
    collect_dataset(
        toy_config(N_TRAIN, 4, 3), toy_instances(tmp_path / "i"), tmp_path / "d", executor, sampler=toy_sampler
    )
    assert contents(tmp_path / "d") == reference
    assert len(open_dataset(tmp_path / "d", "train")) == N_TRAIN
