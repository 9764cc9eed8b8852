"""Sections of the page beside the comparison: trees, training, diagnostics, provenance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from gnn_branching.evaluation.report.comparison_tables import agreement_table
from gnn_branching.evaluation.report.page import Fact, Part, Section
from gnn_branching.evaluation.report.run_figures import (
    agreement_figure,
    gaps_over_time,
    training_curves,
    trees_side_by_side,
)
from gnn_branching.evaluation.report.sources import FoundDiagnosis, FoundFinding, FoundHeadline, Sources
from gnn_branching.evaluation.report.tables import Cell, Column, Table, Tone, integer, number, words
from gnn_branching.evaluation.report.theme import png_picture
from gnn_branching.evaluation.solves.known_optima import instance_stem
from gnn_branching.evaluation.solves.trees import RecordedTree
from gnn_branching.evaluation.statistics.branching_agreement import agreement_by_depth
from gnn_branching.evaluation.statistics.measures import machine_kind, read_versions

MAX_LISTED_BRANCHINGS = 12
NOT_APPLICABLE = "not_applicable"
"""Verdict of a bound whose assumptions did not hold; such rows are folded away."""


def tree_section(sources: Sources, baseline: str) -> Section:
    """Draw recorded trees of one instance next to each other, and agreement with strong branching by depth."""
    parts: list[Part] = []
    for (instance, settings, seed), own in groupby(
        sources.trees, key=lambda tree: (tree[0].instance, tree[0].settings, tree[0].seed)
    ):
        trees = [tree for _, tree in own]
        name = f"{len(parts)}"
        title = f"{instance_stem(instance)}, {settings} settings, seed {seed}"
        pairs = tuple(
            trees_side_by_side(pair, name=f"{name}-{number}") for number, pair in enumerate(_pairs(trees, baseline))
        )
        tables = (_branchings_table(trees, name),)
        pictures = (*pairs, gaps_over_time(trees, name=name))
        parts.append(Part(title=title, pictures=pictures, tables=tables, pictures_first=True))
    agreement = agreement_figure({policy: agreement_by_depth(own) for policy, own in sources.agreement.items()})
    parts.append(Part(pictures=(agreement,) if agreement else (), tables=(agreement_table(sources.agreement),)))
    note = "Recorded in solves of their own, whose times are in no table: recording takes time."
    return Section(anchor="trees", title="Trees", note=note, parts=tuple(parts))


def _pairs(trees: Sequence[RecordedTree], baseline: str) -> list[list[RecordedTree]]:
    """Put each tree beside the baseline's."""
    base = [tree for tree in trees if tree.title == baseline]
    return [[tree, *base] for tree in trees if tree.title != baseline] or [base]


def _branchings_table(trees: Sequence[RecordedTree], name: str) -> Table:
    """List the first branchings of each tree."""
    columns = (
        Column(key="tree", title="Rule", is_number=False),
        Column(key="order", title="#", note="order among the tree nodes that were branched on"),
        Column(key="depth", title="Depth"),
        Column(key="variable", title="Variable", is_number=False),
        Column(key="score", title="Score", note="the rule's own score; SCIP's rules give none"),
        Column(key="bound", title="Bound", note="dual bound of the tree node"),
        Column(key="seconds", title="Done after s"),
    )
    rows: list[tuple[Cell, ...]] = []
    for tree in trees:
        branched = [node for node in tree.nodes if node.variable][:MAX_LISTED_BRANCHINGS]
        for order, node in enumerate(branched, start=1):
            cells = (integer(node.depth), words(node.variable), number(node.score), number(node.lower_bound, 6))
            rows.append((words(tree.title), integer(order), *cells, number(node.wall_seconds)))
    return Table(name=f"branchings-{name}", title="First branchings", columns=columns, rows=tuple(rows))


def training_section(sources: Sources) -> Section:
    """Draw the curves of each training found."""
    several = len(sources.metrics) > 1
    parts = tuple(
        Part(title=run if several else "", pictures=training_curves(curve, name=f"run{number}"))
        for number, (run, curve) in enumerate(sources.metrics.items())
    )
    return Section(anchor="training", title="Training", parts=parts)


def diagnostics_section(diagnoses: Sequence[FoundDiagnosis]) -> Section:
    """Show each diagnosis: advice, verdicts, pictures."""
    note = "Each compares a measured value with a bound; where assumptions do not hold, it says so and claims nothing."
    parts: list[Part] = []
    for position, diagnosis in enumerate(diagnoses):
        told = [finding for finding in diagnosis.findings if finding.verdict != NOT_APPLICABLE]
        silent = [finding for finding in diagnosis.findings if finding.verdict == NOT_APPLICABLE]
        parts += [
            Part(
                title=diagnosis.name if len(diagnoses) > 1 else "",
                facts=_headline_facts(diagnosis.headline),
                facts_first=True,
                tables=(_advice_table(diagnosis, position), _finding_table(diagnosis.name, told, f"{position}")),
                pictures=tuple(
                    png_picture(path, name=f"diagnosis{position}-{path.stem}") for path in diagnosis.pictures
                ),
            ),
            Part(
                title=f"Bounds that do not apply to {diagnosis.name}",
                is_folded=True,
                tables=(_finding_table(diagnosis.name, silent, f"{position}-silent"),),
            ),
        ]
    return Section(anchor="diagnostics", title="Diagnostics", note=note, parts=tuple(parts))


def _advice_table(diagnosis: FoundDiagnosis, position: int) -> Table:
    columns = (
        Column(key="topic", title="Advice on", is_number=False),
        Column(key="recommendation", title="Recommendation", is_number=False, is_prose=True),
        Column(key="measured", title="Measured", is_number=False, is_prose=True),
        Column(key="assumptions", title="Rests on", is_number=False, is_prose=True),
    )
    rows = tuple(
        (
            words(advice.topic.replace("-", " ")),
            words(advice.recommendation, Tone.PLAIN if advice.assumptions_met else Tone.MUTED),
            words(advice.measured, Tone.MUTED),
            words(advice.assumptions if advice.assumptions_met else f"NOT met: {advice.assumptions}", Tone.MUTED),
        )
        for advice in diagnosis.advice
    )
    return Table(name=f"advice-{position}", title=f"Advice for {diagnosis.name}", columns=columns, rows=rows)


def _headline_facts(headline: FoundHeadline | None) -> tuple[Fact, ...]:
    """Say first what limits the training, then why."""
    if headline is None:
        return ()
    limit = "nothing that was found" if headline.limit == "done" else headline.limit
    answer = Fact(name="Limited by", value=f"{limit}: {headline.advice}")
    record = (Fact(name="Worth", value=headline.record),) if headline.record else ()
    return (answer, *record, *(Fact(name="Evidence", value=line) for line in headline.evidence))


def _finding_table(name: str, findings: Sequence[FoundFinding], key: str) -> Table:
    tones = {"holds": Tone.GOOD, "violated": Tone.BAD}
    columns = (
        Column(key="name", title="Diagnostic", is_number=False),
        Column(key="verdict", title="Verdict", is_number=False),
        Column(key="value", title="Value"),
        Column(key="bound", title="Bound"),
        Column(key="statement", title="What was compared", is_number=False, is_prose=True),
    )
    rows = tuple(
        (
            words(finding.name),
            words(finding.verdict.replace("_", " "), tones.get(finding.verdict, Tone.MUTED)),
            _optional(finding.value),
            _optional(finding.bound),
            words(finding.statement),
        )
        for finding in findings
    )
    return Table(name=f"findings-{key}", title=f"Findings on {name}", columns=columns, rows=rows)


def provenance_section(sources: Sources) -> Section:
    """State machine, versions, limits and counts, as the rows recorded them."""
    return Section(anchor="provenance", title="Provenance", parts=(Part(facts=tuple(_provenance(sources))),))


def _provenance(sources: Sources) -> Iterator[Fact]:
    records = sources.records
    machines = Counter(machine_kind(record.versions) for record in records)
    for machine, n_solves in machines.items():
        yield Fact(name="Processor", value=machine if len(machines) == 1 else f"{machine} ({n_solves:,} solves)")
    for versions in dict.fromkeys(record.versions for record in records):
        yield from _version_facts(read_versions(versions))
    for conditions in dict.fromkeys(sources.conditions):
        if conditions.command:
            yield Fact(name="Command", value=conditions.command, is_command=True)
    for conditions in dict.fromkeys(replace(own, command="") for own in sources.conditions):
        limits = f"{conditions.time_limit_seconds:g} s, {conditions.memory_limit_mib:,} MiB"
        nodes = f", {conditions.node_limit:,} tree nodes" if conditions.node_limit else ""
        yield Fact(name="Limits of a solve", value=f"{limits}{nodes}; also enforced from outside its process")
        yield Fact(name="Solves at once", value=f"{conditions.n_workers}, one thread each ({conditions.executor})")
        if conditions.solu_files:
            yield Fact(name="Known optima", value=", ".join(Path(name).name for name in conditions.solu_files))
    if records:
        statuses = Counter(record.status.value for record in records)
        yield Fact(name="Solves", value=", ".join(f"{n:,} {status}" for status, n in statuses.most_common()))


def _version_facts(versions: Mapping[str, object]) -> Iterator[Fact]:
    packages = versions.get("packages")
    if isinstance(packages, dict):
        yield Fact(name="Packages", value=", ".join(f"{name} {version}" for name, version in sorted(packages.items())))
    system = ", ".join(str(versions[key]) for key in ("system", "machine") if key in versions)
    if system:
        cores = f", {versions['n_cores']} cores" if "n_cores" in versions else ""
        yield Fact(name="System", value=f"{system}{cores}, Python {versions.get('python', 'unknown')}")


def _optional(value: float | None) -> Cell:
    return number(float("nan") if value is None else value)
