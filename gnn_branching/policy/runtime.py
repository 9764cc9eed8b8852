"""The compiled network: one CPU thread, no PyTorch, buffers kept from one tree node to the next.

Only what the candidates' scores depend on is computed: of the last half-convolution the candidates alone; in a network
of one round, of the first one only the candidates' rows, and of the variables only those in such a row.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gnn_branching.config import ModelConfig
from gnn_branching.contracts import BranchingState, FloatArray, IndexArray
from gnn_branching.policy import kernels
from gnn_branching.policy.dense import TILE_ROWS, dense
from gnn_branching.policy.folding import Half, Layer, Norm, fold
from gnn_branching.policy.kernels import Floats
from gnn_branching.policy.structure import Edges, Structure

RELU, LINEAR = 0.0, -np.inf
"""Floors of a dense layer's output."""
NOTHING = np.empty(0, dtype=np.int64)


class CompiledNetwork:
    """A trained network, ready to score candidates; not for several threads at once.

    Args:
        config: Shape of the network.
        weights: Its ``state_dict`` as NumPy arrays.

    Raises:
        InputError: If weights are missing or have the wrong shape.
    """

    def __init__(self, config: ModelConfig, weights: Mapping[str, NDArray[np.floating]]) -> None:
        self._net = fold(config, weights)
        self._structure: Structure | None = None
        self._buffers: dict[str, Floats] = {}
        self._indices: dict[str, IndexArray] = {}

    def logits(self, state: BranchingState) -> FloatArray:
        """Return one logit per candidate, float64, (n_candidates,).

        Raises:
            ValueError: If features have another number of columns than the network, or an index is out of range.
        """
        self._check(state)
        state = _writable(state)
        structure = self._structure
        if structure is None or not structure.fits(state):
            structure = self._structure = Structure(state, self._net.edge_norm)
        return _Pass(self, structure, state).run()

    def _check(self, state: BranchingState) -> None:
        for name, norm in (("row", self._net.row_norm), ("variable", self._net.variable_norm)):
            n_columns, expected = getattr(state, f"{name}_features").shape[1], norm.shift.size
            if n_columns != expected:
                raise ValueError(f"{n_columns} {name} features, but the policy was trained on {expected}")
        if state.n_candidates and not 0 <= state.candidates.min() <= state.candidates.max() < state.n_variables:
            raise ValueError(f"a candidate's index is not in [0, {state.n_variables})")

    def buffer(self, name: str, n_rows: int, n_columns: int) -> Floats:
        """Return a scratch matrix of at least ``n_rows`` rows, rounded up to whole tiles; it only ever grows."""
        found = self._buffers.get(name)
        if found is None or found.shape[0] < n_rows:
            capacity = (n_rows + n_rows // 4) // TILE_ROWS * TILE_ROWS + TILE_ROWS
            found = self._buffers[name] = np.zeros((capacity, n_columns), dtype=np.float32)
        return found

    def indices(self, name: str, n: int) -> IndexArray:
        """Return a scratch array of exactly ``n`` indices."""
        found = self._indices.get(name)
        if found is None or found.size != n:
            found = self._indices[name] = np.zeros(n, dtype=np.int64)
        return found


def _writable(state: BranchingState) -> BranchingState:
    """Return the state, its arrays copied if they are read-only (memory-mapped): kernels are compiled for others."""
    arrays = {
        name: getattr(state, name)
        for name in ("row_features", "variable_features", "edge_indices", "edge_values", "candidates")
    }
    if all(array.flags.writeable for array in arrays.values()):
        return state
    return BranchingState(**{name: np.array(array) for name, array in arrays.items()})


class _Vertices:
    """The vertices of one side that take part.

    Attributes:
        chosen: int64: their numbers, ascending, in the first ``n`` entries.
        n: How many.
        position: int64, (all vertices of the side,): where each one stands in ``chosen``.
    """

    __slots__ = ("chosen", "n", "position")

    def __init__(self, chosen: IndexArray, n: int, position: IndexArray) -> None:
        self.chosen, self.n, self.position = chosen, n, position


class _Pass:
    """One evaluation of the network."""

    def __init__(self, network: CompiledNetwork, structure: Structure, state: BranchingState) -> None:
        self.net, self.buffer, self.indices = network._net, network.buffer, network.indices
        self.graph, self.state = structure, state
        self.width = self.net.width

    def run(self) -> FloatArray:
        net, graph, state = self.net, self.graph, self.state
        candidates = np.ascontiguousarray(state.candidates)
        rows, variables = self._receptive_field(candidates)
        self._embed("row", rows, state.row_features, net.row_norm, net.row_layers)
        self._embed("variable", variables, state.variable_features, net.variable_norm, net.variable_layers)
        chosen = _Vertices(candidates, candidates.size, candidates)
        last = len(net.to_rows) - 1
        for i, (to_rows, to_variables) in enumerate(zip(net.to_rows, net.to_variables, strict=True)):
            self._convolve(to_rows, "row", rows, "variable", variables, graph.row_offsets, graph.by_row)
            if i == last:
                own, target = self._state("variable", variables.n), self._state("candidate", chosen.n)
                kernels.copy_columns(own, candidates, variables.position, self.width, 2 * self.width, target)
                self._convolve(
                    to_variables, "candidate", chosen, "row", rows, graph.variable_offsets, graph.by_variable
                )
            else:
                receivers = (variables, "row", rows, graph.variable_offsets, graph.by_variable)
                self._convolve(to_variables, "variable", *receivers)
        return self._score(chosen.n)

    def _receptive_field(self, candidates: IndexArray) -> tuple[_Vertices, _Vertices]:
        """Return the rows and variables that the scores depend on."""
        graph = self.graph
        if len(self.net.to_rows) > 1:
            return self._everything("row", graph.n_rows), self._everything("variable", graph.n_variables)
        found, position = self.indices("rows", graph.n_rows), self.indices("row_position", graph.n_rows)
        edges = (graph.variable_offsets, graph.by_variable.others)
        n = kernels.neighbours(candidates, candidates.size, *edges, NOTHING, found, position)
        rows = _Vertices(found, n, position)
        if 2 * n > graph.n_rows:  # nearly every variable is in one of them: do not look
            return rows, self._everything("variable", graph.n_variables)
        found, position = self.indices("variables", graph.n_variables), self.indices("place", graph.n_variables)
        edges = (graph.row_offsets, graph.by_row.others)
        n = kernels.neighbours(rows.chosen, n, *edges, candidates, found, position)
        return rows, _Vertices(found, n, position)

    def _everything(self, side: str, n: int) -> _Vertices:
        every = self.indices(f"every_{side}", n)
        if n and every[-1] != n - 1:
            every[:] = np.arange(n)
        return _Vertices(every, n, every)

    def _state(self, side: str, n: int) -> Floats:
        """Return the matrix [sum of messages, own embedding, number of biases received] of a side."""
        return self.buffer(side, n, 2 * self.width + 1)

    def _embed(
        self, side: str, vertices: _Vertices, features: FloatArray, norm: Norm, layers: tuple[Layer, Layer]
    ) -> None:
        n, first, second = vertices.n, *layers
        inputs = self.buffer(f"{side}_inputs", n, norm.shift.size)
        between = self.buffer("between", n, self.width)
        kernels.gather(np.ascontiguousarray(features), vertices.chosen, n, norm.shift, norm.scale, inputs)
        dense(inputs, 0, first.weight, first.bias, RELU, between, 0, n)
        dense(between, 0, second.weight, second.bias, RELU, self._state(side, n), self.width, n)

    def _convolve(
        self, half: Half, to: str, targets: _Vertices, of: str, sources: _Vertices, offsets: IndexArray, edges: Edges
    ) -> None:
        """Update the embeddings of ``to`` from those of ``of``."""
        n, width = targets.n, self.width
        own = self._state(to, n)
        received, sent = self.buffer("received", n, width), self.buffer("sent", sources.n, width)
        dense(own, width, half.target.weight, half.target.bias, LINEAR, received, 0, n)
        dense(self._state(of, sources.n), width, half.source.weight, half.source.bias, LINEAR, sent, 0, sources.n)
        kernels.aggregate(
            targets.chosen, n, offsets, edges.others, edges.values, sources.position, received, sent, half.edge,
            self.net.mean, own,
        )  # fmt: skip
        dense(own, 0, half.combine.weight, half.combine.bias, RELU, received, 0, n)
        dense(received, 0, half.update.weight, half.update.bias, RELU, own, width, n)

    def _score(self, n: int) -> FloatArray:
        hidden, scores = self.buffer("received", n, self.width), np.empty(n)
        dense(self._state("candidate", n), self.width, self.net.head.weight, self.net.head.bias, RELU, hidden, 0, n)
        kernels.project(hidden, self.net.score, n, scores)
        return scores
