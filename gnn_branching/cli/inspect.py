"""``gnn-branching inspect``."""

from __future__ import annotations

from pathlib import Path

from gnn_branching.cli.output import JsonPath, results_console, write_figures


def inspect(dataset: str, *, out: Path | None = None, json: JsonPath = None) -> int:
    """Say what is in a dataset: counts, ties, candidates, depths, label sanity, sizes.

    Exits with 3 if a label is not sane, or an instance is in two splits.

    Example: `gnn-branching inspect runs/set-cover/dataset --out runs/set-cover/pictures`

    Parameters
    ----------
    dataset
        Folder or fsspec URL of a dataset.
    out
        Folder for pictures; none are drawn without it.
    """
    from gnn_branching.collection import inspect_dataset, summary_table, write_pictures

    summary = inspect_dataset(dataset)
    results_console().print(summary_table(summary))
    for problem in summary.all_problems:
        print(problem)
    for picture in write_pictures(summary, out) if out else []:
        print(picture)
    write_figures(json, summary.figures())
    return 3 if summary.all_problems else 0
