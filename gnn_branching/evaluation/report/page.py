"""One self-contained HTML page: everything inline, nothing fetched."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from jinja2 import Environment, PackageLoader, StrictUndefined

from gnn_branching.evaluation.report.comparison_tables import KEY_COLUMNS
from gnn_branching.evaluation.report.tables import Table, Tone, format_interval, format_ratio, to_csv
from gnn_branching.evaluation.report.theme import DARK, LIGHT, Picture
from gnn_branching.evaluation.report.verdicts import RuleVerdict
from gnn_branching.evaluation.statistics.summary import Line

PAGE_LIGHT, PAGE_DARK = "#f5f7fa", "#0f131a"
INTERVAL_FACTOR = 4.0
"""The bars of the cards reach from a quarter of the baseline's time to four times it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something that must not be overlooked."""

    title: str
    lines: tuple[str, ...] = ()
    tone: Tone = Tone.BAD


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A name and a value; a command is shown as it was typed."""

    name: str
    value: str
    is_command: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Part of a section; with a title it can be folded away, and is at first if it says so."""

    title: str = ""
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    facts: tuple[Fact, ...] = ()
    pictures_first: bool = False
    facts_first: bool = False
    is_folded: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not any(table.rows for table in self.tables) and not self.pictures and not self.facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section of the page, reachable from the bar at the top."""

    anchor: str
    title: str
    note: str = ""
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What the page says.

    Args:
        title: Heading.
        subtitle: What was run.
        lead: The one sentence.
        alerts: What must not be overlooked.
        verdicts: The cards.
        main_picture: The picture that says most.
        has_picture_beside_cards: Whether it stands beside the cards, where few leave room.
        lead_table: The table right below them.
        sections: Everything else; empty parts are dropped.
        summary: ``summary.json``'s content, for programs that read the page.
        footer: Last line.
    """

    title: str
    subtitle: str
    lead: str
    alerts: tuple[Alert, ...] = ()
    verdicts: tuple[RuleVerdict, ...] = ()
    main_picture: Picture | None = None
    has_picture_beside_cards: bool = False
    lead_table: Table | None = None
    sections: tuple[Section, ...] = ()
    summary: Sequence[Line] = ()
    footer: str = ""

    @property
    def summary_json(self) -> str:
        """The summary as JSON that cannot end its script element."""
        return json.dumps(list(self.summary), allow_nan=False).replace("<", "\\u003c")


def render_page(page: Page) -> str:
    """Return the page as HTML."""
    environment = Environment(
        loader=PackageLoader("gnn_branching.evaluation.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sections = (_without_empty_parts(section) for section in page.sections)
    page_sections = tuple(section for section in sections if section.parts)
    bar = [Section(anchor="overview", title="Overview"), *page_sections]
    template = environment.get_template("report.html.jinja")
    return template.render(
        page=replace(page, sections=page_sections),
        sections=bar,
        palette_css=_palette_css(),
        position=_interval_position,
        csv=lambda table: base64.b64encode(to_csv(table).encode()).decode(),
        narrow=lambda table: table.without_constant(*KEY_COLUMNS),
        format_interval=format_interval,
        format_ratio=format_ratio,
    )


def _without_empty_parts(section: Section) -> Section:
    return replace(section, parts=tuple(part for part in section.parts if not part.is_empty))


def _palette_css() -> str:
    light = "".join(f"--{name}:{color};" for name, color in {**LIGHT, "page": PAGE_LIGHT}.items())
    dark = "".join(f"--{name}:{color};" for name, color in {**DARK, "page": PAGE_DARK}.items())
    return (
        f":root{{color-scheme:light;{light}}}\n"
        f":root[data-theme=dark]{{color-scheme:dark;{dark}}}\n"
        f"@media(prefers-color-scheme:dark){{:root:not([data-theme=light]){{color-scheme:dark;{dark}}}}}\n"
    )


def _interval_position(ratio: float) -> float:
    """Return where a ratio lies on a card's bar, per cent from the left, 1 in the middle."""
    share = 0.5 + math.log(max(ratio, 1e-9)) / (2 * math.log(INTERVAL_FACTOR))
    return round(100 * min(max(share, 0.0), 1.0), 2)
