"""Make the page of an evaluation, or of a training, from what lies in its folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from gnn_branching.contracts import SolveRecord
from gnn_branching.durable import write_durably
from gnn_branching.evaluation.agreement import Disagreement, find_disagreements
from gnn_branching.evaluation.comparison import ALL, GroupComparison, compare
from gnn_branching.evaluation.figures import (
    decision_split,
    paired_scatter,
    performance_profile,
    ratio_forest,
    solved_over_time,
    tree_sizes,
)
from gnn_branching.evaluation.measures import machine_kind
from gnn_branching.evaluation.optima import instance_stem, known_optima
from gnn_branching.evaluation.page import Alert, Page, Part, Section, render_page
from gnn_branching.evaluation.pairing import ComparisonOptions
from gnn_branching.evaluation.report_tables import all_tables, group_title
from gnn_branching.evaluation.sections import (
    diagnostics_section,
    provenance_section,
    training_section,
    tree_section,
)
from gnn_branching.evaluation.sources import Conditions, Sources, read_sources
from gnn_branching.evaluation.summary import summary_lines
from gnn_branching.evaluation.tables import Tone
from gnn_branching.evaluation.theme import Picture
from gnn_branching.evaluation.verdicts import learned_verdicts, overall_sentence

REPORT_FILE = "report.html"
MAX_ALERT_LINES = 8

METHOD_NOTE = (
    "All rules take the same path: one solve a process, one thread, the same instance and SCIP seed, only optimize() "
    "timed. Times are comparable on one kind of processor only; pairs from two kinds are left out of time ratios. "
    "A crash, a kill or a time-out counts as the time limit."
)


def write_report(folders: Sequence[Path], target: Path) -> tuple[Disagreement, ...]:
    """Write one HTML page from everything found below some folders; return the contradictions it shouts.

    Raises:
        InputError: If there is nothing to show, or a file is damaged.
    """
    sources = read_sources(folders)
    options = comparison_options(sources.records, sources.conditions)
    disagreements = disagreements_of(sources)
    page = make_page(sources, compare(sources.records, options), options, disagreements)
    write_durably(target, render_page(page).encode())
    return disagreements


def comparison_options(records: Sequence[SolveRecord], conditions: Conditions | None) -> ComparisonOptions:
    """Return how rows are condensed; without ``evaluation.json``, the longest solve stands for the time limit."""
    if conditions is not None:
        return ComparisonOptions(
            time_limit_seconds=conditions.time_limit_seconds,
            baseline=conditions.baseline,
            time_shift_seconds=conditions.time_shift_seconds,
            count_shift=conditions.count_shift,
        )
    longest = max((record.figures.wall_seconds for record in records if record.figures), default=1.0)
    return ComparisonOptions(time_limit_seconds=longest)


def disagreements_of(sources: Sources) -> tuple[Disagreement, ...]:
    """Return contradictions between rows, and with known optima."""
    lists = [Path(name) for name in (sources.conditions.solu_files if sources.conditions else ())]
    instances = {record.instance for record in sources.records}
    known = known_optima(sorted(instances), [path for path in lists if path.is_file()])
    return find_disagreements(sources.records, known)


def make_page(
    sources: Sources,
    groups: Sequence[GroupComparison],
    options: ComparisonOptions,
    disagreements: Sequence[Disagreement],
) -> Page:
    """Arrange everything."""
    verdicts = learned_verdicts(groups, options.baseline)
    forest = ratio_forest(groups, options)
    tables = all_tables(sources.records, groups, options)
    sections = (
        Section(
            anchor="pictures",
            title="Pictures",
            parts=(Part(pictures=_drawn(forest, decision_split(groups))), *_group_parts(sources, groups, options)),
        ),
        Section(anchor="tables", title="Tables", note=METHOD_NOTE, parts=(Part(tables=tables[1:]),)),
        tree_section(sources),
        training_section(sources),
        diagnostics_section(sources.diagnoses),
        provenance_section(sources),
    )
    return Page(
        title=_title(sources),
        subtitle=_subtitle(sources),
        lead=overall_sentence(verdicts, options.baseline) if sources.records else "No solves yet: training only.",
        alerts=tuple(_alerts(sources.records, disagreements)),
        verdicts=verdicts,
        lead_table=tables[0] if tables else None,
        sections=sections,
        summary=summary_lines(groups, options),
        footer="Made by gnn-branching. This page is complete in itself; it loads nothing.",
    )


def comparison_pictures(
    records: Sequence[SolveRecord], groups: Sequence[GroupComparison], options: ComparisonOptions
) -> tuple[Picture, ...]:
    """Return all pictures of the rows, those over everything first."""
    overall = _drawn(ratio_forest(groups, options), decision_split(groups)) if groups else ()
    return (*overall, *(p for group in groups for p in _group_pictures(records, group, options)))


def _group_parts(sources: Sources, groups: Sequence[GroupComparison], options: ComparisonOptions) -> tuple[Part, ...]:
    return tuple(
        Part(title=group_title(group.family, group.size), pictures=_group_pictures(sources.records, group, options))
        for group in groups
    )


def _group_pictures(
    records: Sequence[SolveRecord], group: GroupComparison, options: ComparisonOptions
) -> tuple[Picture, ...]:
    everything = group.family == ALL
    own = [record for record in records if everything or (record.family, record.size) == (group.family, group.size)]
    name = "-".join(filter(None, (group.family, group.size))).replace(" ", "-")
    return _drawn(
        performance_profile(own, options, name=name),
        solved_over_time(own, options, name=name),
        paired_scatter(own, options, name=name),
        tree_sizes(own, options, name=name),
    )


def _drawn(*pictures: Picture | None) -> tuple[Picture, ...]:
    return tuple(picture for picture in pictures if picture is not None)


def _alerts(records: Sequence[SolveRecord], disagreements: Sequence[Disagreement]) -> Iterator[Alert]:
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


def _shortened(lines: Sequence[str]) -> tuple[str, ...]:
    more = len(lines) - MAX_ALERT_LINES
    return (*lines[:MAX_ALERT_LINES], *([f"… and {more} more"] if more > 0 else []))


def _title(sources: Sources) -> str:
    if not sources.records:
        return f"Training {', '.join(sources.metrics)}" if sources.metrics else "Report"
    groups = sorted({(record.family, record.size) for record in sources.records})
    where = group_title(*groups[0]) if len(groups) == 1 else f"{len(groups)} kinds of instances"
    return f"Branching rules on {where}"


def _subtitle(sources: Sources) -> str:
    records = sources.records
    if not records:
        return "What a training left behind."
    n_rules = len({record.policy for record in records})
    n_instances = len({record.instance for record in records})
    n_seeds = len({record.seed for record in records})
    settings = " and ".join(sorted({record.settings for record in records}, reverse=True))
    return (
        f"{n_rules} rules · {n_instances} instances · {n_seeds} {'seed' if n_seeds == 1 else 'seeds'} · {settings} "
        f"settings · {len(records):,} solves"
    )
