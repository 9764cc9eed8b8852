"""Compiled loops of the runtime over the bipartite graph; one thread, no allocation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gnn_branching.compilation import kernel

Integers = NDArray[np.int64]
Shorts = NDArray[np.int32]
Floats = NDArray[np.float32]
Blocks = NDArray[np.float32]
Doubles = NDArray[np.float64]
TYPES = {
    "I": "int64[::1]",
    "P": "Array(int64, 1, 'C', True)",
    "S": "Array(int32, 1, 'C', True)",
    "V": "Array(float64, 1, 'C', True)",
    "F": "float32[::1]",
    "D": "float64[::1]",
    "L": "int64[:,::1]",
    "M": "float32[:,::1]",
    "N": "float64[:,::1]",
    "T": "float32[:,:,::1]",
    "n": "int64",
    "f": "float32",
    "d": "float64",
    "b": "boolean",
}
"""Letters that stand for types in the signatures of compiled functions; P, S and V, which edges are of, read-only."""

Function = TypeVar("Function", bound=Callable[..., object])
Number = TypeVar("Number", bound=np.generic)

_TRIAL = 256
"""Vertices whose features are compared before deciding whether to go on."""
_HASH_FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio (Knuth, The Art of Computer Programming, volume 3, section 6.4)."""


def compiled(signature: str) -> Callable[[Function], Function]:
    """Compile for one signature at import, cached on disk; multiply-adds may fuse, NaN stays NaN.

    Args:
        signature: In Numba's notation, with the letters of ``TYPES``; all arrays are contiguous.
    """
    result, _, arguments = signature.rstrip(")").partition("(")
    full = f"{TYPES.get(result, result)}({', '.join(TYPES[name] for name in arguments.split(', '))})"
    return kernel(full, nogil=True, error_model="numpy", fastmath={"contract"})


def usable(array: NDArray[Number]) -> NDArray[Number]:
    """Return an array, or a copy if it is not contiguous or read-only (memory-mapped): kernels know no others."""
    return array if array.flags.carray else np.array(array, order="C")


@compiled("void(V, d, d, F)")
def normalise(values: Doubles, shift: float, scale: float, out: Floats) -> None:
    """Shift and scale in float64, then round to float32."""
    for edge in range(values.size):
        out[edge] = np.float32((values[edge] + shift) * scale)


@compiled("b(I, n)")
def inside(index: Integers, n: int) -> bool:
    """Return whether every index is in [0, n)."""
    n_outside = 0
    for i in range(index.size):
        n_outside += (index[i] < 0) | (index[i] >= n)
    return n_outside == 0


@compiled("n(I, n, P, S, I, I, I)")
def neighbours(
    chosen: Integers,
    n_chosen: int,
    offsets: Integers,
    others: Shorts,
    extra: Integers,
    found: Integers,
    position: Integers,
) -> int:
    """List ``extra`` and the vertices next to ``chosen``, ascending, in ``found``; ``position`` says where each stands.

    Returns:
        How many there are. ``position`` is only meaningful for them.
    """
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


@compiled("n(L, I, n, I, I, I)")
def group_equal(
    bits: NDArray[np.int64], chosen: Integers, n_chosen: int, table: Integers, first: Integers, group: Integers
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
        if i == _TRIAL and 2 * n_groups > i:
            return 0
        vertex = chosen[i]
        key = np.uint64(0)
        for k in range(bits.shape[1]):
            key = (key ^ np.uint64(bits[vertex, k])) * _HASH_FACTOR
            key ^= key >> np.uint64(32)
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
