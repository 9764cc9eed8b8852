"""What must not be overlooked when reading an evaluation: contradictions, failures, unfair or noisy clocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gnn_branching.contracts import SolveRecord
from gnn_branching.evaluation.report.page import Alert
from gnn_branching.evaluation.report.sources import Sources
from gnn_branching.evaluation.report.tables import Tone
from gnn_branching.evaluation.solves.known_optima import instance_stem
from gnn_branching.evaluation.statistics.disagreement import Disagreement
from gnn_branching.evaluation.statistics.measures import machine_kind

MAX_ALERT_LINES = 8
LEAST_CORE_SHARE = 0.85
"""Below this share of CPU in wall time, something else was running on the solves' cores."""
MOST_GUARDED = 0.5
"""Above this share of branchings that the guard gave to SCIP, a solve counts as SCIP's own."""


def make_alerts(sources: Sources, disagreements: Sequence[Disagreement]) -> Iterator[Alert]:
    """Return what a reader must know before any number, the worst first."""
    records = sources.records
    if disagreements:
        n = len(disagreements)
        title = f"Optimal values contradict each other in {n} {'solve' if n == 1 else 'solves'}: trust nothing below."
        yield Alert(title=title, lines=_shortened([str(entry) for entry in disagreements]))
    failed = [record for record in records if record.status.crashed]
    if failed:
        title = f"{len(failed)} of {len(records):,} runs crashed or were killed; they count as unsolved."
        lines = [
            f"{instance_stem(record.instance)}, {record.policy}, seed {record.seed}: {record.status} – {record.detail}"
            for record in failed
        ]
        yield Alert(title=title, lines=_shortened(lines), tone=Tone.MUTED)
    machines = sorted({machine_kind(record.versions) for record in records})
    if len(machines) > 1:
        title = "Solves ran on different processors; only pairs on the same kind enter time ratios."
        yield Alert(title=title, lines=tuple(machines), tone=Tone.MUTED)
    share = core_share(records)
    if share is not None and share < LEAST_CORE_SHARE:
        title = (
            f"The machine was busy: while a solve ran, it had {100 * share:.0f} % of a core on average. "
            "CPU times (in the paired ratios) are less disturbed than wall times."
        )
        yield Alert(title=title, tone=Tone.MUTED)
    yield from _left_to_scip(records)
    yield from _mixed_folders(sources)


def _left_to_scip(records: Sequence[SolveRecord]) -> Iterator[Alert]:
    """Yield the policies that the guard kept from branching: SCIP against SCIP says nothing of them."""
    for policy in dict.fromkeys(record.policy for record in records):
        own = [record for record in records if record.policy == policy and record.figures is not None]
        left = [record for record in own if guarded_share(record) > MOST_GUARDED]
        if left:
            title = (
                f"The guard left {len(left)} of {len(own)} solves of {policy} to SCIP: they compare SCIP with itself."
            )
            lines = dict.fromkeys(instance_stem(record.instance) for record in left)
            yield Alert(title=title, lines=_shortened(list(lines)), tone=Tone.MUTED)


def guarded_share(record: SolveRecord) -> float:
    """Return the share of a solve's branchings that the guard gave to SCIP; 0 without a policy."""
    if record.figures is None:
        return 0.0
    rule = record.figures.rule
    n_guarded = sum(n for reason, n in rule.fallbacks.items() if reason.startswith("guard-"))
    return n_guarded / max(rule.n_decisions + rule.n_fallbacks, 1)


def core_share(records: Sequence[SolveRecord]) -> float | None:
    """Return CPU time over wall time of all solves together; None without any that came back."""
    figures = [record.figures for record in records if record.figures is not None]
    wall_seconds = sum(own.wall_seconds for own in figures)
    return sum(own.cpu_seconds for own in figures) / wall_seconds if wall_seconds > 0 else None


def _mixed_folders(sources: Sources) -> Iterator[Alert]:
    limits = sorted({conditions.time_limit_seconds for conditions in sources.conditions})
    if len(limits) > 1:
        listed = ", ".join(f"{limit:g} s" for limit in limits)
        title = f"The folders' time limits differ ({listed}); every unsolved run counts as the longest."
        yield Alert(title=title, tone=Tone.MUTED)
    if sources.n_repeated:
        n = f"{sources.n_repeated:,} {'solve is' if sources.n_repeated == 1 else 'solves are'}"
        title = f"{n} in several folders; one row of each counts, so some pairs come from different sessions."
        yield Alert(title=title, tone=Tone.MUTED)


def _shortened(lines: Sequence[str]) -> tuple[str, ...]:
    more = len(lines) - MAX_ALERT_LINES
    return (*lines[:MAX_ALERT_LINES], *([f"… and {more} more"] if more > 0 else []))
