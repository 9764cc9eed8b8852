"""``gnn-branching generate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from gnn_branching.cli.output import JsonPath, Seed, Workers, write_figures
from gnn_branching.contracts import InputError
from gnn_branching.counting import counting


def generate(
    family: str,
    *,
    size: str = "easy",
    n: Annotated[int, Parameter(name="--n")] = 100,
    out: Path,
    split: Literal["train", "valid", "test"] = "train",
    gz: Annotated[bool, Parameter(negative="")] = False,
    seed: Seed = 0,
    workers: Workers = None,
    json: JsonPath = None,
) -> None:
    """Write instances of a family, and a manifest with family, size, seed and SHA-256 of each.

    Files that are there already, with the right hash, are kept: run it again to continue or to add more.

    Example: `gnn-branching generate set-cover --size easy --n 100 --out data/set-cover`

    Parameters
    ----------
    family
        `set-cover`, `combinatorial-auction`, `capacitated-facility-location`, `independent-set`, `multiple-knapsack`,
        `generalized-independent-set`, `lot-sizing`, `generalized-assignment`, or one you registered.
    size
        `easy`, `medium` or `hard`.
    n
        How many.
    out
        Folder to write to.
    split
        Which of three disjoint sequences of instances.
    gz
        Compress the files.
    """
    from gnn_branching.execution import make_executor
    from gnn_branching.instances import generate_instances

    if n < 1:
        raise InputError(f"--n {n} must be 1 or more")
    with counting(f"{family} {size}", n) as show:
        manifest = generate_instances(
            family,
            size,
            n,
            out,
            executor=make_executor("local", workers=workers or 0),
            seed=seed,
            split=split,
            compressed=gz,
            on_instance=show,
        )
    print(f"{len(manifest.instances)} instances in {out}")
    write_figures(json, {"family": family, "size": size, "n_instances": len(manifest.instances), "folder": str(out)})
