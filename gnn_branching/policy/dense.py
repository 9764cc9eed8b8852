"""Dense layers for one CPU thread, compiled to the widest vectors of the machine.

OpenBLAS does not know every processor, decides by itself on threads, and needs a second pass for bias and ReLU. The
layers of a policy are small and of fixed width, so that one register tile, written in LLVM's vector types, serves them
all: it measured twice OpenBLAS's speed (docs/runtime.md) and never starts a thread.
"""

from __future__ import annotations

import llvmlite.binding  # type: ignore[import-untyped]
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

TILE_ROWS = 6
"""Rows of a tile; every buffer has a multiple of them, as what lies beyond the last one is computed and ignored."""
TILE_VECTORS = 2
"""Vectors side by side in a tile: 6 × 2 sums hide the latency of a multiply-add and fit into 16 registers."""

Matrix = NDArray[np.float32]
Vector = NDArray[np.float32]


def _floats_per_vector() -> int:
    features = llvmlite.binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 16
    return 8 if features.get("avx2") else 4


VECTOR_FLOATS = _floats_per_vector()
TILE_COLUMNS = TILE_VECTORS * VECTOR_FLOATS
"""Columns of a tile; every layer's width is padded with zeros to a multiple of them."""

_MATRIX, _VECTOR = "float32[:,::1]", "float32[::1]"


@intrinsic
def _tile(typing_context, x, x_row, x_column, weight, bias, column, floor, out, out_column):  # type: ignore[no-untyped-def]
    """Set ``TILE_ROWS`` × ``TILE_COLUMNS`` outputs to ``max(x @ weight + bias, floor)``, a NaN to NaN."""
    signature = types.void(x, types.intp, types.intp, weight, bias, types.intp, types.float32, out, types.intp)
    return signature, _TileCode.emit


class _TileCode:
    """Emits the tile in LLVM's intermediate representation; everything of one tile stays in registers."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.builder = builder
        self.vector = ir.VectorType(ir.FloatType(), VECTOR_FLOATS)

    @classmethod
    def emit(cls, context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        """Emit the whole tile; called by Numba."""
        self = cls(builder)
        kinds = dict(zip(("x", 1, 2, "weight", "bias", 5, 6, "out", 8), signature.args, strict=True))
        x_row, x_column, column, floor, out_column = (arguments[i] for i in (1, 2, 5, 6, 8))
        arrays = {
            name: context.make_array(kind)(context, builder, value)
            for (name, kind), value in zip(kinds.items(), arguments, strict=True)
            if isinstance(name, str)
        }
        x, weight, bias, out = (arrays[name] for name in ("x", "weight", "bias", "out"))
        n_inputs, width = (builder.extract_value(weight.shape, axis) for axis in (0, 1))
        sums = self._start(builder.gep(bias.data, [column]))
        rows = self._rows(x, x_row, x_column)
        multiply_add = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
            builder.module, ir.FunctionType(self.vector, [self.vector] * 3), f"llvm.fma.v{VECTOR_FLOATS}f32"
        )
        with cgutils.for_range(builder, n_inputs) as loop:
            line = builder.gep(weight.data, [builder.add(builder.mul(loop.index, width), column)])
            weights = [self._load(line, j) for j in range(TILE_VECTORS)]
            for row, row_sums in zip(rows, sums, strict=True):
                value = self._spread(builder.load(builder.gep(row, [loop.index])))
                for part, total in zip(weights, row_sums, strict=True):
                    builder.store(builder.call(multiply_add, [value, part, builder.load(total)]), total)
        lowest = self._spread(floor)
        for row, row_sums in zip(self._rows(out, x_row, builder.add(out_column, column)), sums, strict=True):
            for j, total in enumerate(row_sums):
                value = builder.load(total)
                value = builder.select(builder.fcmp_ordered("<", value, lowest), lowest, value)
                builder.store(value, self._vector_at(row, j), align=4)
        return context.get_dummy_value()

    def _start(self, bias: ir.Value) -> list[list[ir.Value]]:
        """Let every sum start at the bias."""
        parts = [self._load(bias, j) for j in range(TILE_VECTORS)]
        sums = [[self._variable() for _ in parts] for _ in range(TILE_ROWS)]
        for row_sums in sums:
            for part, total in zip(parts, row_sums, strict=True):
                self.builder.store(part, total)
        return sums

    def _variable(self) -> ir.Value:
        return cgutils.alloca_once(self.builder, self.vector)  # type: ignore[no-untyped-call]

    def _rows(self, array, first, column) -> list[ir.Value]:  # type: ignore[no-untyped-def]
        stride = self.builder.extract_value(array.shape, 1)
        index = (self.builder.add(first, ir.Constant(first.type, i)) for i in range(TILE_ROWS))
        return [self.builder.gep(array.data, [self.builder.add(self.builder.mul(i, stride), column)]) for i in index]

    def _vector_at(self, start: ir.Value, position: int) -> ir.Value:
        offset = ir.Constant(ir.IntType(64), position * VECTOR_FLOATS)
        return self.builder.bitcast(self.builder.gep(start, [offset]), self.vector.as_pointer())

    def _load(self, start: ir.Value, position: int) -> ir.Value:
        return self.builder.load(self._vector_at(start, position), align=4)

    def _spread(self, value: ir.Value) -> ir.Value:
        """Copy a number into every lane."""
        index = ir.IntType(32)
        lone = self.builder.insert_element(ir.Constant(self.vector, ir.Undefined), value, ir.Constant(index, 0))
        zeros = ir.Constant(ir.VectorType(index, VECTOR_FLOATS), [0] * VECTOR_FLOATS)
        return self.builder.shuffle_vector(lone, ir.Constant(self.vector, ir.Undefined), zeros)


@numba.njit(
    f"void({_MATRIX}, int64, {_MATRIX}, {_VECTOR}, float32, {_MATRIX}, int64, int64)",
    nogil=True,
    cache=True,
    error_model="numpy",
)
def dense(
    x: Matrix, x_column: int, weight: Matrix, bias: Vector, floor: float, out: Matrix, out_column: int, n_rows: int
) -> None:
    """Set ``out[:n, c:c + width]`` to ``max(x[:n, a:a + n_inputs] @ weight + bias, floor)``.

    Args:
        x: (capacity, ·), capacity a multiple of ``TILE_ROWS``.
        x_column: First column to read.
        weight: (n_inputs, width), width a multiple of ``TILE_COLUMNS``.
        bias: (width,).
        floor: 0 for a ReLU, minus infinity for none.
        out: (capacity, ·).
        out_column: First column to write.
        n_rows: Rows wanted; up to ``TILE_ROWS`` - 1 more are written.
    """
    for row in range(0, n_rows, TILE_ROWS):
        for column in range(0, weight.shape[1], TILE_COLUMNS):
            _tile(x, row, x_column, weight, bias, column, floor, out, out_column)  # type: ignore[call-arg]
