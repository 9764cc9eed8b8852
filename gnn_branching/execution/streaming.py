"""Read an executor's outcomes so that the rest is stopped when nobody reads on."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

from gnn_branching.contracts import InputError
from gnn_branching.execution.protocol import Executor, JobOutcome

Payload = TypeVar("Payload")
Result = TypeVar("Result")


def outcomes_of(
    executor: Executor, function: Callable[[Payload], Result], payloads: Sequence[Payload]
) -> Generator[JobOutcome[Result], None, None]:
    """Yield an executor's outcomes; closing this generator stops the jobs that still run."""
    yield from executor.run(function, payloads)


def explain(error: BaseException) -> str:
    """Return what a job's exception says, in one line."""
    text = " ".join(str(error).split())
    return text if isinstance(error, InputError) else f"{type(error).__name__}: {text}".rstrip(": ")
