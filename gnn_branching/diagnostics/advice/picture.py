"""Small line plots, written without a display."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

MOST_IN_A_COLUMN = 4
"""Names of a legend; more of them stand in two columns, and hide less."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """One line of a panel.

    Args:
        x: Abscissae.
        y: Ordinates, as many.
        label: Name in the legend.
        dashed: Whether it is a bound or a prediction rather than a measurement.
        marked: Whether the points are marked.
    """

    x: ArrayLike
    y: ArrayLike
    label: str
    dashed: bool = False
    marked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Panel:
    """One pair of axes.

    Args:
        title: Title.
        x_label: Label below.
        y_label: Label at the side.
        curves: Its lines.
        x_log: Logarithmic abscissa.
        y_log: Logarithmic ordinate.
        y_limits: Lower and upper end of the ordinate; fitted to the curves if None.
    """

    title: str
    x_label: str
    y_label: str
    curves: Sequence[Curve] = field(default_factory=tuple)
    x_log: bool = False
    y_log: bool = False
    y_limits: tuple[float, float] | None = None


def draw(panels: Sequence[Panel], path: Path, *, n_columns: int | None = None, has_common_legend: bool = False) -> None:
    """Draw panels into a PNG file, side by side unless told in how many columns; points not finite are left out.

    What is measured is drawn thick and in colour, bounds and predictions dashed, thinner and above it.

    Args:
        panels: At least one.
        path: The file.
        n_columns: Columns; as many as there are panels if None.
        has_common_legend: Whether the panels' curves are the same ones, named once, in a place of its own after them.
    """
    n_places = len(panels) + has_common_legend
    width = n_columns or n_places
    height = -(-n_places // width)
    figure = Figure(figsize=(5.2 * width, 4.0 * height), layout="constrained")
    FigureCanvasAgg(figure)
    for position, panel in enumerate(panels, start=1):
        _draw_panel(figure.add_subplot(height, width, position), panel, has_legend=not has_common_legend)
    if has_common_legend:
        key = figure.add_subplot(height, width, n_places)
        key.set_axis_off()
        lines = figure.axes[0].lines
        key.legend(lines, [str(line.get_label()) for line in lines], loc="center", fontsize=11, frameon=False)
    figure.savefig(path, dpi=120)


def _draw_panel(axes: Axes, panel: Panel, *, has_legend: bool) -> None:
    for curve in panel.curves:
        x, y = np.asarray(curve.x, dtype=float), np.asarray(curve.y, dtype=float)
        shown = np.isfinite(x) & np.isfinite(y) & ((y > 0) | (not panel.y_log)) & ((x > 0) | (not panel.x_log))
        style, width = ("--", 1.3) if curve.dashed else ("-", 1.8)
        marker = "o" if curve.marked else None
        axes.plot(x[shown], y[shown], style, marker=marker, label=curve.label or None, markersize=4, linewidth=width)
    axes.set(title=panel.title, xlabel=panel.x_label, ylabel=panel.y_label)
    if any(np.size(line.get_xdata()) for line in axes.lines):  # nothing has no logarithm
        axes.set_xscale("log" if panel.x_log else "linear")
        axes.set_yscale("log" if panel.y_log else "linear")
    if panel.y_limits is not None:
        axes.set_ylim(*panel.y_limits)
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if has_legend and any(curve.label for curve in panel.curves):
        n_columns = 2 if len(panel.curves) > MOST_IN_A_COLUMN else 1
        axes.legend(fontsize=8, framealpha=0.8, edgecolor="none", ncols=n_columns)
