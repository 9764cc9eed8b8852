"""Make the page of an evaluation, or of a training, from what lies in its folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gnn_branching.config import BASELINE_RULE
from gnn_branching.contracts import InputError, SolveRecord
from gnn_branching.durable import write_durably
from gnn_branching.evaluation.report.alerts import make_alerts
from gnn_branching.evaluation.report.comparison_tables import agreement_table, all_tables, group_title
from gnn_branching.evaluation.report.figures import (
    decision_split,
    paired_scatter,
    performance_profile,
    ratio_forest,
    solved_over_time,
    tree_sizes,
)
from gnn_branching.evaluation.report.markdown import page_to_markdown
from gnn_branching.evaluation.report.page import Page, Part, Section, render_page
from gnn_branching.evaluation.report.sections import (
    diagnostics_section,
    provenance_section,
    training_section,
    tree_section,
)
from gnn_branching.evaluation.report.sources import Sources, read_sources
from gnn_branching.evaluation.report.tables import Table
from gnn_branching.evaluation.report.theme import Picture
from gnn_branching.evaluation.report.verdicts import make_verdicts, overall_sentence
from gnn_branching.evaluation.solves.leavings import Conditions
from gnn_branching.evaluation.statistics.comparison import ALL, GroupComparison, compare
from gnn_branching.evaluation.statistics.disagreement import Disagreement, find_disagreements
from gnn_branching.evaluation.statistics.pairing import ComparisonOptions
from gnn_branching.evaluation.statistics.summary import summary_lines

REPORT_FILE = "report.html"
MAX_CARDS_BESIDE_PICTURE = 2
PICTURES = "pictures"
"""Anchor of the section with the comparison's pictures."""

METHOD_NOTE = (
    "All rules take the same path: one solve a process, one thread, the same instance and SCIP seed, only optimize() "
    "timed. Times are comparable on one kind of processor only; pairs from two kinds are left out of time ratios. "
    "A crash, a kill or a time-out counts as the time limit."
)


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that is said about some folders; its page and pictures, which take longest, once they are asked for.

    Args:
        sources: What was found in them.
        groups: The comparison by family and size.
        options: How it was condensed.
        disagreements: Contradictions between optimal values.
        comparison_tables: Every table of the comparison that has rows, the outcome first.
    """

    sources: Sources
    groups: tuple[GroupComparison, ...]
    options: ComparisonOptions
    disagreements: tuple[Disagreement, ...]
    comparison_tables: tuple[Table, ...]

    @property
    def tables(self) -> tuple[Table, ...]:
        """Every table with rows, the outcome first, and agreement with strong branching last."""
        agreement = agreement_table(self.sources.agreement)
        return (*self.comparison_tables, agreement) if agreement.rows else self.comparison_tables

    @cached_property
    def page(self) -> Page:
        """The page."""
        return _make_page(self)

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """The page's pictures of the comparison, the main one first."""
        (section,) = (section for section in self.page.sections if section.anchor == PICTURES)
        shown = [picture for part in section.parts for picture in part.pictures]
        main = self.page.main_picture
        return _drawn(None if main in shown else main, *shown)

    def write(self, target: Path) -> None:
        """Write the page as HTML, and beside it the same as Markdown with its main picture."""
        write_durably(target, render_page(self.page).encode())
        file = target.with_suffix(".svg")
        if self.page.main_picture:
            write_durably(file, self.page.main_picture.document.encode())
        write_durably(target.with_suffix(".md"), page_to_markdown(self.page, file.name).encode())


def make_report(sources: Sources, baseline: str = "") -> Report:
    """Compare what was found, and arrange it.

    Args:
        sources: What was found.
        baseline: Rule that the others are compared with; empty for the one that the evaluations had.

    Raises:
        InputError: If folders were compared with different baselines, or no row is of the one asked for.
    """
    options = comparison_options(sources.records, sources.conditions, baseline)
    groups = compare(sources.records, options)
    return Report(
        sources=sources,
        groups=groups,
        options=options,
        disagreements=find_disagreements(sources.records, sources.optima),
        comparison_tables=all_tables(sources.records, groups, options),
    )


def write_report(folders: Sequence[Path], target: Path, baseline: str = "") -> Report:
    """Write one page from everything found below some folders; the baseline as in :func:`make_report`.

    Raises:
        InputError: If there is nothing to show, a file is damaged, or the folders cannot be compared.
    """
    report = make_report(read_sources(folders), baseline)
    report.write(target)
    return report


def comparison_options(
    records: Sequence[SolveRecord], conditions: Sequence[Conditions], baseline: str = ""
) -> ComparisonOptions:
    """Return how rows are condensed; of several time limits the longest.

    Without ``evaluation.json``, the longest solve stands for the time limit.

    Raises:
        InputError: If there are several baselines and none was asked for, or no row is of the one asked for.
    """
    rules = dict.fromkeys(record.policy for record in records)
    if baseline and baseline not in rules:
        raise InputError(f"no solve of {baseline} is here to compare with; there are {', '.join(rules) or 'none'}")
    if not conditions:
        longest = max((record.figures.wall_seconds for record in records if record.figures), default=1.0)
        return ComparisonOptions(time_limit_seconds=longest, baseline=baseline or BASELINE_RULE)
    baselines = [baseline] if baseline else list(dict.fromkeys(own.baseline for own in conditions))
    if len(baselines) > 1:
        raise InputError(f"the folders' baselines differ ({', '.join(baselines)}); choose one, or report on each")
    longest_limit = max(conditions, key=lambda own: own.time_limit_seconds)
    return ComparisonOptions(
        time_limit_seconds=longest_limit.time_limit_seconds,
        baseline=baselines[0],
        time_shift_seconds=longest_limit.time_shift_seconds,
        count_shift=longest_limit.count_shift,
    )


def _make_page(report: Report) -> Page:
    sources, groups, options, tables = report.sources, report.groups, report.options, report.comparison_tables
    verdicts = make_verdicts(groups, options.baseline)
    forest = ratio_forest(groups, options)
    has_room = 0 < len(verdicts) <= MAX_CARDS_BESIDE_PICTURE
    general = _drawn(None if has_room else forest, decision_split(groups))
    sections = (
        Section(
            anchor=PICTURES,
            title="Pictures",
            parts=(Part(pictures=general), *_group_parts(sources, groups, options)),
        ),
        Section(anchor="tables", title="Tables", note=METHOD_NOTE, parts=(Part(tables=tables[1:]),)),
        tree_section(sources, options.baseline),
        training_section(sources),
        diagnostics_section(sources.diagnoses),
        provenance_section(sources),
    )
    return Page(
        title=_title(sources),
        subtitle=_subtitle(sources),
        lead=overall_sentence(verdicts, options.baseline) if sources.records else "No solves yet: training only.",
        alerts=tuple(make_alerts(sources, report.disagreements)),
        verdicts=verdicts,
        main_picture=forest,
        has_picture_beside_cards=has_room,
        lead_table=tables[0] if tables else None,
        sections=sections,
        summary=summary_lines(groups, options, sources.settings_files),
        footer="Made by gnn-branching. This page is complete in itself; it loads nothing.",
    )


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
