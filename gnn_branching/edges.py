"""The bipartite graph of an LP in its one form; NumPy only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

ShortIndexArray = NDArray[np.int32]
Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Edges:
    """The nonzeros of an LP in compressed rows, as SCIP has them and as every kernel wants them; they never change.

    Read-only arrays of the right type are taken as they are, and must not change by another name; others are copied.

    Args:
        indptr: int64, (n_rows + 1,): the edges of row ``i`` are ``indptr[i]`` to ``indptr[i + 1]``.
        indices: int32, (n_edges,): the variable of each edge.
        values: float64, (n_edges,): coefficient over the row's Euclidean norm.

    Raises:
        ValueError: If the arrays do not fit each other.
    """

    indptr: NDArray[np.int64]
    indices: ShortIndexArray
    values: NDArray[np.float64]
    transposed: Edges | None = field(default=None, init=False, repr=False)
    """The same in compressed columns, once ``subproblem.by_variable`` was asked for them."""

    def __post_init__(self) -> None:
        """Own what others could write to."""
        for name, dtype in (("indptr", np.int64), ("indices", np.int32), ("values", np.float64)):
            array = getattr(self, name)
            if array.flags.writeable or array.dtype != dtype or not array.flags.c_contiguous:
                object.__setattr__(self, name, read_only(np.array(array, dtype)))
        if self.indptr[0] != 0 or not self.indptr[-1] == self.indices.size == self.values.size:
            raise ValueError(f"rows of {self.indptr[-1]} edges, {self.indices.size} indices, {self.values.size} values")

    @staticmethod
    def from_pairs(
        rows: NDArray[np.integer], variables: NDArray[np.integer], values: NDArray[np.float64], n_rows: int
    ) -> Edges:
        """Compress a list of edges, in any order; those of one row keep theirs.

        Raises:
            ValueError: If a row is not in [0, n_rows).
        """
        if rows.size and not (rows.min() >= 0 and rows.max() < n_rows):
            raise ValueError(f"an edge's row is not in [0, {n_rows})")
        order = np.argsort(rows, kind="stable")
        indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n_rows))])
        return Edges(indptr=indptr, indices=variables[order].astype(np.int32), values=values[order])

    @property
    def rows(self) -> NDArray[np.int64]:
        """The row of each edge, int64, (n_edges,), made anew: for whoever needs a list of edges."""
        return np.repeat(np.arange(self.indptr.size - 1), np.diff(self.indptr))

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        return int(self.indptr.nbytes + self.indices.nbytes + self.values.nbytes)


def read_only(array: NDArray[Number]) -> NDArray[Number]:
    """Return an array that nobody else has, closed to changes."""
    array.flags.writeable = False
    return array
