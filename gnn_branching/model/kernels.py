"""Compiled CPU loops of the half-convolution; no temporary here is of size edges times width.

Every loop releases the GIL and works on one contiguous range of targets, so that plain threads share the work: no
second OpenMP runtime beside PyTorch's, and forking stays safe. Functions are compiled for their signatures when this
module is first imported; later processes load them from Numba's cache on disk.

Names: the message of edge e = (t, s) with value v is ``relu(target[t] + source[s] + v * edge)``, of width ``hidden``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., object])
Floats = NDArray[np.floating]
Integers = NDArray[np.int64]
Shorts = NDArray[np.int32]


def compiled(signature: str) -> Callable[[Function], Function]:
    """Compile ahead of the first call, with the result cached on disk.

    Multiply-adds may be fused. Nothing else is relaxed: a NaN in the input must reach the output.

    Args:
        signature: In Numba's notation, where ``M`` is a matrix and ``V`` a vector (of float32, and of float64), ``I``
            an int64 and ``S`` an int32 vector, all contiguous, and ``n`` an int64.
    """
    versions = sorted({_expand(signature, scalar) for scalar in ("float32", "float64")})
    decorator = numba.njit(versions, nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
    return cast(Callable[[Function], Function], decorator)


def _expand(signature: str, scalar: str) -> str:
    names = {"M": f"{scalar}[:,::1]", "V": f"{scalar}[::1]", "I": "int64[::1]", "S": "int32[::1]", "n": "int64"}
    result, _, arguments = signature.rstrip(")").partition("(")
    return f"{result}({', '.join(names[name.strip()] for name in arguments.split(','))})"


@compiled("void(S, I, I)")
def count_edges(variables: Shorts, positions: Integers, offsets: Integers) -> None:
    """Fill ``offsets`` with the edges before each kept variable; ``positions`` is -1 for the others."""
    offsets[:] = 0
    for edge in range(variables.size):
        position = positions[variables[edge]]
        if position >= 0:
            offsets[position + 1] += 1
    for position in range(offsets.size - 1):
        offsets[position + 1] += offsets[position]


@compiled("void(I, S, I, I, S, I)")
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


@compiled("void(I, S, V, M, M, V, M, n, n)")
def forward(
    offsets: Integers,
    sources: Shorts,
    values: Floats,
    target: Floats,
    source: Floats,
    edge: Floats,
    total: Floats,
    first: int,
    last: int,
) -> None:
    """Set ``total[t]`` to the sum of the messages into ``t``, for ``first <= t < last``; four edges at a time."""
    zero = target.dtype.type(0)
    for t in range(first, last):
        total[t] = zero
        begin, end = offsets[t], offsets[t + 1]
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


@compiled("void(I, S, V, M, M, V, M, M, M, V, n, n, n)")
def backward(
    offsets: Integers,
    sources: Shorts,
    values: Floats,
    target: Floats,
    source: Floats,
    edge: Floats,
    gradient: Floats,
    d_target: Floats,
    d_source: Floats,
    d_edge: Floats,
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
            d0, d1 = s0 - first_source, s1 - first_source
            for k in range(target.shape[1]):
                base, slope, g = target[t, k], edge[k], gradient[t, k]
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


@compiled("void(I, S, V, M, M, V, M, V, n, n)")
def backward_values(
    offsets: Integers,
    sources: Shorts,
    values: Floats,
    target: Floats,
    source: Floats,
    edge: Floats,
    gradient: Floats,
    d_values: Floats,
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
