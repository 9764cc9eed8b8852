"""What happens inside a job's own process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from typing import Generic, TypeVar

from gnn_branching.execution.process import die_with_parent, limit_memory
from gnn_branching.execution.streaming import explain

Payload = TypeVar("Payload")
Result = TypeVar("Result")

ARRIVED = "arrived"
"""First message of a job's process: it could import all that the job needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReport(Generic[Result]):
    """What a job's process sends back before it ends.

    Args:
        result: What the function returned.
        failure: Why it raised, in one line; empty if it did not.
    """

    result: Result | None = None
    failure: str = ""


def run_job(
    pipe: Connection,
    owner: int,
    memory_limit_mib: int | None,
    function: Callable[[Payload], Result],
    payload: Payload,
) -> None:
    """Say that the job has arrived, call ``function``, send the report, and end this process.

    The process leaves the terminal's group, so that Ctrl-C reaches the owner alone, who then kills it: SCIP would take
    the signal for a wish to stop early, and the truncated solve would look like a whole one.
    """
    pipe.send(ARRIVED)
    os.setsid()
    _die_with_owner(owner)
    if memory_limit_mib is not None:
        limit_memory(memory_limit_mib)
    report: JobReport[Result]
    try:
        report = JobReport(result=function(payload))
    except Exception as error:
        report = JobReport(failure=explain(error))
    pipe.send(report)
    pipe.close()


def _die_with_owner(owner: int) -> None:
    """Ask Linux to kill this process when the fork server dies, and let that one die with its owner.

    The server lives as long as anybody holds the pipe that it was started with, and hands it to each of its children.
    """
    held = getattr(forkserver, "_forkserver", None)
    descriptor = getattr(held, "_forkserver_alive_fd", None)
    if held is not None and descriptor is not None:
        os.close(descriptor)
        held._forkserver_alive_fd = None
    die_with_parent()
    if sys.platform.startswith("linux") and (os.getppid() == 1 or not _exists(owner)):
        os._exit(1)


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
