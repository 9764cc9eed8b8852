"""The compiled network: one CPU thread, no PyTorch, buffers kept from one tree node to the next.

Only what the candidates' scores depend on is computed: of the last half-convolution the candidates alone; in a network
of one round, of the first one only the candidates' rows, and of the variables only those in such a row. Rows with the
same features, of which some families have many, are embedded once.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gnn_branching.config import ModelConfig
from gnn_branching.contracts import BranchingState, FloatArray, IndexArray
from gnn_branching.policy import kernels, layers
from gnn_branching.policy.folding import FoldedNetwork, Half, Layer, Norm, fold
from gnn_branching.policy.kernels import Floats
from gnn_branching.policy.layers import BIAS, LINEAR, TILE_ROWS
from gnn_branching.policy.structure import Edges, Structure

NOTHING = np.empty(0, dtype=np.int64)


class CompiledNetwork:
    """A trained network, ready to score candidates.

    Args:
        config: Shape of the network.
        weights: Its ``state_dict`` as NumPy arrays.

    Raises:
        InputError: If weights are missing or have the wrong shape.
    """

    def __init__(self, config: ModelConfig, weights: Mapping[str, NDArray[np.floating]]) -> None:
        self._net = fold(config, weights)
        self._scratch = Scratch()

    def logits(self, state: BranchingState) -> FloatArray:
        """Return one logit per candidate, float64, (n_candidates,).

        Raises:
            ValueError: If features have another number of columns than the network, or an index is out of range.
        """
        state, scratch = _writable(state), self._scratch
        self._check(state)
        if scratch.structure is None or not scratch.structure.fits(state):
            scratch.structure = Structure(state, self._net.edge_norm)
        return _Pass(self._net, scratch, scratch.structure, state).run()

    def _check(self, state: BranchingState) -> None:
        sides = (
            ("row", state.row_features, self._net.row_norm),
            ("variable", state.variable_features, self._net.variable_norm),
        )
        for side, features, norm in sides:
            if features.shape[1] != norm.shift.size:
                raise ValueError(
                    f"{features.shape[1]} {side} features, but the policy was trained on {norm.shift.size}"
                )
        if not kernels.inside(np.ascontiguousarray(state.candidates), state.n_variables):
            raise ValueError(f"a candidate's index is not in [0, {state.n_variables})")


class Scratch(threading.local):
    """What is kept from one tree node to the next: buffers and the last structure, for each thread its own.

    Kernels run without Python's lock, so that models solved in several threads may share a policy.
    """

    def __init__(self) -> None:
        self.structure: Structure | None = None
        self.buffers: dict[str, Floats] = {}
        self.indices: dict[str, IndexArray] = {}

    def matrix(self, name: str, n_rows: int, n_columns: int) -> Floats:
        """Return a scratch matrix of at least ``n_rows`` rows, rounded up to whole tiles; it only ever grows."""
        found = self.buffers.get(name)
        if found is None or found.shape[0] < n_rows:
            capacity = (n_rows + n_rows // 4) // TILE_ROWS * TILE_ROWS + TILE_ROWS
            found = self.buffers[name] = np.zeros((capacity, n_columns), dtype=np.float32)
        return found

    def index(self, name: str, n: int) -> IndexArray:
        """Return a scratch array of exactly ``n`` indices."""
        found = self.indices.get(name)
        if found is None or found.size != n:
            found = self.indices[name] = np.zeros(n, dtype=np.int64)
        return found

    def ascending(self, n: int) -> IndexArray:
        """Return the numbers from 0 to at least ``n`` - 1."""
        found = self.indices.get("ascending")
        if found is None or found.size < n:
            found = self.indices["ascending"] = np.arange(n + n // 4)
        return found


def _writable(state: BranchingState) -> BranchingState:
    """Return the state, its arrays copied if they are read-only (memory-mapped): kernels are compiled for others."""
    arrays = (state.row_features, state.variable_features, state.edge_indices, state.edge_values, state.candidates)
    if all(array.flags.writeable for array in arrays):
        return state
    names = ("row_features", "variable_features", "edge_indices", "edge_values", "candidates")
    return BranchingState(**{name: np.array(array) for name, array in zip(names, arrays, strict=True)})


class _Vertices:
    """The vertices of one side that take part, and their embeddings.

    Attributes:
        side: ``row``, ``variable`` or ``candidate``.
        chosen: int64: their numbers, in the first ``n`` entries.
        n: How many.
        position: int64, (all vertices of the side,): where each one stands in ``chosen``.
        group: int64: row of ``embeddings`` of each vertex of ``chosen``.
        n_groups: Rows of ``embeddings`` in use.
        embeddings: float32, (capacity, width).
    """

    __slots__ = ("chosen", "embeddings", "group", "n", "n_groups", "position", "side")

    def __init__(self, side: str, chosen: IndexArray, n: int, position: IndexArray) -> None:
        self.side, self.chosen, self.n, self.position = side, chosen, n, position

    def embed(self, embeddings: Floats, group: IndexArray, n_groups: int) -> None:
        """Set the embeddings."""
        self.embeddings, self.group, self.n_groups = embeddings, group, n_groups


class _Pass:
    """One evaluation of the network."""

    def __init__(self, net: FoldedNetwork, scratch: Scratch, structure: Structure, state: BranchingState) -> None:
        self.net, self.scratch, self.graph, self.state = net, scratch, structure, state

    def run(self) -> FloatArray:
        net, graph, state = self.net, self.graph, self.state
        candidates = np.ascontiguousarray(state.candidates)
        rows, variables = self._receptive_field(candidates)
        self._embed(rows, state.row_features, net.row_norm, net.row_layers, grouped=True)
        self._embed(variables, state.variable_features, net.variable_norm, net.variable_layers, grouped=False)
        chosen = _Vertices("candidate", candidates, candidates.size, candidates)
        last = len(net.to_rows) - 1
        for i, (to_rows, to_variables) in enumerate(zip(net.to_rows, net.to_variables, strict=True)):
            self._convolve(to_rows, rows, variables, graph.row_offsets, graph.by_row)
            if i == last:
                own = self.scratch.matrix("candidate", chosen.n, self.net.width)
                kernels.copy_rows(variables.embeddings, candidates, variables.position, own)
                chosen.embed(own, self.scratch.ascending(chosen.n), chosen.n)
            receivers = chosen if i == last else variables
            self._convolve(to_variables, receivers, rows, graph.variable_offsets, graph.by_variable)
        return self._score(chosen)

    def _receptive_field(self, candidates: IndexArray) -> tuple[_Vertices, _Vertices]:
        """Return the rows and variables that the scores depend on."""
        graph = self.graph
        if len(self.net.to_rows) > 1:
            return self._everything("row", graph.n_rows), self._everything("variable", graph.n_variables)
        found, position = self.scratch.index("rows", graph.n_rows), self.scratch.index("row_position", graph.n_rows)
        edges = (graph.variable_offsets, graph.by_variable.others)
        n = kernels.neighbours(candidates, candidates.size, *edges, NOTHING, found, position)
        rows = _Vertices("row", found, n, position)
        if 2 * n > graph.n_rows:  # nearly every variable is in one of them: do not look
            return rows, self._everything("variable", graph.n_variables)
        found, position = (
            self.scratch.index("variables", graph.n_variables),
            self.scratch.index("place", graph.n_variables),
        )
        edges = (graph.row_offsets, graph.by_row.others)
        n = kernels.neighbours(rows.chosen, n, *edges, candidates, found, position)
        return rows, _Vertices("variable", found, n, position)

    def _everything(self, side: str, n: int) -> _Vertices:
        every = self.scratch.ascending(n)
        return _Vertices(side, every, n, every)

    def _embed(
        self, vertices: _Vertices, features: FloatArray, norm: Norm, two: tuple[Layer, Layer], *, grouped: bool
    ) -> None:
        features = np.ascontiguousarray(features)
        chosen, group, n = self._groups(vertices, features) if grouped else (vertices.chosen, None, vertices.n)
        embeddings = self.scratch.matrix(vertices.side, n, self.net.width)
        first, second = two
        layers.embed(
            features,
            chosen,
            n,
            norm.shift,
            norm.scale,
            first.weight,
            first.bias,
            second.weight,
            second.bias,
            embeddings,
        )
        vertices.embed(embeddings, self.scratch.ascending(n) if group is None else group, n)

    def _groups(self, vertices: _Vertices, features: FloatArray) -> tuple[IndexArray, IndexArray | None, int]:
        """Return one vertex for each set of equal features, the group of each vertex, and how many groups there are."""
        first, group = self.scratch.index("first", vertices.n), self.scratch.index("group", vertices.n)
        table = self.scratch.index("table", 2 << vertices.n.bit_length())
        n = kernels.group_equal(features.view(np.int64), vertices.chosen, vertices.n, table, first, group)
        return (first, group, n) if n else (vertices.chosen, None, vertices.n)

    def _convolve(self, half: Half, to: _Vertices, of: _Vertices, offsets: IndexArray, edges: Edges) -> None:
        """Update the embeddings of ``to`` from those of ``of``, each of which has its own."""
        target, kept = (
            self._transform(name, to, layer) for name, layer in (("target", half.target), ("kept", half.own))
        )
        sent = self._transform("sent", of, half.source)
        updated = self.scratch.matrix(f"updated_{to.side}", to.n, self.net.width)
        layers.convolve(
            to.chosen, to.group, to.n, offsets, edges.others, edges.values, of.position, target, sent, half.edge, kept,
            half.per_message, self.net.degree_power, half.through, half.update.weight, half.update.bias, updated,
        )  # fmt: skip
        to.embed(updated, self.scratch.ascending(to.n), to.n)

    def _transform(self, name: str, vertices: _Vertices, layer: Layer) -> Floats:
        """Send embeddings through a layer without ReLU."""
        out = self.scratch.matrix(name, vertices.n_groups, self.net.width)
        layers.dense(vertices.embeddings, layer.weight, layer.bias, BIAS, LINEAR, out, vertices.n_groups)
        return out

    def _score(self, chosen: _Vertices) -> FloatArray:
        head, scores = self.net.head, np.empty(chosen.n)
        layers.score(chosen.embeddings, chosen.n, head.weight, head.bias, self.net.score, scores)
        return scores
