"""How pictures look: drawn by matplotlib once, coloured by the page that shows them, light or dark."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#010101"
MUTED = "#010102"
GRID = "#010103"
GOOD = "#010104"
BAD = "#010105"
SURFACE = "#010106"
SERIES = ("#010111", "#010112", "#010113", "#010114", "#010115", "#010116", "#010117")
"""Placeholders that no picture would use for themselves; each becomes a CSS variable, with a light fallback."""

VARIABLES: Mapping[str, str] = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    GOOD: "good",
    BAD: "bad",
    SURFACE: "surface",
    **{color: f"series-{number}" for number, color in enumerate(SERIES, start=1)},
}
LIGHT: Mapping[str, str] = {
    "ink": "#1c2330",
    "muted": "#66707f",
    "grid": "#dfe4ea",
    "good": "#0b7a4b",
    "bad": "#c0322b",
    "surface": "#ffffff",
    "series-1": "#2457d6",
    "series-2": "#c2560c",
    "series-3": "#7a3fc4",
    "series-4": "#0d7d85",
    "series-5": "#b3256f",
    "series-6": "#5f7a12",
    "series-7": "#8a5a2b",
}
DARK: Mapping[str, str] = {
    "ink": "#e8ecf2",
    "muted": "#98a3b3",
    "grid": "#2f3846",
    "good": "#4cc38a",
    "bad": "#ff8078",
    "surface": "#171c24",
    "series-1": "#7ea6ff",
    "series-2": "#ffa25e",
    "series-3": "#c39bff",
    "series-4": "#4fd0d6",
    "series-5": "#ff86c0",
    "series-6": "#b5d34a",
    "series-7": "#d9ab7a",
}
"""Both meet WCAG's contrast of 4.5 for text on their surface, the grid excepted."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")

_RC = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.8,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A finished picture.

    Args:
        name: Stem of its file.
        title: Heading.
        caption: What it shows and how to read it, for those who see it and those who do not.
        svg: The ``<svg>`` element, its colours CSS variables.
        is_wide: Whether it takes the page's whole width, and scrolls on a phone.
    """

    name: str
    title: str
    caption: str
    svg: str
    is_wide: bool = False

    @property
    def document(self) -> str:
        """A file of its own, which follows the reader's preference for light or dark."""
        light = "".join(f"--{name}:{color};" for name, color in LIGHT.items())
        dark = "".join(f"--{name}:{color};" for name, color in DARK.items())
        style = (
            f"<style>:root{{{light}background:var(--surface)}}"
            f"@media(prefers-color-scheme:dark){{:root{{{dark}}}}}</style>"
        )
        body = re.sub(r"(<svg[^>]*>)", rf"\1{style}", self.svg, count=1)
        return f'<?xml version="1.0" encoding="utf-8"?>\n{body}\n'


@contextmanager
def drawing(n_columns: int = 1, *, width: float = 4.9, height: float = 3.3) -> Iterator[tuple[Figure, Sequence[Axes]]]:
    """Give a figure in the common style, without touching matplotlib's global state for anyone else.

    Args:
        n_columns: Axes side by side.
        width: Width of each, inches.
        height: Height, inches.
    """
    with mpl.rc_context(_RC):  # type: ignore[arg-type]  # its stubs list every key as a literal
        figure = Figure(figsize=(width * n_columns, height), layout="constrained")
        axes = figure.subplots(1, n_columns, squeeze=False)[0]
        yield figure, list(axes)


def finish(figure: Figure, *, name: str, title: str, caption: str, is_wide: bool = False) -> Picture:
    """Turn a figure into a picture; call inside :func:`drawing`, whose style it needs."""
    stream = io.StringIO()
    with mpl.rc_context({**_RC, "svg.hashsalt": name}):  # type: ignore[dict-item]
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    svg = _themed(stream.getvalue(), name=name, label=title)
    return Picture(name=name, title=title, caption=caption, svg=svg, is_wide=is_wide)


def png_picture(path: Path, *, name: str) -> Picture:
    """Return somebody else's PNG as a picture for a page, inline."""
    title = path.stem.replace("-", " ").replace("_", " ").capitalize()
    data = base64.b64encode(path.read_bytes()).decode()
    image = f'<img alt="{_attribute(title)}" src="data:image/png;base64,{data}">'
    return Picture(name=name, title=title, caption="", svg=image, is_wide=True)


def _themed(svg: str, *, name: str, label: str) -> str:
    """Keep the element alone, make its ids unique in a page, its colours variables and its size flexible."""
    body = svg[svg.index("<svg") :].strip()
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'\b(id="|url\(#|xlink:href="#|href="#)', rf"\g<1>{name}-", body)
    body = re.sub(
        r"#0101[01]\d", lambda found: f"var(--{VARIABLES[found.group()]},{LIGHT[VARIABLES[found.group()]]})", body
    )
    body = body.replace("'DejaVu Sans'", "system-ui, -apple-system, 'Segoe UI', sans-serif")
    head = re.match(r"<svg[^>]*>", body)
    assert head is not None
    size = re.sub(r'\s(?:width|height)="[^"]*pt"', "", head.group())
    return size.replace("<svg", f'<svg role="img" aria-label="{_attribute(label)}"', 1) + body[head.end() :]


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
