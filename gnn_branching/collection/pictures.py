"""A dataset's summary as a table and as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

from gnn_branching.collection.inspection import DatasetSummary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROWS = (
    ("samples", "n_samples", "{:.0f}"),
    ("episodes with samples", "n_episodes", "{:.0f}"),
    ("instances", "n_instances", "{:.0f}"),
    ("kB a sample", "bytes_per_sample", "kilo"),
    ("candidates, mean", "n_candidates_mean", "{:.1f}"),
    ("candidates, most", "n_candidates_max", "{:.0f}"),
    ("one candidate only", "single_candidate_share", "{:.1%}"),
    ("best is tied", "tie_share", "{:.1%}"),
    ("all are tied", "all_tied_share", "{:.1%}"),
    ("depth, mean", "depth_mean", "{:.1f}"),
    ("depth, most", "depth_max", "{:.0f}"),
    ("rows, mean", "n_rows_mean", "{:.0f}"),
    ("variables, mean", "n_variables_mean", "{:.0f}"),
    ("edges, mean", "n_edges_mean", "{:.0f}"),
    ("problems", "n_problems", "{:.0f}"),
)
N_BINS = 30


def summary_table(summary: DatasetSummary) -> Table:
    """Return one column per split."""
    table = Table(title="Dataset")
    table.add_column("")
    for split in summary.splits:
        table.add_column(split, justify="right")
    figures = [found.figures() for found in summary.splits.values()]
    for label, key, form in _ROWS:
        values = [column[key] for column in figures]
        table.add_row(label, *(f"{value / 1e3:.1f}" if form == "kilo" else form.format(value) for value in values))
    return table


def write_pictures(summary: DatasetSummary, folder: Path) -> list[Path]:
    """Draw depths, candidates and ties of every split, and return the files.

    Args:
        summary: What to draw.
        folder: Where to; made if it is not there.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    depths, candidates, ties = figure.subplots(1, 3)
    splits = summary.splits
    _histogram(depths, list(splits), [found.depths for found in splits.values()], "depth of the tree node")
    _histogram(candidates, list(splits), [found.n_candidates for found in splits.values()], "candidates")
    _histogram(ties, list(splits), [found.n_tied for found in splits.values()], "candidates tied for the best score")
    depths.set_ylabel("share of samples")
    candidates.legend()
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / "dataset.png", folder / "dataset.svg"]
    for file in files:
        figure.savefig(file, dpi=150)
    return files


def _histogram(axes: Axes, names: Sequence[str], values: Sequence[np.ndarray], label: str) -> None:
    """Draw shares in common bins, as the splits differ in length."""
    everything = np.concatenate(list(values))
    width = max(1, int(np.ceil((everything.max() - everything.min() + 1) / N_BINS)))
    edges = np.arange(everything.min() - 0.5, everything.max() + width + 0.5, width)
    for name, found in zip(names, values, strict=True):
        axes.stairs(np.histogram(found, edges)[0] / found.size, edges, label=name, linewidth=1.5)
    axes.set_xlabel(label)
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
