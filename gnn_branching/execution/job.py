"""What happens inside a job's own process."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from typing import Generic

from gnn_branching.contracts import InputError
from gnn_branching.execution.process import die_with, limit_memory
from gnn_branching.execution.protocol import Payload, Result

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


def explain(error: BaseException) -> str:
    """Return what a job's exception says, in one line."""
    text = " ".join(str(error).split())
    return text if isinstance(error, InputError) else f"{type(error).__name__}: {text}".rstrip(": ")


def do_job(function: Callable[[Payload], Result], payload: Payload, memory_limit_mib: int | None) -> JobReport[Result]:
    """Do a job in this process, under a limit of what it may allocate."""
    if memory_limit_mib is not None:
        limit_memory(memory_limit_mib)
    try:
        return JobReport(result=function(payload))
    except Exception as error:
        return JobReport(failure=explain(error))


def run_job(
    pipe: Connection,
    owner: int,
    memory_limit_mib: int | None,
    function: Callable[[Payload], Result],
    payload: Payload,
) -> None:
    """Say that the job has arrived, call ``function``, send the report, and end this process.

    The process leaves the terminal's group, so that Ctrl-C reaches the owner alone, who then kills it: SCIP would take
    the signal for a wish to stop early, and the truncated solve would look like a whole one. An owner that has just
    died reads no report, and hears no complaint.
    """
    with suppress(BrokenPipeError), pipe:
        pipe.send(ARRIVED)
        os.setsid()
        _let_go_of_server()
        die_with(owner)
        pipe.send(do_job(function, payload, memory_limit_mib))


def _let_go_of_server() -> None:
    """Let the fork server, whose death kills this process, die with its owner.

    The server lives as long as anybody holds the pipe that it was started with, and hands it to each of its children.
    """
    held = getattr(forkserver, "_forkserver", None)
    descriptor = getattr(held, "_forkserver_alive_fd", None)
    if held is not None and descriptor is not None:
        os.close(descriptor)
        held._forkserver_alive_fd = None
