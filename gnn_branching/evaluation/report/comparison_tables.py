"""The tables of an evaluation: outcome, ratios, effort, price of a decision, instances, failures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from gnn_branching.contracts import AgreementRecord, SolveRecord, SolveStatus
from gnn_branching.evaluation.report.tables import (
    EMPTY,
    GROUP_KEY,
    Cell,
    Column,
    Table,
    Tone,
    format_p,
    integer,
    number,
    ratio,
    words,
)
from gnn_branching.evaluation.solves.known_optima import instance_stem
from gnn_branching.evaluation.statistics.branching_agreement import (
    DepthAgreement,
    agreement_by_depth,
    depth_range,
    overall_agreement,
)
from gnn_branching.evaluation.statistics.comparison import ALL, GroupComparison, MethodFigures
from gnn_branching.evaluation.statistics.estimators import shifted_geometric_mean
from gnn_branching.evaluation.statistics.measures import MEASURES, TIME, scored
from gnn_branching.evaluation.statistics.pairing import ComparisonOptions, Method, runs_by_method

_GROUP = Column(key=GROUP_KEY, title="Instances", is_number=False)
_SETTINGS = Column(key="settings", title="Settings", is_number=False, note="named SCIP settings")
_METHOD = Column(key="policy", title="Rule", is_number=False)
_KEYS = (_GROUP, _SETTINGS, _METHOD)
KEY_COLUMNS = (GROUP_KEY, "kind", "settings")
"""Columns that say nothing where all rows are of one kind, which a title states anyway."""


def group_title(family: str, size: str) -> str:
    """Return ``set-cover, easy``; ``all`` for everything together."""
    return family if family == ALL or not size else f"{family}, {size}"


def all_tables(
    records: Sequence[SolveRecord], groups: Sequence[GroupComparison], options: ComparisonOptions
) -> tuple[Table, ...]:
    """Return every table that has rows, the outcome first."""
    tables = (
        outcome_table(groups, options),
        ratio_table(groups, options),
        effort_table(groups),
        price_table(groups),
        instance_table(records, options),
        failure_table(records),
    )
    return tuple(table for table in tables if table.rows)


def outcome_table(groups: Sequence[GroupComparison], options: ComparisonOptions) -> Table:
    """Return the table to look at first: solved, wins, time, and the ratio to the baseline."""
    columns = (
        *_KEYS,
        Column(key="solved", title="Solved", note="runs that ended with a proof"),
        Column(key="wins", title="Wins", note="runs solved fastest under these settings"),
        Column(key="time_seconds", title="Time s", note="shifted geometric mean; unsolved at the limit"),
        Column(key="time_deviation_percent", title="± %", note="mean per-instance deviation over seeds"),
        Column(key="time_ratio", title=f"Time / {options.baseline}", has_interval=True, note="below 1 is faster"),
        Column(key="p", title="p", note="Wilcoxon signed-rank test over instances"),
        Column(key="nodes", title="Nodes", note="shifted geometric mean over runs that all rules solved"),
    )
    rows = tuple(
        (
            *keys,
            Cell(text=f"{line.counts.n_solved}/{line.counts.n_solves}", value=line.counts.n_solved),
            integer(line.counts.n_wins),
            number(line.means.time_seconds),
            number(line.means.time_deviation_percent, digits=2),
            *_ratio_and_p(line, options.baseline),
            number(line.means.nodes),
        )
        for keys, line in _lines(groups)
    )
    shift = f"{options.time_shift_seconds:g}-shifted geometric means"
    note = f"{shift}; unsolved runs count {options.time_limit_seconds:g} s; intervals: 95 %, bootstrap over instances."
    return Table(name="outcome", title="Outcome", note=note, columns=columns, rows=rows)


def ratio_table(groups: Sequence[GroupComparison], options: ComparisonOptions) -> Table:
    """Return every paired ratio with its interval."""
    columns = (
        *_KEYS,
        *(
            Column(key=f"{measure.key}_ratio", title=measure.title[0].upper() + measure.title[1:], has_interval=True)
            for measure in MEASURES
        ),
        Column(
            key="user_time_ratio",
            title="Time / default SCIP",
            has_interval=True,
            note=f"against {options.baseline} under SCIP's default settings",
        ),
    )
    rows = tuple(
        (*keys, *(ratio(line.ratios[measure.key]) for measure in MEASURES), ratio(line.user_time_ratio))
        for keys, line in _lines(groups)
        if line.method.policy != options.baseline
    )
    note = "Below 1 is better. Times: all pairs. Nodes and LP iterations: pairs that both rules solved."
    title = f"Paired ratios to {options.baseline}"
    return Table(name="ratios", title=title, note=note, columns=columns, rows=rows)


def effort_table(groups: Sequence[GroupComparison]) -> Table:
    """Return what does not depend on the machine's load, and the clocks that do."""
    columns = (
        *_KEYS,
        Column(key="n_commonly_solved", title="Runs", note="runs that every rule under these settings solved"),
        Column(key="nodes", title="Nodes"),
        Column(key="fair_nodes", title="Fair nodes", note="corrected for what strong branching does for free"),
        Column(key="lp_iterations", title="LP iter.", note="LP iterations"),
        Column(key="strong_branching_lp_iterations", title="of these strong br."),
        Column(
            key="primal_dual_integral", title="P–D integral", note="primal–dual integral, per cent · seconds, all runs"
        ),
        Column(key="root_seconds", title="Root s", note="until the first branching: no rule can save it"),
        Column(key="cpu_seconds", title="CPU s"),
    )
    rows = []
    for keys, line in _lines(groups):
        means = line.means
        counts = (means.nodes, means.fair_nodes, means.lp_iterations, means.strong_branching_lp_iterations)
        clocks = (means.primal_dual_integral, means.root_seconds, means.cpu_seconds)
        rows.append((*keys, integer(means.n_commonly_solved), *map(number, counts), *map(number, clocks)))
    note = "Nodes and LP iterations: shifted geometric means over runs that every rule under these settings solved."
    return Table(name="effort", title="Effort", note=note, columns=columns, rows=tuple(rows))


def price_table(groups: Sequence[GroupComparison]) -> Table:
    """Return what a learned decision costs; no row for SCIP's own rules."""
    columns = (
        *_KEYS,
        Column(key="n_decisions", title="Decisions"),
        Column(key="n_fallbacks", title="Left to SCIP", note="tree nodes handed over to SCIP's own rule"),
        Column(key="decision_ms", title="ms a decision"),
        Column(key="feature_ms", title="features"),
        Column(key="inference_ms", title="inference"),
        Column(key="rest_ms", title="rest"),
        Column(key="decision_share_percent", title="% of the time"),
    )
    rows = []
    for keys, line in _lines(groups):
        price = line.price
        if price.n_decisions:
            parts = (price.decision_ms, price.feature_ms, price.inference_ms, price.rest_ms, price.share_percent)
            rows.append((*keys, integer(price.n_decisions), integer(price.n_fallbacks), *map(number, parts)))
    return Table(name="decisions", title="Price of a decision", columns=columns, rows=tuple(rows))


def instance_table(records: Sequence[SolveRecord], options: ComparisonOptions) -> Table:
    """Return each instance's mean time by method, under one row per instance and settings."""
    runs = runs_by_method(records)
    policies = sorted({method.policy for method in runs}, key=lambda name: (name != options.baseline, name))
    instances = sorted({(record.family, record.size, record.instance, record.settings) for record in records})
    columns = (
        Column(key="instance", title="Instance", is_number=False),
        Column(key="kind", title="Kind", is_number=False),
        _SETTINGS,
        *(Column(key=f"time_seconds:{policy}", title=f"{policy} s") for policy in policies),
    )
    rows: list[tuple[Cell, ...]] = []
    for family, size, instance, settings in instances:
        times = []
        for policy in policies:
            own = runs.get(Method(settings, policy), {})
            mine = [record for (name, _), record in own.items() if name == instance]
            times.append(_mean_time_cell(mine, options))
        rows.append((words(instance_stem(instance)), words(group_title(family, size)), words(settings), *times))
    return Table(name="instances", title="Instance by instance", columns=columns, rows=tuple(rows))


def failure_table(records: Sequence[SolveRecord]) -> Table:
    """Return every run that crashed, was killed or stopped otherwise than by proof or time."""
    quiet = (SolveStatus.TIME_LIMIT,)
    bad = [record for record in records if not record.status.solved and record.status not in quiet]
    titles = ("Instance", "Settings", "Rule", "Seed", "Status", "What happened")
    columns = tuple(Column(key=title.lower().replace(" ", "_"), title=title, is_number=False) for title in titles)
    rows = tuple(
        (
            words(instance_stem(record.instance)),
            words(record.settings),
            words(record.policy),
            words(str(record.seed)),
            words(record.status.value, Tone.BAD),
            words(record.detail),
        )
        for record in bad
    )
    return Table(name="failures", title="Runs that failed", columns=columns, rows=rows)


def agreement_table(agreement: Mapping[str, Sequence[AgreementRecord]]) -> Table:
    """Return how often each policy agrees with strong branching on the tree nodes it visits, by depth and overall."""
    columns = (
        Column(key="policy", title="Rule", is_number=False),
        Column(key="depth", title="Depth", note="of the tree node; sorts by the shallowest"),
        Column(key="n_tree_nodes", title="Tree nodes"),
        Column(key="agreement_percent", title="Agrees %", has_interval=True, note="its choice has the best score"),
        Column(key="in_top_percent", title="Best in top 5 %", note="one of its five best has the best score"),
        Column(key="score_ratio", title="Score ratio", note="strong-branching score of its choice over the best one"),
    )
    rows: list[tuple[Cell, ...]] = []
    for policy, records in agreement.items():
        rows += [_agreement_row(policy, part) for part in agreement_by_depth(records)]
        overall = overall_agreement(records)
        rows += [_agreement_row(policy, overall, depth=Cell(text="all"))] if overall else []
    note = (
        "On tree nodes that the policy itself visits; ties count as agreement. Intervals: Wilson, 95 %, "
        "as if tree nodes were independent."
    )
    return Table(
        name="agreement", title="Agreement with strong branching", note=note, columns=columns, rows=tuple(rows)
    )


def _agreement_row(policy: str, part: DepthAgreement, depth: Cell | None = None) -> tuple[Cell, ...]:
    low, high = 100 * part.low, 100 * part.high
    text = f"{100 * part.agreement:.1f} [{low:.0f}, {high:.0f}]"
    return (
        words(policy),
        depth or Cell(text=depth_range(part.first_depth, part.last_depth), value=part.first_depth),
        integer(part.n_tree_nodes),
        Cell(text=text, value=100 * part.agreement, low=low, high=high),
        Cell(text=f"{100 * part.in_top:.1f}", value=100 * part.in_top),
        Cell(text=f"{part.score_ratio:.3f}", value=part.score_ratio),
    )


def _mean_time_cell(records: Sequence[SolveRecord], options: ComparisonOptions) -> Cell:
    limit = options.time_limit_seconds
    seconds = np.array([scored(TIME, record, time_limit_seconds=limit) for record in records])
    cell = number(shifted_geometric_mean(seconds, options.time_shift_seconds))
    n_solved = sum(record.status.solved for record in records)
    if not records or n_solved == len(records):
        return cell
    return Cell(text=f"{cell.text} ({n_solved}/{len(records)})", value=cell.value, tone=Tone.BAD)


def _lines(groups: Sequence[GroupComparison]) -> Iterator[tuple[tuple[Cell, Cell, Cell], MethodFigures]]:
    for group in groups:
        for line in group.methods:
            title = group_title(group.family, group.size)
            yield (words(title), words(line.method.settings), words(line.method.policy)), line


def _ratio_and_p(line: MethodFigures, baseline: str) -> tuple[Cell, Cell]:
    estimate = line.ratios["time"]
    if line.method.policy == baseline:
        return Cell(text="1", value=1.0, tone=Tone.MUTED), Cell(text=EMPTY, tone=Tone.MUTED)
    return ratio(estimate), Cell(text=format_p(estimate.p), value=estimate.p if math.isfinite(estimate.p) else None)
