"""Pictures of single runs: trees side by side, gap over time, agreement by depth, training curves."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from gnn_branching.contracts import InputError
from gnn_branching.evaluation.report.theme import GRID, INK, MUTED, SERIES, Picture, drawing, finish
from gnn_branching.evaluation.solves.trees import RecordedTree, gap_over_time, layout_tree
from gnn_branching.evaluation.statistics.branching_agreement import DepthAgreement, depth_range

MAX_DRAWN_NODES = 4000
"""Of a larger tree, the nodes processed first are drawn: a page must stay light."""

Curve = Mapping[str, Sequence[float]]
"""Figures of a training by name, one an epoch."""


def trees_side_by_side(trees: Sequence[RecordedTree], *, name: str) -> Picture:
    """Draw trees next to each other at one scale of depth: leaves hollow, inner nodes filled."""
    deepest = max((tree.max_depth for tree in trees), default=0)
    with drawing(len(trees), width=5.2, height=4.6) as (figure, columns):
        for axes, tree, color in zip(columns, trees, (SERIES[0], INK, *SERIES[1:]), strict=False):
            _draw_tree(axes, tree, color)
            axes.set_ylim(deepest + 0.5, -0.5)
            axes.yaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set_ylabel("depth" if axes is columns[0] else "")
            axes.set_title(tree.title)
        return finish(
            figure,
            name=f"trees-{name}",
            title="Trees side by side",
            caption="Each dot is a tree node, the root above; filled dots were branched on. One instance, one seed; "
            f"at most the first {MAX_DRAWN_NODES:,} nodes of each are drawn.",
            is_wide=True,
        )


def gaps_over_time(trees: Sequence[RecordedTree], *, name: str) -> Picture:
    """Draw the primal–dual gap of recorded solves over time."""
    with drawing() as (figure, (axes,)):
        for tree, color in zip(trees, (SERIES[0], INK, *SERIES[1:]), strict=False):
            seconds, gap = gap_over_time(tree.nodes)
            axes.plot(seconds, gap, drawstyle="steps-post", color=color, label=tree.title)
        axes.set(xlabel="wall seconds", ylabel="gap, %", ylim=(0, None), xlim=(0, None))
        figure.legend(loc="outside lower center", ncols=2)
        return finish(
            figure,
            name=f"gaps-{name}",
            title="Gap over time",
            caption="Primal–dual gap of one recorded solve each; lower is better. Recording slows both down alike.",
        )


def agreement_figure(parts: Mapping[str, Sequence[DepthAgreement]]) -> Picture | None:
    """Draw agreement with strong branching by depth, with 95 % intervals, one line per policy; None without figures."""
    if not any(parts.values()):
        return None
    with drawing() as (figure, (axes,)):
        ranges = sorted({(part.first_depth, part.last_depth) for own in parts.values() for part in own})
        firsts = [first for first, _ in dict(ranges).items()]
        for (policy, own), color in zip(parts.items(), SERIES, strict=False):
            x = np.array([firsts.index(part.first_depth) for part in own])
            y = np.array([part.agreement for part in own])
            axes.fill_between(x, [p.low for p in own], [p.high for p in own], color=color, alpha=0.15, linewidth=0)
            axes.plot(x, y, color=color, marker="o", label=policy)
        axes.set_xticks(range(len(firsts)), [depth_range(first, dict(ranges)[first]) for first in firsts])
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
        axes.set(xlabel="depth of the tree node", ylabel="agrees with strong branching", ylim=(0, 1.02))
        figure.legend(loc="outside lower center", ncols=2)
        return finish(
            figure,
            name="agreement",
            title="Agreement with strong branching",
            caption="Share of tree nodes, of those the policy itself visits, where its choice has strong branching's "
            "best score (ties count). A fall with depth is the shift away from what it was trained on.",
        )


def read_metrics(path: Path) -> dict[str, list[float]]:
    """Read ``metrics.jsonl``: one JSON object a line; figures by name, NaN where a line lacks one.

    Raises:
        InputError: If a line other than the last, which may be cut off, is no JSON object.
    """
    rows: list[dict[str, object]] = []
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(dict(json.loads(line)))
        except (json.JSONDecodeError, TypeError, ValueError):
            if number < len(lines):
                raise InputError(
                    f"{path}, line {number} is no JSON object; the training wrote something else"
                ) from None
    names = {name: None for row in rows for name, value in row.items() if _is_number(value)}
    return {name: [_as_float(row.get(name)) for row in rows] for name in names}


def training_curves(curve: Curve, *, name: str) -> tuple[Picture, ...]:
    """Draw the losses, and the accuracies, of a training over its epochs; whatever the run recorded of them."""
    length = max((len(values) for values in curve.values()), default=0)
    epochs = list(curve.get("epoch", range(length)))
    wanted = (("loss", "Loss", "loss"), ("accuracy", "Accuracy", "acc"))
    pictures: list[Picture] = []
    for what, title, word in wanted:
        own = {key: values for key, values in curve.items() if word in key and np.isfinite(values).any()}
        if not own:
            continue
        with drawing() as (figure, (axes,)):
            for (key, values), color in zip(sorted(own.items()), SERIES, strict=False):
                axes.plot(epochs, values, color=color, label=key.replace("_", " "))
            axes.set(xlabel="epoch", ylabel=what)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            figure.legend(loc="outside lower center", ncols=2)
            caption = f"{title} of the training and validation data by epoch."
            pictures.append(finish(figure, name=f"{what}-{name}", title=title, caption=caption))
    return tuple(pictures)


def _draw_tree(axes: Axes, tree: RecordedTree, color: str) -> None:
    layout = layout_tree(tree.nodes[:MAX_DRAWN_NODES])
    if layout.edges.size:
        gaps = np.full((len(layout.edges), 1), math.nan)
        x = np.hstack([layout.x[layout.edges], gaps]).ravel()
        y = np.hstack([layout.depth[layout.edges], gaps]).ravel()
        axes.plot(x, y, color=MUTED, linewidth=0.6, alpha=0.8)
    size = float(np.clip(40 / math.sqrt(max(layout.x.size, 1)), 1.2, 6.0))
    inner = ~layout.is_leaf
    axes.plot(layout.x[inner], layout.depth[inner], "o", color=color, markersize=size, markeredgewidth=0)
    axes.plot(
        layout.x[~inner],
        layout.depth[~inner],
        "o",
        color=color,
        markersize=size * 0.8,
        fillstyle="none",
        markeredgewidth=0.6,
    )
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.grid(visible=True, axis="y", color=GRID)
    axes.set_xlabel(f"{len(tree.nodes):,} tree nodes")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _as_float(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
