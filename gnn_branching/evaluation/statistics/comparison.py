"""From rows to one line per method: means, wins, solved, paired ratios, the price of a decision."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gnn_branching.config import BASELINE_RULE
from gnn_branching.contracts import SolveFigures, SolveRecord, SolveStatus
from gnn_branching.evaluation.statistics.estimators import (
    RatioEstimate,
    mean_instance_deviation_percent,
    shifted_geometric_mean,
)
from gnn_branching.evaluation.statistics.measures import CPU_TIME, MEASURES, TIME, scored
from gnn_branching.evaluation.statistics.pairing import (
    ComparisonOptions,
    Method,
    RunKey,
    Runs,
    commonly_solved,
    instance_numbers,
    n_wins,
    ratio_of,
    runs_by_method,
)

UNTOUCHED = Method(settings="default", policy=BASELINE_RULE)
"""What a user has who never heard of us: the second baseline."""
ALL = "all"
"""Family and size of the group over everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How a method's runs ended.

    Args:
        n_solves: Runs.
        n_solved: Runs that ended with a proof.
        n_wins: Runs solved fastest among the methods of the same settings.
        n_timeouts: Runs stopped by the time limit, by SCIP or from outside.
        n_failures: Runs that crashed or were killed for memory.
    """

    n_solves: int
    n_solved: int
    n_wins: int
    n_timeouts: int
    n_failures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """Shifted geometric means; NaN of nothing.

    Args:
        time_seconds: Wall time; unsolved runs count at the limit.
        time_deviation_percent: Mean per-instance standard deviation of the wall time over seeds.
        cpu_seconds: CPU time; unsolved runs count at the limit.
        root_seconds: Time until the first branching, over runs that came back.
        primal_dual_integral: Over runs that came back, per cent · seconds.
        n_commonly_solved: Runs that every method of these settings solved; what follows is over these.
        nodes: Tree nodes.
        fair_nodes: Tree nodes, corrected for what strong branching does for free.
        lp_iterations: All LP iterations.
        strong_branching_lp_iterations: LP iterations inside strong branching.
    """

    time_seconds: float
    time_deviation_percent: float
    cpu_seconds: float
    root_seconds: float
    primal_dual_integral: float
    n_commonly_solved: int
    nodes: float
    fair_nodes: float
    lp_iterations: float
    strong_branching_lp_iterations: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionPrice:
    """What the learned rule's decisions cost; times are NaN without decisions.

    Args:
        n_decisions: Decisions, all runs.
        n_fallbacks: Tree nodes handed over to SCIP, all runs.
        decision_ms: Mean wall time of a decision: features, inference and the rest.
        feature_ms: Of which candidates and features.
        inference_ms: Of which inference.
        share_percent: Decisions' share of the wall time.
    """

    n_decisions: int
    n_fallbacks: int
    decision_ms: float
    feature_ms: float
    inference_ms: float
    share_percent: float

    @property
    def rest_ms(self) -> float:
        """What is neither features nor inference: callbacks, creating children."""
        return max(self.decision_ms - self.feature_ms - self.inference_ms, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodFigures:
    """One method on one group of instances.

    Args:
        method: The rule and its settings.
        counts: How its runs ended.
        means: What they took.
        price: What its decisions cost.
        ratios: Paired ratios against the baseline under the same settings, by ``Measure.key``.
        user_time_ratio: Paired time ratio against untouched SCIP.
    """

    method: Method
    counts: Counts
    means: Means
    price: DecisionPrice
    ratios: Mapping[str, RatioEstimate]
    user_time_ratio: RatioEstimate

    @property
    def is_learned(self) -> bool:
        """Whether a learned rule was asked in these runs, whatever came of it."""
        return self.price.n_decisions + self.price.n_fallbacks > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupComparison:
    """All methods on the instances of one family and size.

    Args:
        family: Family, or ``all``.
        size: Size, or ``all``.
        n_instances: Distinct instances.
        n_seeds: Distinct seeds.
        methods: One line per method: ``paper`` settings first, in them the baseline first, then by time.
    """

    family: str
    size: str
    n_instances: int
    n_seeds: int
    methods: tuple[MethodFigures, ...]


def compare(records: Sequence[SolveRecord], options: ComparisonOptions) -> tuple[GroupComparison, ...]:
    """Condense rows by family and size, and, if there is more than one group, over everything.

    Over everything, only methods that ran everywhere are compared.
    """
    groups: dict[tuple[str, str], list[SolveRecord]] = {}
    for record in records:
        groups.setdefault((record.family, record.size), []).append(record)
    parts = [_compare_group(own, family=key[0], size=key[1], options=options) for key, own in groups.items()]
    if len(parts) > 1:
        parts.append(_compare_group(_of_complete_methods(records), family=ALL, size=ALL, options=options))
    return tuple(parts)


def _of_complete_methods(records: Sequence[SolveRecord]) -> list[SolveRecord]:
    """Keep the rows of methods that ran wherever any method of the same settings did: means must share their runs."""
    runs = runs_by_method(records)
    complete: set[Method] = set()
    for method, own in runs.items():
        rivals = [other for name, other in runs.items() if name.settings == method.settings]
        if own.keys() == set().union(*rivals):
            complete.add(method)
    return [record for record in records if Method(record.settings, record.policy) in complete]


def _compare_group(
    records: Sequence[SolveRecord], *, family: str, size: str, options: ComparisonOptions
) -> GroupComparison:
    runs = runs_by_method(records)
    lines = [_method_figures(method, runs, options) for method in runs]
    return GroupComparison(
        family=family,
        size=size,
        n_instances=len({record.instance for record in records}),
        n_seeds=len({record.seed for record in records}),
        methods=tuple(sorted(lines, key=lambda line: _rank(line, options.baseline))),
    )


def _rank(line: MethodFigures, baseline: str) -> tuple[bool, str, bool, float, str]:
    method = line.method
    is_rival = method.policy != baseline
    return (method.settings != "paper", method.settings, is_rival, line.means.time_seconds, method.policy)


def _method_figures(method: Method, runs: Mapping[Method, Runs], options: ComparisonOptions) -> MethodFigures:
    own = runs[method]
    rivals = [other for name, other in runs.items() if name.settings == method.settings]
    baseline = runs.get(Method(method.settings, options.baseline), {})
    return MethodFigures(
        method=method,
        counts=_counts(own, rivals),
        means=_means(own, commonly_solved(rivals), options),
        price=decision_price(own.values()),
        ratios={measure.key: ratio_of(own, baseline, measure, options) for measure in MEASURES},
        user_time_ratio=ratio_of(own, runs.get(UNTOUCHED, {}), TIME, options),
    )


def _counts(own: Runs, rivals: Sequence[Runs]) -> Counts:
    statuses = [record.status for record in own.values()]
    return Counts(
        n_solves=len(own),
        n_solved=sum(status.solved for status in statuses),
        n_wins=n_wins(own, rivals),
        n_timeouts=sum(status in (SolveStatus.TIME_LIMIT, SolveStatus.KILLED_TIME) for status in statuses),
        n_failures=sum(status in (SolveStatus.CRASHED, SolveStatus.KILLED_MEMORY) for status in statuses),
    )


def _means(own: Runs, common: Sequence[RunKey], options: ComparisonOptions) -> Means:
    limit, time_shift = options.time_limit_seconds, options.time_shift_seconds
    keys = sorted(own)
    seconds = np.array([scored(TIME, own[key], time_limit_seconds=limit) for key in keys])
    cpu = np.array([scored(CPU_TIME, own[key], time_limit_seconds=limit) for key in keys])
    came_back = [record.figures for record in own.values() if record.figures is not None]
    shared = [figures for key in common if (figures := own[key].figures) is not None]
    return Means(
        time_seconds=shifted_geometric_mean(seconds, time_shift),
        time_deviation_percent=mean_instance_deviation_percent(seconds, instance_numbers(keys)),
        cpu_seconds=shifted_geometric_mean(cpu, time_shift),
        root_seconds=_mean(came_back, lambda figures: figures.root_seconds, time_shift),
        primal_dual_integral=_mean(came_back, lambda figures: figures.primal_dual_integral, time_shift),
        n_commonly_solved=len(shared),
        nodes=_mean(shared, lambda figures: figures.n_tree_nodes, options.count_shift),
        fair_nodes=_mean(shared, lambda figures: figures.n_fair_nodes, options.count_shift),
        lp_iterations=_mean(shared, lambda figures: figures.n_lp_iterations, options.count_shift),
        strong_branching_lp_iterations=_mean(
            shared, lambda figures: figures.n_strong_branching_lp_iterations, options.count_shift
        ),
    )


def _mean(runs: Sequence[SolveFigures], value: Callable[[SolveFigures], float], shift: float) -> float:
    values = np.array([value(figures) for figures in runs], dtype=np.float64)
    return shifted_geometric_mean(values[np.isfinite(values)], shift)


def decision_price(records: Iterable[SolveRecord]) -> DecisionPrice:
    """Add up what the learned rule did in some runs."""
    runs = [record.figures for record in records if record.figures is not None]
    rules = [figures.rule for figures in runs]
    n_decisions = sum(rule.n_decisions for rule in rules)
    wall_seconds = sum(figures.wall_seconds for figures in runs)
    decision_seconds = sum(rule.decision_seconds for rule in rules)
    ms_per_decision = 1e3 / n_decisions if n_decisions else math.nan
    return DecisionPrice(
        n_decisions=n_decisions,
        n_fallbacks=sum(rule.n_fallbacks for rule in rules),
        decision_ms=decision_seconds * ms_per_decision,
        feature_ms=sum(rule.feature_seconds for rule in rules) * ms_per_decision,
        inference_ms=sum(rule.inference_seconds for rule in rules) * ms_per_decision,
        share_percent=100 * decision_seconds / wall_seconds if n_decisions and wall_seconds > 0 else math.nan,
    )
