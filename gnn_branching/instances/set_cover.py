"""Set covering instances (Balas and Ho 1980), the distribution of Gasse et al. 2019."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from gnn_branching.contracts import InputError
from gnn_branching.instances.lp_format import LinearProgram

LEAST_ROWS = 2
"""Rows that every column covers at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetCover:
    """Data of an instance.

    Args:
        cost: Of each column, integers of shape (columns,).
        covers: Ones where a column covers a row, shape (rows, columns).
    """

    cost: NDArray[np.int64]
    covers: csr_array


def draw_set_cover(seed: int, n_rows: int, n_cols: int, density: float, max_coef: int) -> SetCover:
    """Draw the data of an instance.

    Every column covers two rows or more, every row is covered, and the share of ones is ``density``: the first columns
    take the rows of a random permutation, each as many as it covers, until all are taken; the others take any.

    Raises:
        InputError: If the density leaves fewer ones than that needs, or is more than 1.
    """
    n_ones = int(n_rows * n_cols * density)
    if not max(LEAST_ROWS * n_cols, n_rows) <= n_ones <= n_rows * n_cols:
        raise InputError(
            f"density {density} gives {n_ones} ones; {n_rows} rows and {n_cols} columns need "
            f"{max(LEAST_ROWS * n_cols, n_rows)} to {n_rows * n_cols}"
        )
    rng = np.random.default_rng(seed)
    spare = rng.choice(n_cols * (n_rows - LEAST_ROWS), n_ones - LEAST_ROWS * n_cols, replace=False) % n_cols
    sizes = LEAST_ROWS + np.bincount(spare, minlength=n_cols)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    order, rows = rng.permutation(n_rows), np.empty(n_ones, dtype=np.int64)
    for start, end in pairwise(starts):
        own = order[start:end]  # none left once all rows are taken
        rows[start : start + own.size] = own
        rows[start + own.size : end] = rng.choice(np.setdiff1d(order, own), end - start - own.size, replace=False)
    covers = csr_array(csc_array((np.ones(n_ones), rows, starts), shape=(n_rows, n_cols)))
    return SetCover(cost=rng.integers(1, max_coef, n_cols, endpoint=True), covers=covers)


def write_set_cover(path: Path, seed: int, n_rows: int, n_cols: int, density: float, max_coef: int) -> None:
    """Write a set covering instance: columns that cover all rows, at least cost.

    Raises:
        InputError: If the density is impossible.
    """
    data = draw_set_cover(seed, n_rows, n_cols, density, max_coef)
    program = LinearProgram(sense="Minimize", binaries=[f"x{column}" for column in range(n_cols)])
    program.objective += zip(data.cost.tolist(), program.binaries, strict=True)
    covers = data.covers
    for start, end in pairwise(covers.indptr):
        program.at_least([(1, f"x{column}") for column in np.sort(covers.indices[start:end])], 1)
    program.write_lp(path)
