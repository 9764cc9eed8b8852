"""``gnn-branching theory``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from gnn_branching.cli.output import JsonPath, Seed, write_figures
from gnn_branching.contracts import InputError
from gnn_branching.libraries import require


def theory(
    paper: str | None = None,
    *,
    all_: Annotated[bool, Parameter(name="--all", negative="")] = False,
    fault: str = "none",
    out: Path = Path("runs/theory"),
    seed: Seed = 0,
    json: JsonPath = None,
) -> int:
    """Reproduce a paper's claim on the small model where the truth is known.

    Exits with 3 if an assertion fails, as one must under a deliberate fault.

    Example: `gnn-branching theory du2018`

    Parameters
    ----------
    paper
        `liu2020`, `du2018`, `lucas2021`, `li2020` or `senen-cerda2020`.
    all_
        Reproduce all of them.
    fault
        Put a deliberate fault into the paper's model, to see its checks fail: one of those named in docs/theory.md.
    out
        Folder for pictures and tables.
    """
    require("train")
    from gnn_branching.theory import PAPERS, run

    if (paper is None) == (not all_):
        raise InputError(f"give one of {', '.join(PAPERS)}, or --all")
    if all_ and fault != "none":
        raise InputError(f"a fault belongs to one paper, and --all has {len(PAPERS)}; name the paper of {fault!r}")
    failed = 0
    figures: dict[str, object] = {}
    for name in PAPERS if all_ else [str(paper)]:
        report = run(name, out, seed, fault)
        print(f"{name}: {report.claim}\n{report.table()}\n{report.picture} ({report.wall_seconds:.1f} s)\n")
        failed += not report.passed
        figures[name] = report.passed
    write_figures(json, figures)
    return 3 if failed else 0
