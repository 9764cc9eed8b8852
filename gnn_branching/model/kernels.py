"""Compiled CPU loops of the half-convolution; no temporary here is of size edges times width.

Every loop releases the GIL and works on one contiguous range of targets, so that plain threads share the work: no
second OpenMP runtime beside PyTorch's, and forking stays safe. Functions are compiled for their signatures when this
module is first imported; later processes load them from Numba's cache on disk.

Names: the message of edge e = (t, s) with value v is ``relu(target[t] + source[s] + v * edge)``, of width ``hidden``.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from gnn_branching.compilation import Function, Integers, Shorts, kernel

Matrix = Annotated[NDArray[np.floating], "scalar[:,::1]"]
Vector = Annotated[NDArray[np.floating], "scalar[::1]"]


def compiled(function: Function) -> Function:
    """Compile for float32 and float64; multiply-adds may fuse, and nothing else: a NaN must reach the output."""
    return kernel("float32", "float64", nogil=True, error_model="numpy", fastmath={"contract"})(function)


@compiled
def count_edges(variables: Shorts, positions: Integers, offsets: Integers) -> None:
    """Fill ``offsets`` with the edges before each kept variable; ``positions`` is -1 for the others."""
    # Counts one place further on, so that their running sum is where each variable's edges start.
    offsets[:] = 0
    for edge in range(variables.size):
        position = positions[variables[edge]]
        if position >= 0:
            offsets[position + 1] += 1
    for position in range(offsets.size - 1):
        offsets[position + 1] += offsets[position]


@compiled
def place_edges(
    indptr: Integers, variables: Shorts, positions: Integers, free: Integers, rows: Shorts, order: Integers
) -> None:
    """Fill ``rows`` and ``order`` with the kept edges by variable; ``free`` starts as a copy of the offsets."""
    for row in range(indptr.size - 1):
        for edge in range(indptr[row], indptr[row + 1]):
            position = positions[variables[edge]]
            if position >= 0:
                rows[free[position]], order[free[position]] = row, edge
                free[position] += 1


@compiled
def forward(
    offsets: Integers,
    sources: Shorts,
    values: Vector,
    target: Matrix,
    source: Matrix,
    edge: Vector,
    total: Matrix,
    first: int,
    last: int,
) -> None:
    """Set ``total[t]`` to the sum of the messages into ``t``, for ``first <= t < last``; four edges at a time."""
    zero = target.dtype.type(0)
    for t in range(first, last):
        total[t] = zero
        begin, end = offsets[t], offsets[t + 1]
        # Four edges at a time: each pass over the width reads and writes ``total`` once instead of four times.
        middle = begin + (end - begin) // 4 * 4
        for e in range(begin, middle, 4):
            s0, s1, s2, s3 = sources[e], sources[e + 1], sources[e + 2], sources[e + 3]
            v0, v1, v2, v3 = values[e], values[e + 1], values[e + 2], values[e + 3]
            for k in range(target.shape[1]):
                base, slope = target[t, k], edge[k]
                total[t, k] += (
                    max(base + source[s0, k] + v0 * slope, zero) + max(base + source[s1, k] + v1 * slope, zero)
                ) + (max(base + source[s2, k] + v2 * slope, zero) + max(base + source[s3, k] + v3 * slope, zero))
        for e in range(middle, end):
            s0, v0 = sources[e], values[e]
            for k in range(target.shape[1]):
                total[t, k] += max(target[t, k] + source[s0, k] + v0 * edge[k], zero)


@compiled
def backward(
    offsets: Integers,
    sources: Shorts,
    values: Vector,
    target: Matrix,
    source: Matrix,
    edge: Vector,
    gradient: Matrix,
    d_target: Matrix,
    d_source: Matrix,
    d_edge: Vector,
    first: int,
    last: int,
    first_source: int,
) -> None:
    """Add the gradients of ``sum(gradient * total)``; the messages are computed again, two edges at a time.

    ``d_source`` holds the sources from ``first_source`` on. All three outputs must start at zero.
    """
    zero = target.dtype.type(0)
    for t in range(first, last):
        begin, end = offsets[t], offsets[t + 1]
        middle = begin + (end - begin) // 2 * 2
        for e in range(begin, middle, 2):
            s0, s1, v0, v1 = sources[e], sources[e + 1], values[e], values[e + 1]
            # Each thread has sources of its own to add to, from the first that its targets reach.
            d0, d1 = s0 - first_source, s1 - first_source
            for k in range(target.shape[1]):
                base, slope, g = target[t, k], edge[k], gradient[t, k]
                # The ReLU's derivative: the gradient where the message was positive, else nothing.
                g0 = g if base + source[s0, k] + v0 * slope > zero else zero
                g1 = g if base + source[s1, k] + v1 * slope > zero else zero
                d_target[t, k] += g0 + g1
                d_source[d0, k] += g0
                d_source[d1, k] += g1
                d_edge[k] += g0 * v0 + g1 * v1
        for e in range(middle, end):
            s0, v0 = sources[e], values[e]
            d0 = s0 - first_source
            for k in range(target.shape[1]):
                g0 = gradient[t, k] if target[t, k] + source[s0, k] + v0 * edge[k] > zero else zero
                d_target[t, k] += g0
                d_source[d0, k] += g0
                d_edge[k] += g0 * v0


@compiled
def backward_values(
    offsets: Integers,
    sources: Shorts,
    values: Vector,
    target: Matrix,
    source: Matrix,
    edge: Vector,
    gradient: Matrix,
    d_values: Vector,
    first: int,
    last: int,
) -> None:
    """Set the gradient of ``sum(gradient * total)`` with respect to the edge values."""
    zero = target.dtype.type(0)
    for t in range(first, last):
        for e in range(offsets[t], offsets[t + 1]):
            s, v, slope = sources[e], values[e], zero
            for k in range(target.shape[1]):
                if target[t, k] + source[s, k] + v * edge[k] > zero:
                    slope += gradient[t, k] * edge[k]
            d_values[e] = slope
