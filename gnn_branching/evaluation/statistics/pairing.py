"""Rows of two methods side by side: same instance, same seed, same kind of machine."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gnn_branching.config import BASELINE_RULE
from gnn_branching.contracts import IndexArray, SolveRecord
from gnn_branching.evaluation.statistics.estimators import RatioEstimate, paired_ratio
from gnn_branching.evaluation.statistics.measures import Measure, machine_kind, scored

RunKey = tuple[str, int]
"""Instance and seed."""
Runs = Mapping[RunKey, SolveRecord]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonOptions:
    """How rows are condensed.

    Args:
        time_limit_seconds: What an unsolved run counts for.
        baseline: Rule that every method is compared with, under the same settings.
        time_shift_seconds: Shift of the geometric means of times.
        count_shift: Shift of the geometric means of counts.
        n_resamples: Bootstrap resamples.
        seed: Root of the resamples.
    """

    time_limit_seconds: float
    baseline: str = BASELINE_RULE
    time_shift_seconds: float = 1.0
    count_shift: float = 1.0
    n_resamples: int = 4000
    seed: int = 0

    def shift(self, measure: Measure) -> float:
        """Return the shift of a measure."""
        return self.time_shift_seconds if measure.is_time else self.count_shift


@dataclass(frozen=True, slots=True, order=True)
class Method:
    """A rule under named settings: what a line of a table stands for."""

    settings: str
    policy: str

    @property
    def label(self) -> str:
        """Name for pictures."""
        return self.policy if self.settings == "paper" else f"{self.policy} ({self.settings})"


def runs_by_method(records: Iterable[SolveRecord]) -> dict[Method, dict[RunKey, SolveRecord]]:
    """Sort rows by method, then by instance and seed."""
    runs: dict[Method, dict[RunKey, SolveRecord]] = {}
    for record in sorted(records, key=lambda record: (record.instance, record.seed)):
        runs.setdefault(Method(record.settings, record.policy), {})[record.instance, record.seed] = record
    return runs


def ratio_of(candidate: Runs, baseline: Runs, measure: Measure, options: ComparisonOptions) -> RatioEstimate:
    """Return the paired ratio of one measure between two methods' runs.

    Time: every pair run on one kind of processor, unsolved runs at the limit. Counts: pairs that both solved.
    """
    limit = options.time_limit_seconds
    keys: list[RunKey] = []
    pairs: list[tuple[float, float]] = []
    for key in sorted(candidate.keys() & baseline.keys()):
        first, second = candidate[key], baseline[key]
        if measure.is_time and machine_kind(first.versions) != machine_kind(second.versions):
            continue
        values = (scored(measure, first, time_limit_seconds=limit), scored(measure, second, time_limit_seconds=limit))
        if not any(map(math.isnan, values)):
            keys.append(key)
            pairs.append(values)
    columns = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return paired_ratio(
        columns[:, 0],
        columns[:, 1],
        instance_numbers(keys),
        shift=options.shift(measure),
        n_resamples=options.n_resamples,
        seed=options.seed,
    )


def instance_numbers(keys: Sequence[RunKey]) -> IndexArray:
    """Number the instances of run keys from 0 in order of name: int64, (n_keys,)."""
    names = sorted({instance for instance, _ in keys})
    numbers = {name: number for number, name in enumerate(names)}
    return np.array([numbers[instance] for instance, _ in keys], dtype=np.int64)


def commonly_solved(methods: Iterable[Runs]) -> tuple[RunKey, ...]:
    """Return the runs that every method solved, sorted."""
    solved = [{key for key, record in runs.items() if record.status.solved} for runs in methods]
    return tuple(sorted(set.intersection(*solved))) if solved else ()


def n_wins(own: Runs, rivals: Iterable[Runs]) -> int:
    """Count the runs that a method solved at least as fast as every rival that solved them (itself included)."""
    best: dict[RunKey, float] = {}
    for runs in rivals:
        for key, record in runs.items():
            if record.status.solved and record.figures is not None:
                best[key] = min(best.get(key, math.inf), record.figures.wall_seconds)
    return sum(
        record.status.solved and record.figures is not None and record.figures.wall_seconds <= best.get(key, math.inf)
        for key, record in own.items()
    )
