"""Pictures of a comparison: ratios, profiles, paired runs, tree sizes, the price of a decision."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from gnn_branching.contracts import FloatArray, SolveRecord
from gnn_branching.evaluation.report.comparison_tables import group_title
from gnn_branching.evaluation.report.tables import Tone, format_number, format_ratio, ratio_tone
from gnn_branching.evaluation.report.theme import (
    BAD,
    GOOD,
    INK,
    MARKERS,
    MUTED,
    SERIES,
    Picture,
    drawing,
    finish,
)
from gnn_branching.evaluation.statistics.comparison import GroupComparison, MethodFigures
from gnn_branching.evaluation.statistics.measures import TIME, scored
from gnn_branching.evaluation.statistics.pairing import ComparisonOptions, Method, Runs, runs_by_method

MIN_AXIS_SECONDS = 1e-2
_ROW_INCHES = 0.34


def method_styles(methods: Sequence[Method], baseline: str) -> dict[Method, tuple[str, str]]:
    """Return colour and marker by method, ``paper`` settings and the baseline first.

    The baseline is neutral; any other rule has a colour of its own, whatever its settings.
    """
    ordered = sorted(methods, key=lambda method: (method.settings != "paper", method.policy != baseline, method))
    policies = [name for name in dict.fromkeys(method.policy for method in ordered) if name != baseline]
    colors = {name: SERIES[number % len(SERIES)] for number, name in enumerate(policies)}
    markers = {name: MARKERS[(number + 1) % len(MARKERS)] for number, name in enumerate(policies)}
    return {method: (colors.get(method.policy, INK), markers.get(method.policy, MARKERS[0])) for method in ordered}


def ratio_forest(groups: Sequence[GroupComparison], options: ComparisonOptions) -> Picture | None:
    """Draw paired time ratios with their intervals around the line of no difference; None if there is none.

    Only learned rules are drawn; without any, all rules but the baseline are.
    """
    rows = [
        (group, line)
        for group in groups
        for line in group.methods
        if line.method.policy != options.baseline and math.isfinite(line.ratios["time"].value)
    ]
    if not rows:
        return None
    rows = [row for row in rows if row[1].is_learned] or rows
    with drawing(height=0.9 + _ROW_INCHES * len(rows)) as (figure, (axes,)):
        axes.axvline(1.0, color=INK, linewidth=1.2)
        for y, (_, line) in enumerate(rows):
            _draw_ratio(axes, y, line)
        labels = [f"{line.method.label}\n{group_title(group.family, group.size)}" for group, line in rows]
        axes.set_yticks(range(len(rows)), labels, fontsize=8)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        _plain_log(axes, "x", finer=(1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0))
        axes.set_xlabel(f"time / {options.baseline} (left of 1 is faster)")
        return finish(
            figure,
            name="ratios",
            title=f"Time against {options.baseline}",
            caption="Paired ratios of shifted geometric mean times with 95 % bootstrap intervals, same settings. "
            "Left of the line is faster.",
        )


def performance_profile(records: Sequence[SolveRecord], options: ComparisonOptions, *, name: str) -> Picture:
    """Draw, for each factor, the share of runs a rule solves within that factor of the fastest (Dolan, Moré 2002)."""
    runs = runs_by_method(records)
    best: dict[tuple[str, int], float] = {}
    for own in runs.values():
        for key, seconds in _solved_seconds(own).items():
            best[key] = min(best.get(key, math.inf), seconds)
    n_keys = len({key for own in runs.values() for key in own})
    factors = {
        method: np.sort(np.array([seconds / best[key] for key, seconds in _solved_seconds(own).items()]))
        for method, own in runs.items()
    }
    largest = max([2.0, *(float(own[-1]) for own in factors.values() if own.size)])
    return _cumulative(
        factors,
        dict.fromkeys(runs, n_keys),
        options,
        span=(1.0, 1.1 * largest),
        axis="factor of the fastest rule's time",
        name=f"profile-{name}",
        title="Performance profile",
        caption="Share of runs solved within a factor of the fastest rule's time; higher, further left is better.",
    )


def solved_over_time(records: Sequence[SolveRecord], options: ComparisonOptions, *, name: str) -> Picture:
    """Draw the number of runs solved within a time."""
    runs = runs_by_method(records)
    return _cumulative(
        {method: np.sort(list(_solved_seconds(own).values())) for method, own in runs.items()},
        {method: len(own) for method, own in runs.items()},
        options,
        axis="wall seconds",
        name=f"solved-{name}",
        title="Solved over time",
        caption="Share of runs solved within a wall time; higher and further left is better.",
    )


def tree_sizes(records: Sequence[SolveRecord], options: ComparisonOptions, *, name: str) -> Picture:
    """Draw the number of runs solved within a number of tree nodes."""
    runs = runs_by_method(records)
    sizes = {
        method: np.sort([max(r.figures.n_tree_nodes, 1) for r in own.values() if r.status.solved and r.figures])
        for method, own in runs.items()
    }
    return _cumulative(
        sizes,
        {method: len(own) for method, own in runs.items()},
        options,
        axis="tree nodes",
        name=f"nodes-{name}",
        title="Tree size",
        caption="Share of runs solved within a number of tree nodes; does not depend on the machine.",
    )


def paired_scatter(records: Sequence[SolveRecord], options: ComparisonOptions, *, name: str) -> Picture | None:
    """Draw every pair of runs, baseline across, rival up, on logarithmic axes; None without a pair."""
    runs = runs_by_method(records)
    styles = method_styles(list(runs), options.baseline)
    clouds = {method: _paired_seconds(method, runs, options) for method in styles if method.policy != options.baseline}
    clouds = {method: points for method, points in clouds.items() if points.size}
    if not clouds:
        return None
    low = 0.8 * min(float(points.min()) for points in clouds.values())
    high = 1.25 * max(float(points.max()) for points in clouds.values())
    with drawing(width=4.6, height=4.2) as (figure, (axes,)):
        for method, (x, y) in clouds.items():
            color, marker = styles[method]
            face = color if method.settings == "paper" else "none"
            axes.scatter(x, y, s=20, color=color, facecolors=face, marker=marker, alpha=0.75, label=method.label)
        axes.plot([low, high], [low, high], color=MUTED, linewidth=1.2)
        for axis in ("x", "y"):
            _plain_log(axes, axis)
        axes.set(xlim=(low, high), ylim=(low, high), xlabel=f"{options.baseline}, wall seconds", ylabel="wall seconds")
        axes.set_aspect("equal")
        _legend_below(figure)
        return finish(
            figure,
            name=f"pairs-{name}",
            title="Run by run",
            caption="Each point is one instance and seed; below the diagonal the rule is faster than "
            f"{options.baseline}. Unsolved runs lie at the time limit.",
        )


def decision_split(groups: Sequence[GroupComparison]) -> Picture | None:
    """Draw where a decision's time goes; None if no learned rule decided anything."""
    rows = [(group, line) for group in groups for line in group.methods if line.price.n_decisions]
    if not rows:
        return None
    labels = [f"{line.method.label}\n{group_title(group.family, group.size)}" for group, line in rows]
    parts: Mapping[str, list[float]] = {
        "features": [line.price.feature_ms for _, line in rows],
        "inference": [line.price.inference_ms for _, line in rows],
        "rest": [line.price.rest_ms for _, line in rows],
    }
    with drawing(height=1.15 + _ROW_INCHES * len(rows)) as (figure, (axes,)):
        left = np.zeros(len(rows))
        for (title, widths), color in zip(parts.items(), (SERIES[3], SERIES[0], MUTED), strict=True):
            axes.barh(range(len(rows)), widths, left=left, color=color, height=0.6, label=title)
            left = left + np.array(widths)
        axes.set_yticks(range(len(rows)), labels, fontsize=8)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("ms a decision")
        _legend_below(figure)
        return finish(
            figure,
            name="decisions",
            title="Price of a decision",
            caption="Mean wall time of a branching decision of the learned rules: features, inference, the rest.",
        )


def _paired_seconds(method: Method, runs: Mapping[Method, Runs], options: ComparisonOptions) -> FloatArray:
    """Return the times of the baseline and of a method on the runs they share: float64, (2, n_pairs)."""
    own, base = runs[method], runs.get(Method(method.settings, options.baseline), {})
    limit = options.time_limit_seconds
    keys = sorted(own.keys() & base.keys())
    seconds = [[scored(TIME, side[key], time_limit_seconds=limit) for key in keys] for side in (base, own)]
    return np.maximum(np.array(seconds, dtype=np.float64), MIN_AXIS_SECONDS)


def _draw_ratio(axes: Axes, y: int, line: MethodFigures) -> None:
    estimate = line.ratios["time"]
    color = {Tone.GOOD: GOOD, Tone.BAD: BAD}.get(ratio_tone(estimate), MUTED)
    if math.isfinite(estimate.low):
        axes.plot([estimate.low, estimate.high], [y, y], color=color, linewidth=3, solid_capstyle="round")
    axes.plot([estimate.value], [y], marker="o", markersize=7, color=color)
    axes.annotate(
        format_ratio(estimate.value), (estimate.value, y), (0, 6), textcoords="offset points", ha="center", fontsize=8
    )


def _cumulative(
    values: Mapping[Method, FloatArray],
    totals: Mapping[Method, int],
    options: ComparisonOptions,
    *,
    span: tuple[float, float] | None = None,
    axis: str,
    name: str,
    title: str,
    caption: str,
) -> Picture:
    """Draw the share of each method's runs whose value is at most so much; over all values if no span is given."""
    everything = np.concatenate([np.asarray(own, dtype=np.float64) for own in values.values()] or [np.zeros(0)])
    around = (0.8 * everything.min(), 1.25 * everything.max()) if everything.size else (0.1, 1.0)
    low, high = span or around
    with drawing() as (figure, (axes,)):
        for method, (color, _) in method_styles(list(values), options.baseline).items():
            _steps(axes, values[method], totals[method], start=low, color=color, method=method)
        for line in axes.get_lines():
            _extend(line, high)
        _plain_log(axes, "x")
        axes.set_xlim(low, high)
        _share_axis(axes)
        axes.set(xlabel=axis, ylabel="runs solved")
        _legend_below(figure)
        return finish(figure, name=name, title=title, caption=caption)


def _solved_seconds(runs: Runs) -> dict[tuple[str, int], float]:
    return {
        key: max(record.figures.wall_seconds, MIN_AXIS_SECONDS)
        for key, record in runs.items()
        if record.status.solved and record.figures is not None
    }


def _steps(axes: Axes, values: FloatArray, total: int, *, start: float, color: str, method: Method) -> None:
    x = np.concatenate([[start], values])
    y = np.arange(x.size) / max(total, 1)
    dashes = "-" if method.settings == "paper" else (0, (4, 2))
    axes.plot(x, y, drawstyle="steps-post", color=color, linestyle=dashes, label=method.label)


def _extend(line: Line2D, right: float) -> None:
    """Carry a step line on to the right edge."""
    x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    line.set_data(np.append(x, right), np.append(y, y[-1]))


def _legend_below(figure: Figure) -> None:
    n_entries = len(figure.axes[0].get_legend_handles_labels()[1])
    figure.legend(loc="outside lower center", ncols=2 if n_entries % 3 else 3)


def _share_axis(axes: Axes) -> None:
    axes.set_ylim(-0.02, 1.03)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))


def _plain_log(axes: Axes, which: str, *, finer: Sequence[float] = ()) -> None:
    """Make an axis logarithmic with plain numbers, the fewer to a decade the more it spans.

    Args:
        axes: Whose axis.
        which: ``x`` or ``y``.
        finer: Numbers of a decade where the axis spans little.
    """
    getattr(axes, f"set_{which}scale")("log")
    axis = getattr(axes, f"{which}axis")
    low, high = getattr(axes, f"get_{which}lim")()
    subdivisions = (1.0,) if high / low >= 100 else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(subs=finer if finer and high / low < 6 else subdivisions))
    axis.set_major_formatter(
        FuncFormatter(
            lambda value, _: format_number(value, 2).rstrip("0").rstrip(".") if value < 1 else f"{value:,.6g}"
        )
    )
    axis.set_minor_formatter(NullFormatter())
