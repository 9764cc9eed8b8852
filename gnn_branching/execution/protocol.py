"""What every executor is, and how its jobs end."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

Payload = TypeVar("Payload")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOutcome(Generic[Result]):
    """How one job of an executor ended.

    Args:
        index: Position of the job in the sequence given to the executor.
        result: What the job returned; None iff it failed.
        failure: One line on why it failed (exception, signal, memory, time-out); empty if it did not.
    """

    index: int
    result: Result | None
    failure: str = ""


Outcomes = Generator[JobOutcome[Result], None, None]
"""Outcomes as jobs end; closing it stops those that still run."""


class Executor(Protocol):
    """Runs independent jobs somewhere; a job that crashes its process fails alone."""

    def run(self, function: Callable[[Payload], Result], payloads: Sequence[Payload]) -> Outcomes[Result]:
        """Call ``function`` on every payload, and yield outcomes in order of completion.

        ``function`` is importable, payloads and results are picklable; closing the generator stops the rest.
        """
        ...
