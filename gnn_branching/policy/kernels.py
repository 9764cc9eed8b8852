"""Compiled loops of the runtime over the bipartite graph; one thread, no allocation."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gnn_branching.compilation import (
    FixedIntegers,
    FixedReals,
    FixedShorts,
    Floats,
    Function,
    IntegerMatrix,
    Integers,
    kernel,
)

Number = TypeVar("Number", bound=np.generic)

_TRIAL = 256
"""Vertices whose features are compared before deciding whether to go on."""
_HASH_FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio (Knuth, The Art of Computer Programming, volume 3, section 6.4)."""


def compiled(function: Function) -> Function:
    """Compile for the types of its annotations; multiply-adds may fuse, NaN stays NaN."""
    return kernel(nogil=True, error_model="numpy", fastmath={"contract"})(function)


def usable(array: NDArray[Number]) -> NDArray[Number]:
    """Return an array, or a copy if it is not contiguous or read-only (memory-mapped): kernels know no others."""
    return array if array.flags.carray else np.array(array, order="C")


@compiled
def normalise(values: FixedReals, shift: float, scale: float, out: Floats) -> None:
    """Shift and scale in float64, then round to float32."""
    for edge in range(values.size):
        out[edge] = np.float32((values[edge] + shift) * scale)


@compiled
def inside(index: Integers, n: int) -> bool:
    """Return whether every index is in [0, n)."""
    n_outside = 0
    for i in range(index.size):
        n_outside += (index[i] < 0) | (index[i] >= n)
    return n_outside == 0


@compiled
def neighbours(
    chosen: Integers,
    n_chosen: int,
    offsets: FixedIntegers,
    others: FixedShorts,
    extra: Integers,
    found: Integers,
    position: Integers,
) -> int:
    """List ``extra`` and the vertices next to ``chosen``, ascending, in ``found``; ``position`` says where each stands.

    Returns:
        How many there are. ``position`` is only meaningful for them.
    """
    # First a mark for whoever is found, then, in one ascending pass, its place instead.
    position[:] = 0
    for i in range(n_chosen):
        for edge in range(offsets[chosen[i]], offsets[chosen[i] + 1]):
            position[others[edge]] = 1
    for i in range(extra.size):
        position[extra[i]] = 1
    n_found = 0
    for vertex in range(position.size):
        marked = position[vertex]
        position[vertex] = n_found
        if marked:
            found[n_found] = vertex
            n_found += 1
    return n_found


@compiled
def group_equal(
    bits: IntegerMatrix, chosen: Integers, n_chosen: int, table: Integers, first: Integers, group: Integers
) -> int:
    """Find which of the chosen vertices have the same features, by hashing.

    Args:
        bits: (·, n_features): the features, their bits read as integers.
        chosen: Vertices to look at.
        n_chosen: How many.
        table: Scratch; a power of two entries, at least twice ``n_chosen``.
        first: (n_chosen,), written: for each group one of its vertices.
        group: (n_chosen,), written: the group of each vertex.

    Returns:
        How many groups there are; 0 if the first ``_TRIAL`` vertices promise so many that it is not worth looking on.
    """
    table[:] = -1
    n_groups, mask = 0, np.uint64(table.size - 1)
    for i in range(n_chosen):
        # Most of the trial differ: embedding each row by itself costs less than looking for its like.
        if i == _TRIAL and 2 * n_groups > i:
            return 0
        vertex = chosen[i]
        key = np.uint64(0)
        for k in range(bits.shape[1]):
            key = (key ^ np.uint64(bits[vertex, k])) * _HASH_FACTOR
            key ^= key >> np.uint64(32)
        # Linear probing: the table is at most half full, so that a free entry comes soon.
        place = key & mask
        while table[place] >= 0:
            known = first[table[place]]
            k = 0
            while k < bits.shape[1] and bits[known, k] == bits[vertex, k]:
                k += 1
            if k == bits.shape[1]:
                break
            place = (place + np.uint64(1)) & mask
        if table[place] < 0:
            table[place] = n_groups
            first[n_groups] = vertex
            n_groups += 1
        group[i] = table[place]
    return n_groups
