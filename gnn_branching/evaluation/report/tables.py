"""One table model, printed for the terminal, Markdown, HTML, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from html import escape
from itertools import groupby

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.table import Table as TerminalTable
from rich.text import Text

from gnn_branching.evaluation.statistics.estimators import RatioEstimate

EMPTY = "–"
MAX_KEPT_WIDTH = 14
"""Names up to this long stay whole in a narrow terminal."""
GROUP_KEY = "instances"
"""Key of the first column of tables that go by kind of instances."""
SIGNIFICANT_P = 0.05


class Tone(StrEnum):
    """How a cell should strike the reader."""

    PLAIN = ""
    GOOD = "good"
    BAD = "bad"
    MUTED = "muted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column.

    Args:
        key: Name in CSV.
        title: Heading.
        is_number: Whether its cells are numbers, aligned right and sorted by value.
        has_interval: Whether CSV gets ``<key>_low`` and ``<key>_high`` too.
        note: What the figure means, one line.
        is_prose: Whether its cells are sentences, which may wrap.
    """

    key: str
    title: str
    is_number: bool = True
    has_interval: bool = False
    note: str = ""
    is_prose: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell: what people read, and what programs read.

    Args:
        text: As shown.
        value: Number behind it; None if there is none.
        low: Lower end of its interval; None without one.
        high: Upper end.
        tone: How it should strike the reader.
    """

    text: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table.

    Args:
        name: Stem of its files.
        title: Caption.
        note: What to know when reading it.
        columns: Columns.
        rows: Rows of as many cells.
    """

    name: str
    title: str
    note: str = ""
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def without_constant(self, *keys: str) -> Table:
        """Return the table without those of the named columns that say the same in every row."""
        kept = [
            position
            for position, column in enumerate(self.columns)
            if column.key not in keys or len({row[position].text for row in self.rows}) > 1
        ]
        return replace(
            self,
            columns=tuple(self.columns[position] for position in kept),
            rows=tuple(tuple(row[position] for position in kept) for row in self.rows),
        )

    def __post_init__(self) -> None:
        """Refuse ragged rows."""
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"a row of table {self.name!r} does not have {len(self.columns)} cells")


def words(text: str, tone: Tone = Tone.PLAIN) -> Cell:
    """Return a cell of text."""
    return Cell(text=text or EMPTY, tone=tone)


def number(value: float, digits: int = 3, tone: Tone = Tone.PLAIN) -> Cell:
    """Return a cell of a number with so many significant digits; integers in full below ten million."""
    if not math.isfinite(value):
        return Cell(text=EMPTY, tone=Tone.MUTED)
    return Cell(text=format_number(value, digits), value=value, tone=tone)


def integer(value: int, tone: Tone = Tone.PLAIN) -> Cell:
    """Return a cell of a count."""
    return Cell(text=f"{value:,}", value=value, tone=tone)


def ratio(estimate: RatioEstimate) -> Cell:
    """Return a cell like ``0.65 [0.60, 0.71]``, toned where the interval and the test agree on a difference."""
    if not math.isfinite(estimate.value):
        return Cell(text=EMPTY, tone=Tone.MUTED)
    if not math.isfinite(estimate.low):
        return Cell(text=format_ratio(estimate.value), value=estimate.value)
    text = format_estimate(estimate)
    return Cell(text=text, value=estimate.value, low=estimate.low, high=estimate.high, tone=ratio_tone(estimate))


def ratio_tone(estimate: RatioEstimate) -> Tone:
    """Return how a ratio should strike the reader: plain unless the interval and the test agree on a difference."""
    return Tone.GOOD if is_better(estimate) else Tone.BAD if is_worse(estimate) else Tone.PLAIN


def format_ratio(value: float) -> str:
    """Format a ratio with two decimals, above ten with one."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def format_interval(estimate: RatioEstimate) -> str:
    """Format a ratio's interval; empty if there is none."""
    return f"[{format_ratio(estimate.low)}, {format_ratio(estimate.high)}]" if math.isfinite(estimate.low) else ""


def format_estimate(estimate: RatioEstimate) -> str:
    """Format a ratio with its interval, if it has one."""
    return f"{format_ratio(estimate.value)} {format_interval(estimate)}".rstrip()


def is_better(estimate: RatioEstimate) -> bool:
    """Return whether interval and paired test agree that the ratio is below 1."""
    return estimate.high < 1 and estimate.p < SIGNIFICANT_P


def is_worse(estimate: RatioEstimate) -> bool:
    """Return whether interval and paired test agree that the ratio is above 1."""
    return estimate.low > 1 and estimate.p < SIGNIFICANT_P


def format_number(value: float, digits: int = 3) -> str:
    """Format with significant digits, without exponents below ten million, with thousands separators."""
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if not -4 <= magnitude <= 6:
        return f"{value:.{digits - 1}e}"
    return f"{value:,.{max(digits - 1 - magnitude, 0)}f}"


def format_p(p: float) -> str:
    """Format a p-value."""
    if not math.isfinite(p):
        return EMPTY
    return "< 0.001" if p < 1e-3 else f"{p:.3f}"


def to_terminal(table: Table) -> Group:
    """Return the table for a rich console, narrow ones too: one block for each kind of instances, under its name."""
    by_kind = bool(table.columns) and table.columns[0].key == GROUP_KEY
    if not by_kind:
        return Group(_terminal_block(table.title, table.columns, table.rows), Text(table.note, style="dim"))
    blocks = [
        _terminal_block(f"{table.title}: {kind}", table.columns[1:], [row[1:] for row in rows])
        for kind, rows in groupby(table.rows, key=lambda row: row[0].text)
    ]
    return Group(*blocks, Text(table.note, style="dim"))


@dataclass(frozen=True, slots=True)
class _Fitting:
    """A table that sets its columns closer where the terminal is too narrow."""

    table: TerminalTable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render for a width."""
        # Twice: rich shares out the width so that narrow columns lose a character before wide ones wrap.
        n_gaps = 2 * (len(self.table.columns) - 1)
        if self.table.__rich_measure__(console, options).minimum + n_gaps > options.max_width:
            self.table.padding = (0, 0, 0, 0)
        yield self.table


def _terminal_block(title: str, columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> _Fitting:
    styles = {Tone.GOOD: "bold green", Tone.BAD: "bold red", Tone.MUTED: "dim", Tone.PLAIN: ""}
    shown = TerminalTable(
        title=title,
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
    )
    rows = list(rows)
    for position, column in enumerate(columns):
        widths = [len(column.title), *(len(row[position].text) for row in rows)]
        if column.is_number:
            shown.add_column(column.title, justify="right")
        else:
            shown.add_column(column.title, min_width=min(max(widths), MAX_KEPT_WIDTH))
    for row in rows:
        shown.add_row(*(Text(cell.text, style=styles[cell.tone]) for cell in row))
    return _Fitting(shown)


def to_markdown(table: Table) -> str:
    """Return the table as GitHub's Markdown, its title in bold above and its note below."""
    lines = [f"**{table.title}**", ""]
    lines.append(_bars(column.title for column in table.columns))
    lines.append(_bars("---:" if column.is_number else ":---" for column in table.columns))
    lines += [_bars(_markdown_cell(cell) for cell in row) for row in table.rows]
    if table.note:
        lines += ["", table.note]
    return "\n".join(lines) + "\n"


def to_html(table: Table) -> str:
    """Return the table as HTML for a notebook: no script and no style sheet."""
    head = "".join(f"<th{_aligned(column)}>{escape(column.title)}</th>" for column in table.columns)
    rows = "".join(f"<tr>{''.join(map(_html_cell, table.columns, row))}</tr>" for row in table.rows)
    note = f"<p><small>{escape(table.note)}</small></p>" if table.note else ""
    caption = f"<caption>{escape(table.title)}</caption>" if table.title else ""
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{note}"


def to_csv(table: Table) -> str:
    """Return full numbers, one column each; intervals in columns ``_low`` and ``_high``; empty where there is none."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    header: list[str] = []
    for column in table.columns:
        header += [column.key, f"{column.key}_low", f"{column.key}_high"] if column.has_interval else [column.key]
    writer.writerow(header)
    for row in table.rows:
        fields: list[object] = []
        for column, cell in zip(table.columns, row, strict=True):
            fields.append(cell.value if column.is_number else cell.text)
            fields += [cell.low, cell.high] if column.has_interval else []
        writer.writerow("" if field is None else field for field in fields)
    return stream.getvalue()


def to_latex(table: Table) -> str:
    """Return a ``booktabs`` tabular with a caption, to be included in a document."""
    alignment = "".join("r" if column.is_number else "l" for column in table.columns)
    lines = [r"\begin{table}", r"\centering", rf"\caption{{{_latex(table.title)}}}", rf"\label{{tab:{table.name}}}"]
    lines += [rf"\begin{{tabular}}{{{alignment}}}", r"\toprule"]
    lines.append(" & ".join(_latex(column.title) for column in table.columns) + r" \\")
    lines.append(r"\midrule")
    for row in table.rows:
        lines.append(" & ".join(_latex_cell(cell) for cell in row) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def _bars(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _markdown_cell(cell: Cell) -> str:
    text = cell.text.replace("|", r"\|").replace("_", r"\_").replace("*", r"\*")
    return f"**{text}**" if cell.tone is Tone.GOOD else text


def _latex_cell(cell: Cell) -> str:
    text = _latex(cell.text)
    return rf"\textbf{{{text}}}" if cell.tone is Tone.GOOD else text


def _aligned(column: Column) -> str:
    return ' style="text-align: right"' if column.is_number else ' style="text-align: left"'


def _html_cell(column: Column, cell: Cell) -> str:
    text = f"<b>{escape(cell.text)}</b>" if cell.tone is Tone.GOOD else escape(cell.text)
    tone = f' class="{cell.tone}"' if cell.tone else ""
    return f"<td{_aligned(column)}{tone}>{text}</td>"


_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "–": "--",
    "·": r"$\cdot$",
    "±": r"$\pm$",
    "×": r"$\times$",
}


def _latex(text: str) -> str:
    """Escape what LaTeX would act on."""
    return re.sub("|".join(map(re.escape, _LATEX)), lambda found: _LATEX[found.group()], text)
