"""Compiled loops of the runtime over the bipartite graph; one thread, no allocation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]

Function = TypeVar("Function", bound=Callable[..., object])

_BLOCK = 2048
"""Entries compared before looking whether they differed."""


def compiled(signature: str) -> Callable[[Function], Function]:
    """Compile for one signature at import, cached on disk; multiply-adds may fuse, NaN stays NaN.

    Args:
        signature: In Numba's notation, with ``I`` for int64 vectors, ``F`` and ``D`` for float32 and float64 vectors,
            ``M`` and ``N`` for such matrices, all contiguous, ``n`` for an int64 and ``b`` for a boolean.
    """
    vectors = {"I": "int64[::1]", "F": "float32[::1]", "D": "float64[::1]", "n": "int64", "b": "boolean"}
    names = vectors | {"M": "float32[:,::1]", "N": "float64[:,::1]"}
    result, _, arguments = signature.rstrip(")").partition("(")
    full = f"{names.get(result, result)}({', '.join(names[name] for name in arguments.split(', '))})"
    decorator = numba.njit([full], nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
    return cast(Callable[[Function], Function], decorator)


@compiled("b(I, I)")
def same(left: Integers, right: Integers) -> bool:
    """Return whether two arrays of one length are equal, looking at no more than needed."""
    for start in range(0, left.size, _BLOCK):
        difference = 0
        for i in range(start, min(start + _BLOCK, left.size)):
            difference |= left[i] ^ right[i]
        if difference != 0:
            return False
    return True


@compiled("b(I, I)")
def count(index: Integers, offsets: Integers) -> bool:
    """Fill ``offsets`` (n + 1) with the entries before each value of ``index``; return whether all lie in [0, n)."""
    offsets[:] = 0
    n = offsets.size - 1
    for i in range(index.size):
        if index[i] < 0 or index[i] >= n:
            return False
        offsets[index[i] + 1] += 1
    for i in range(n):
        offsets[i + 1] += offsets[i]
    return True


@compiled("void(I, I, F, I, I, F)")
def transpose(
    keys: Integers, others: Integers, values: Floats, free: Integers, out_others: Integers, out_values: Floats
) -> None:
    """Order edges by ``keys``; ``free`` starts as a copy of the offsets and is used up."""
    for edge in range(keys.size):
        place = free[keys[edge]]
        free[keys[edge]] += 1
        out_others[place] = others[edge]
        out_values[place] = values[edge]


@compiled("n(I, n, I, I, I, I, I)")
def neighbours(
    chosen: Integers,
    n_chosen: int,
    offsets: Integers,
    others: Integers,
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


@compiled("void(N, I, n, D, D, M)")
def gather(features: Doubles, chosen: Integers, n_chosen: int, shift: Doubles, scale: Doubles, out: Floats) -> None:
    """Copy the chosen vertices' features, normalised in float64, then rounded to float32."""
    for i in range(n_chosen):
        vertex = chosen[i]
        for k in range(features.shape[1]):
            out[i, k] = np.float32((features[vertex, k] + shift[k]) * scale[k])


@compiled("void(M, I, I, n, n, M)")
def copy_columns(source: Floats, chosen: Integers, position: Integers, first: int, last: int, out: Floats) -> None:
    """Copy columns ``first`` to ``last - 1`` of the chosen vertices' rows, row ``position[chosen[i]]`` to row i."""
    for i in range(chosen.size):
        for k in range(first, last):
            out[i, k] = source[position[chosen[i]], k]


@compiled("void(I, n, I, I, F, I, M, M, F, b, M)")
def aggregate(
    chosen: Integers,
    n_chosen: int,
    offsets: Integers,
    others: Integers,
    values: Floats,
    position: Integers,
    target: Floats,
    source: Floats,
    edge: Floats,
    mean: bool,
    out: Floats,
) -> None:
    """Sum, or average, ``relu(target + source + value * edge)`` over the edges of each chosen vertex.

    Args:
        chosen: Vertices that receive; vertex ``chosen[i]`` has row i of ``target`` and ``out``.
        n_chosen: How many.
        offsets: Where each vertex's edges start.
        others: The other end of each edge.
        values: The normalised value of each edge.
        position: Row of ``source`` of each sending vertex.
        target: (·, width).
        source: (·, width).
        edge: (width,).
        mean: Whether to average.
        out: (·, 2 width + 1): the result in its first columns, the number of biases received in its last.
    """
    zero, width = np.float32(0), edge.size
    for i in range(n_chosen):
        begin, end = offsets[chosen[i]], offsets[chosen[i] + 1]
        for k in range(width):
            out[i, k] = zero
        middle = begin + (end - begin) // 4 * 4
        for e in range(begin, middle, 4):
            s0, s1, s2, s3 = (
                position[others[e]], position[others[e + 1]], position[others[e + 2]], position[others[e + 3]]
            )  # fmt: skip
            v0, v1, v2, v3 = values[e], values[e + 1], values[e + 2], values[e + 3]
            for k in range(width):
                base, slope = target[i, k], edge[k]
                out[i, k] += (
                    max(base + source[s0, k] + v0 * slope, zero) + max(base + source[s1, k] + v1 * slope, zero)
                ) + (max(base + source[s2, k] + v2 * slope, zero) + max(base + source[s3, k] + v3 * slope, zero))
        for e in range(middle, end):
            s0, v0 = position[others[e]], values[e]
            for k in range(width):
                out[i, k] += max(target[i, k] + source[s0, k] + v0 * edge[k], zero)
        degree = end - begin
        if mean and degree > 0:
            share = np.float32(1) / np.float32(degree)
            for k in range(width):
                out[i, k] *= share
            degree = 1
        out[i, out.shape[1] - 1] = degree


@compiled("void(M, F, n, D)")
def project(x: Floats, weight: Floats, n_rows: int, out: Doubles) -> None:
    """Set ``out`` to ``x @ weight``, summed in float64."""
    for i in range(n_rows):
        total = 0.0
        for k in range(weight.size):
            total += np.float64(x[i, k]) * np.float64(weight[k])
        out[i] = total
