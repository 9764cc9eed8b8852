"""The network's layers for one CPU thread, compiled to the widest vectors of the machine.

OpenBLAS does not know every processor, decides by itself on threads, and needs a second pass for bias and ReLU. The
layers of a policy are small and of fixed width, so that one register tile, written in LLVM's vector types, serves them
all: it runs at the processor's peak rate of multiply-adds and never starts a thread. Layers that follow each other go
through a block of vertices at a time, so that what lies between them stays in the first cache.

All of it is one module, as Numba's cache notices changes of the file a function is in, and of no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gnn_branching.compilation import (
    FixedIntegers,
    FixedShorts,
    FloatBlocks,
    FloatMatrix,
    Floats,
    Integers,
    LazyModule,
    RealMatrix,
    Reals,
    Single,
    intrinsic,
    vector_floats,
)
from gnn_branching.policy.kernels import compiled

if TYPE_CHECKING:
    from llvmlite import ir  # type: ignore[import-untyped]
    from numba import types
    from numba.core import cgutils
else:
    ir, types, cgutils = LazyModule("llvmlite.ir"), LazyModule("numba.core.types"), LazyModule("numba.core.cgutils")

TILE_ROWS = 6
"""Rows of a tile; every buffer has a multiple of them, as what lies beyond the last one is computed and ignored."""
TILE_VECTORS = 2
"""Vectors side by side in a tile: 6 × 2 sums hide the latency of a multiply-add and fit into 16 registers."""

VECTOR_FLOATS = vector_floats()
TILE_COLUMNS = TILE_VECTORS * VECTOR_FLOATS
"""Columns of a tile; every layer's width is padded with zeros to a multiple of them."""

BLOCK_ROWS = 8 * TILE_ROWS
"""Vertices that go through several layers at once."""
RELU, LINEAR = 0.0, -np.inf
"""Floors of a dense layer's output."""
BIAS, ROWS = 0, 1
"""Whether a dense layer adds one row to all its outputs, or to each its own."""
TARGET, SOURCE, OWN, THROUGH, UPDATE, N_HALF_LAYERS = range(6)
"""Layers of a half-convolution, in the order of its weights; the factors of the edge values come last."""
N_SCRATCH = 7
"""Matrices that :func:`forward` needs."""


class VectorCode:
    """Emits loads, stores and arithmetic on vectors of float32."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.builder = builder
        self.vector = ir.VectorType(ir.FloatType(), VECTOR_FLOATS)
        self._multiply_add = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
            builder.module, ir.FunctionType(self.vector, [self.vector] * 3), f"llvm.fma.v{VECTOR_FLOATS}f32"
        )

    def row(self, array, index, column) -> ir.Value:  # type: ignore[no-untyped-def]
        """Point at an entry of a contiguous matrix."""
        stride = self.builder.extract_value(array.shape, 1)
        return self.builder.gep(array.data, [self.builder.add(self.builder.mul(index, stride), column)])

    def load(self, start: ir.Value) -> list[ir.Value]:
        """Load the vectors of a tile's row."""
        return [self.builder.load(self._at(start, j), align=4) for j in range(TILE_VECTORS)]

    def store(self, values: Sequence[ir.Value], start: ir.Value) -> None:
        """Store the vectors of a tile's row."""
        for j, value in enumerate(values):
            self.builder.store(value, self._at(start, j), align=4)

    def variables(self, values: Sequence[ir.Value]) -> list[ir.Value]:
        """Keep values that loops change; LLVM puts them into registers."""
        slots = [cgutils.alloca_once(self.builder, self.vector) for _ in values]  # type: ignore[no-untyped-call]
        for value, slot in zip(values, slots, strict=True):
            self.builder.store(value, slot)
        return slots

    def multiply_add(self, left: ir.Value, right: ir.Value, summand: ir.Value) -> ir.Value:
        """Compute ``left * right + summand``, rounded once."""
        return self.builder.call(self._multiply_add, [left, right, summand])

    def at_least(self, value: ir.Value, lowest: ir.Value) -> ir.Value:
        """Compute the maximum; a NaN stays one."""
        # Not LLVM's maximum: a comparison with NaN is false, so that NaN comes out as itself.
        return self.builder.select(self.builder.fcmp_ordered("<", value, lowest), lowest, value)

    def spread(self, number: ir.Value) -> ir.Value:
        """Copy a number into every lane."""
        index = ir.IntType(32)
        undefined = ir.Constant(self.vector, ir.Undefined)
        lone = self.builder.insert_element(undefined, number, ir.Constant(index, 0))
        zeros = ir.Constant(ir.VectorType(index, VECTOR_FLOATS), [0] * VECTOR_FLOATS)
        return self.builder.shuffle_vector(lone, undefined, zeros)

    def _at(self, start: ir.Value, position: int) -> ir.Value:
        offset = ir.Constant(ir.IntType(64), position * VECTOR_FLOATS)
        return self.builder.bitcast(self.builder.gep(start, [offset]), self.vector.as_pointer())


def arrays_of(context, builder, kinds, arguments, positions) -> list[Any]:  # type: ignore[no-untyped-def]
    """Unpack the array arguments of an intrinsic at some positions."""
    return [context.make_array(kinds[i])(context, builder, arguments[i]) for i in positions]


@intrinsic
def _tile(typing_context, x, x_row, weight, start, step, column, floor, out):  # type: ignore[no-untyped-def]
    """Set ``TILE_ROWS`` × ``TILE_COLUMNS`` outputs to ``max(x @ weight + start, floor)``, a NaN to NaN."""
    signature = types.void(x, types.intp, weight, start, types.intp, types.intp, types.float32, out)
    return signature, _emit_tile


def _emit_tile(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
    """Emit the whole tile; everything of it stays in registers."""
    code = VectorCode(builder)
    x, weight, start, out = arrays_of(context, builder, signature.args, arguments, (0, 2, 3, 7))
    _, first, _, _, step, column, floor, _ = arguments
    numbers = [builder.add(first, ir.Constant(first.type, i)) for i in range(TILE_ROWS)]
    zero = ir.Constant(first.type, 0)
    # With step 0 every row starts from row 0 of ``start``, which then is a bias.
    sums = [code.variables(code.load(code.row(start, builder.mul(i, step), column))) for i in numbers]
    rows = [code.row(x, i, zero) for i in numbers]
    with cgutils.for_range(builder, builder.extract_value(weight.shape, 0)) as loop:
        weights = code.load(code.row(weight, loop.index, column))
        for row, row_sums in zip(rows, sums, strict=True):
            value = code.spread(builder.load(builder.gep(row, [loop.index])))
            for part, total in zip(weights, row_sums, strict=True):
                builder.store(code.multiply_add(value, part, builder.load(total)), total)
    lowest = code.spread(floor)
    for i, row_sums in zip(numbers, sums, strict=True):
        code.store([code.at_least(builder.load(total), lowest) for total in row_sums], code.row(out, i, column))
    return context.get_dummy_value()


@compiled
def dense(
    x: FloatMatrix, weight: FloatMatrix, start: FloatMatrix, step: int, floor: Single, out: FloatMatrix, n_rows: int
) -> None:
    """Set ``out[:n]`` to ``max(x[:n] @ weight + start, floor)``.

    Args:
        x: (capacity, n_inputs or more), capacity a multiple of ``TILE_ROWS``.
        weight: (n_inputs, width), width a multiple of ``TILE_COLUMNS``.
        start: What is added: a bias, (1, width), or a row for each of ``x``, (capacity, width).
        step: 0 for a bias, 1 for rows.
        floor: 0 for a ReLU, minus infinity for none.
        out: (capacity, width).
        n_rows: Rows wanted; up to ``TILE_ROWS`` - 1 more are written.
    """
    # Whole tiles only: the last one computes rows beyond n_rows, which every buffer has room for, and nobody reads.
    for row in range(0, n_rows, TILE_ROWS):
        for column in range(0, weight.shape[1], TILE_COLUMNS):
            _tile(x, row, weight, start, step, column, floor, out)


@intrinsic
def _receive(  # type: ignore[no-untyped-def]
    typing_context, target, group, source, position, others, values, begin, end, edge, own, bias, share, column,
    sums, start, row,
):  # fmt: skip
    """Set ``TILE_COLUMNS`` of row ``row`` of ``sums`` and ``start``, see :func:`aggregate`; a NaN stays one."""
    number, edges = types.intp, (position, others, values, types.intp, types.intp)
    signature = types.void(
        target, number, source, *edges, edge, own, bias, types.float32, number, sums, start, number
    )  # fmt: skip
    return signature, _emit_receive


def _emit_receive(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
    code = VectorCode(builder)
    target, source, position, others, values, edge, own, bias, sums, start = arrays_of(
        context, builder, signature.args, arguments, (0, 2, 3, 4, 5, 8, 9, 10, 13, 14)
    )
    group, begin, end, share, column, row = (arguments[i] for i in (1, 6, 7, 11, 12, 15))
    zero = code.spread(ir.Constant(ir.FloatType(), 0.0))
    bases, slopes = code.load(code.row(target, group, column)), code.load(builder.gep(edge.data, [column]))
    totals = code.variables([zero] * TILE_VECTORS)
    with cgutils.for_range_slice(builder, begin, end, ir.Constant(begin.type, 1), inc=True) as (index, _):
        other = builder.sext(builder.load(builder.gep(others.data, [index])), begin.type)
        sent = code.load(code.row(source, builder.load(builder.gep(position.data, [other])), column))
        value = code.spread(builder.load(builder.gep(values.data, [index])))
        for base, slope, part, total in zip(bases, slopes, sent, totals, strict=True):
            message = builder.fadd(code.multiply_add(value, slope, base), part)
            builder.store(builder.fadd(builder.load(total), code.at_least(message, zero)), total)
    # The bias of what was folded into the next layer counts once a message, and is scaled like their sum.
    factor = code.spread(share)
    n_biases = builder.fmul(factor, code.spread(builder.sitofp(builder.sub(end, begin), ir.FloatType())))
    code.store([builder.fmul(builder.load(total), factor) for total in totals], code.row(sums, row, column))
    kept = zip(code.load(builder.gep(bias.data, [column])), code.load(code.row(own, group, column)), strict=True)
    code.store([code.multiply_add(n_biases, part, rest) for part, rest in kept], code.row(start, row, column))
    return context.get_dummy_value()


@compiled
def aggregate(
    chosen: Integers, group: Integers, first: int, last: int,
    offsets: FixedIntegers, others: FixedShorts, values: Floats, position: Integers,
    target: FloatMatrix, source: FloatMatrix, edge: Floats, own: FloatMatrix, bias: Floats,
    degree_power: float, sums: FloatMatrix, start: FloatMatrix,
) -> None:  # fmt: skip
    """Sum ``relu(target + source + value * edge)`` over each vertex's edges, over ``degree ** degree_power``.

    Args:
        chosen: Vertices that receive.
        group: Row of ``target`` and ``own`` of each of them.
        first: Place in ``chosen`` of the first one of this block; it has row 0 of ``sums`` and ``start``.
        last: Place after the last one.
        offsets: Where each vertex's edges start.
        others: The other end of each edge.
        values: The normalised value of each edge.
        position: Row of ``source`` of each sending vertex.
        target: (·, width).
        source: (·, width).
        edge: (width,).
        own: (·, width): what the vertex itself contributes to the next layer.
        bias: (width,): what each message contributes to the next layer, whatever it says.
        degree_power: 0 for a sum, 1 for a mean.
        sums: (·, width), written: the result.
        start: (·, width), written: ``own`` and the biases, what the next layer adds to the sums it transforms.
    """
    for i in range(first, last):
        begin, end = offsets[chosen[i]], offsets[chosen[i] + 1]
        share = np.float32(1)
        if degree_power != 0.0 and end > begin:
            share = np.float32((end - begin) ** -degree_power)
        for column in range(0, edge.size, TILE_COLUMNS):
            _receive(
                target, group[i], source, position, others, values, begin, end, edge, own, bias, share, column,
                sums, start, i - first,
            )  # fmt: skip


@compiled
def apply(x: FloatMatrix, layer: FloatMatrix, floor: Single, out: FloatMatrix, n_rows: int) -> None:
    """Send rows through a layer, (n_inputs + 1, width): its weights, then its bias."""
    dense(x, layer[:-1], layer[-1:], BIAS, floor, out, n_rows)


@compiled
def embed(
    features: RealMatrix, chosen: Integers, n_chosen: int,
    norm: RealMatrix, first: FloatMatrix, second: FloatMatrix, out: FloatMatrix,
) -> None:  # fmt: skip
    """Send the chosen vertices' features, normalised in float64, then rounded to float32, through two ReLU layers."""
    inputs = np.zeros((BLOCK_ROWS, features.shape[1]), dtype=np.float32)
    between = np.empty((BLOCK_ROWS, out.shape[1]), dtype=np.float32)
    for start in range(0, n_chosen, BLOCK_ROWS):
        n = min(BLOCK_ROWS, n_chosen - start)
        for i in range(n):
            for k in range(features.shape[1]):
                inputs[i, k] = np.float32((features[chosen[start + i], k] + norm[0, k]) * norm[1, k])
        apply(inputs, first, RELU, between, n)
        apply(between, second, RELU, out[start:], n)


@compiled
def convolve(
    weights: FloatMatrix, degree_power: float,
    chosen: Integers, group: Integers, n_chosen: int, n_groups: int,
    offsets: FixedIntegers, others: FixedShorts, values: Floats, position: Integers,
    own: FloatMatrix, sources: FloatMatrix, n_sources: int, scratch: FloatBlocks, out: FloatMatrix,
) -> None:  # fmt: skip
    """Set ``out`` to the new embeddings of the chosen vertices, from their ``own`` and those of ``sources``.

    See :func:`aggregate` for the arguments; ``own`` has a row for each group, ``scratch`` three matrices.
    """
    target, kept, sent = scratch[0], scratch[1], scratch[2]
    # A layer of hidden inputs has width + 1 rows: the weights, then the bias. Five of them follow each other, and the
    # factors of the edge values are the row after them.
    width, height = weights.shape[1], weights.shape[1] + 1
    apply(own, weights[TARGET * height : (TARGET + 1) * height], LINEAR, target, n_groups)
    apply(own, weights[OWN * height : (OWN + 1) * height], LINEAR, kept, n_groups)
    apply(sources, weights[SOURCE * height : (SOURCE + 1) * height], LINEAR, sent, n_sources)
    through = weights[THROUGH * height : (THROUGH + 1) * height]
    update = weights[UPDATE * height : (UPDATE + 1) * height]
    edge = weights[N_HALF_LAYERS * height]
    sums, start = np.zeros((BLOCK_ROWS, width), dtype=np.float32), np.zeros((BLOCK_ROWS, width), dtype=np.float32)
    between = np.empty((BLOCK_ROWS, width), dtype=np.float32)
    for first in range(0, n_chosen, BLOCK_ROWS):
        n = min(BLOCK_ROWS, n_chosen - first)
        aggregate(
            chosen, group, first, first + n, offsets, others, values, position, target, sent, edge, kept, through[-1],
            degree_power, sums, start,
        )  # fmt: skip
        # ``start`` has, row by row, what ``own`` contributes, and the biases times the number of messages.
        dense(sums, through[:-1], start, ROWS, RELU, between, n)
        apply(between, update, RELU, out[first:], n)


@compiled
def score(
    embeddings: FloatMatrix, searched: FloatMatrix, n_chosen: int,
    head: FloatMatrix, search_head: FloatMatrix, direction: Floats, out: Reals,
) -> None:  # fmt: skip
    """Send embeddings of graph and search through a ReLU layer, and set ``out`` to its product with ``direction``.

    The product is summed in float64. ``search_head`` has no row where the search is not seen.
    """
    start = np.zeros((BLOCK_ROWS, direction.size), dtype=np.float32)
    hidden = np.zeros((BLOCK_ROWS, direction.size), dtype=np.float32)
    for first in range(0, n_chosen, BLOCK_ROWS):
        n = min(BLOCK_ROWS, n_chosen - first)
        apply(embeddings[first:], head, LINEAR, start, n)
        dense(searched[first:], search_head, start, ROWS, RELU, hidden, n)
        for i in range(n):
            total = 0.0
            for k in range(direction.size):
                total += np.float64(hidden[i, k]) * np.float64(direction[k])
            out[first + i] = total


@compiled
def forward(
    weights: FloatMatrix, row_norm: RealMatrix, variable_norm: RealMatrix, search_norm: RealMatrix,
    n_rounds: int, degree_power: float,
    row_features: RealMatrix, variable_features: RealMatrix, search_features: RealMatrix,
    rows: Integers, n_rows: int, first_rows: Integers, row_group: Integers, n_groups: int, row_position: Integers,
    variables: Integers, n_variables: int, variable_position: Integers, candidates: Integers, each: Integers,
    row_offsets: FixedIntegers, row_others: FixedShorts, row_values: Floats,
    variable_offsets: FixedIntegers, variable_others: FixedShorts, variable_values: Floats,
    scratch: FloatBlocks, out: Reals,
) -> None:  # fmt: skip
    """Score the candidates; all layers in one call, as between two LP solves each call finds its code out of cache.

    Of each side the vertices that take part, how many they are, and where each vertex stands among them; of the rows
    also one of each group with equal features, and the group of each row. See :func:`aggregate` for the rest; ``each``
    has the numbers from 0 on, ``search_features`` no column where they are not seen, ``scratch`` is (``N_SCRATCH``,
    capacity, width), ``out`` receives the logits.
    """
    # ``weights`` is read from the top: after each part, what was used is cut off (FoldedNetwork lists the parts).
    rest, old_rows, new_rows, old_variables, new_variables = scratch[:3], scratch[3], scratch[4], scratch[5], scratch[6]
    height = weights.shape[1] + 1
    cut = row_features.shape[1] + 1
    embed(row_features, first_rows, n_groups, row_norm, weights[:cut], weights[cut : cut + height], old_rows)
    weights = weights[cut + height :]
    cut = variable_features.shape[1] + 1
    embed(
        variable_features, variables, n_variables, variable_norm, weights[:cut], weights[cut : cut + height],
        old_variables,
    )  # fmt: skip
    weights = weights[cut + height :]
    n_half = N_HALF_LAYERS * height + 1
    for i in range(n_rounds):
        convolve(
            weights[:n_half], degree_power, rows, row_group, n_rows, n_groups, row_offsets, row_others, row_values,
            variable_position, old_rows, old_variables, n_variables, rest, new_rows,
        )  # fmt: skip
        # From now on no two rows need be equal: each is a group of its own.
        old_rows, new_rows, row_group, n_groups = new_rows, old_rows, each, n_rows
        chosen, n_chosen, own = variables, n_variables, old_variables
        # In the last round the candidates alone receive; their own embeddings are gathered into the spare matrix, and
        # the result goes where nothing is read any more.
        if i == n_rounds - 1:
            chosen, n_chosen, own = candidates, candidates.size, new_variables
            for k in range(n_chosen):
                for j in range(own.shape[1]):
                    own[k, j] = old_variables[variable_position[candidates[k]], j]
            new_variables = old_variables
        convolve(
            weights[n_half : 2 * n_half], degree_power, chosen, each, n_chosen, n_chosen, variable_offsets,
            variable_others, variable_values, row_position, own, old_rows, n_rows, rest, new_variables,
        )  # fmt: skip
        old_variables, new_variables = new_variables, own
        weights = weights[2 * n_half :]
    search_head = weights[:0]
    if search_features.shape[1] > 0:
        cut = search_features.shape[1] + 1
        embed(search_features, each, candidates.size, search_norm, weights[:cut], weights[cut : cut + height], old_rows)
        search_head = weights[cut + height : cut + 2 * height - 1]
        weights = weights[cut + 2 * height :]
    score(old_variables, old_rows, candidates.size, weights[:height], search_head, weights[height], out)
