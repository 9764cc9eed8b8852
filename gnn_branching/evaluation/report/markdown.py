"""The same findings as the page, as one Markdown file: to be read in a terminal, or committed beside the code."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from gnn_branching.evaluation.report.page import Page
from gnn_branching.evaluation.report.tables import format_estimate, to_markdown
from gnn_branching.evaluation.report.verdicts import RuleVerdict

LEFT_OUT = frozenset({"instances"})
"""Tables with a row for every instance: too long for a document, and there as CSV."""
SECTIONS_SHOWN = frozenset({"tables", "trees"})


def page_to_markdown(page: Page, picture_file: str = "") -> str:
    """Return what a page says as GitHub's Markdown: verdicts, tables, and under what it was measured.

    Args:
        page: The page.
        picture_file: Where its main picture is, seen from the Markdown; empty to show none.
    """
    return "\n\n".join(block.rstrip("\n") for block in _blocks(page, picture_file)) + "\n"


def _blocks(page: Page, picture_file: str) -> Iterator[str]:
    yield f"# {page.title}"
    yield page.subtitle
    for alert in page.alerts:
        yield "\n".join([f"> **{alert.title}**", *(f"> - {line}" for line in alert.lines)])
    yield f"**{page.lead}**"
    if page.verdicts:
        yield "\n".join(_verdict_line(verdict) for verdict in page.verdicts)
    if page.main_picture and picture_file:
        yield f"![{page.main_picture.title}]({quote(picture_file)})"
    if page.lead_table:
        yield to_markdown(page.lead_table)
    for section in page.sections:
        if section.anchor in SECTIONS_SHOWN:
            tables = [table for part in section.parts for table in part.tables if table.rows and not part.title]
            yield from (to_markdown(table) for table in tables if table.name not in LEFT_OUT)
    facts = [fact for section in page.sections for part in section.parts for fact in part.facts]
    if facts:
        yield "## Measured under"
        yield "\n".join(f"- {fact.name}: {fact.value}" for fact in facts if not fact.is_command)
        commands = [fact.value for fact in facts if fact.is_command]
        if commands:
            yield "\n".join(["```", *commands, "```"])
    notes = [section.note for section in page.sections if section.anchor == "tables" and section.note]
    yield from notes


def _verdict_line(verdict: RuleVerdict) -> str:
    head = f"- **{verdict.policy}** on {verdict.instances} ({verdict.settings} settings): {verdict.headline}"
    if verdict.ratio.value != verdict.ratio.value:
        return head
    facts = "; ".join([*verdict.facts, *map(str, verdict.others)])
    return f"{head}, {format_estimate(verdict.ratio)} {verdict.sentence} ({verdict.basis}); {facts}"
