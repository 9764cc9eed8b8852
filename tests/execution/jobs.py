"""Jobs that end in every way a job can."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from gnn_branching.contracts import InputError


def square(number: int) -> int:
    return number * number


def process_id(_: int) -> int:
    return os.getpid()


def big(number: int) -> bytes:
    return bytes([number]) * 5_000_000


def misbehave(how: str) -> str:
    if how == "raise":
        raise ValueError("first line\nsecond line")
    if how == "refuse":
        raise InputError("bad.lp is broken")
    if how == "exit":
        os._exit(7)
    if how == "segfault":
        ctypes.string_at(0)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "sleep":
        time.sleep(600)
    if how == "allocate":
        return str(len(bytearray(3 << 30)))
    return how


class Unimportable:
    """A payload that no other process can build, as if a module had been changed meanwhile."""

    def __reduce__(self) -> tuple[object, ...]:
        return import_what_is_gone, ()


def import_what_is_gone() -> None:
    raise ImportError("cannot import name 'gone'")


def torch_is_loaded(_: int) -> bool:
    import sys

    return "torch" in sys.modules


@dataclass(frozen=True)
class Once:
    """A job that dies the first time it is run."""

    marker: Path


def die_once(job: Once) -> str:
    try:
        job.marker.touch(exist_ok=False)
    except FileExistsError:
        return "survived"
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


@dataclass(frozen=True)
class TakeAlong:
    """A job that ends whoever it is done for, so many times."""

    folder: Path
    times: int


def call(job: TakeAlong) -> str:
    job.folder.mkdir(exist_ok=True)
    n_before = len(list(job.folder.iterdir()))
    if n_before == job.times:
        return "done"
    (job.folder / str(n_before)).touch()
    fork_server = psutil.Process(os.getppid())
    os.kill(fork_server.ppid(), signal.SIGKILL)
    time.sleep(600)
    return "never"


def note_and_sleep(folder: str) -> None:
    (Path(folder) / f"{os.getpid()}").touch()
    time.sleep(600)


class UntilEnough(Sequence[int]):
    """A sequence that ends when enough has been seen."""

    def __init__(self) -> None:
        self.enough = False
        self.n_asked = 0

    def __len__(self) -> int:
        return 10**6

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        if self.enough:
            raise IndexError(index)
        self.n_asked += 1
        return index
