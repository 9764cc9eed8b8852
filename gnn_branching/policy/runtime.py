"""The compiled network: one CPU thread, no PyTorch, buffers kept from one tree node to the next.

Only what the candidates' scores depend on is computed: of the last half-convolution the candidates alone; in a network
of one round, of the first one only the candidates' rows, and of the variables only those in such a row. Rows with the
same features, of which some families have many, are embedded once.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnn_branching.compilation import FloatBlocks, Floats
from gnn_branching.config import ModelConfig
from gnn_branching.contracts import BranchingState, FloatArray, IndexArray
from gnn_branching.edges import Edges
from gnn_branching.policy import kernels, layers
from gnn_branching.policy.folding import FoldedNetwork, fold
from gnn_branching.policy.kernels import usable
from gnn_branching.policy.layers import TILE_ROWS
from gnn_branching.subproblem import by_variable

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
        self._check(state)
        return _Pass(self._net, self._scratch, state).run()

    def _check(self, state: BranchingState) -> None:
        sides = (
            ("row", state.row_features, self._net.row_norm),
            ("variable", state.variable_features, self._net.variable_norm),
            ("search", state.search_features, self._net.search_norm),
        )
        for side, features, norm in sides:
            n_found = 0 if features is None else features.shape[1]
            if n_found != norm.shape[1]:
                raise ValueError(f"{n_found} {side} features, but the policy was trained on {norm.shape[1]}")
        if not kernels.inside(usable(state.candidates), state.n_variables):
            raise ValueError(f"a candidate's index is not in [0, {state.n_variables})")


class Scratch(threading.local):
    """What is kept from one tree node to the next: buffers and the last edges, for each thread its own.

    Kernels run without Python's lock, so that models solved in several threads may share a policy.
    """

    def __init__(self) -> None:
        self.edges: Edges | None = None
        self.values: list[Floats] = []
        self.blocks: FloatBlocks = np.zeros((layers.N_SCRATCH, 0, 0), dtype=np.float32)
        self.indices: dict[str, IndexArray] = {}

    def normalised(self, edges: Edges, columns: Edges, norm: FloatArray) -> list[Floats]:
        """Return the normalised values of edges by row and by variable; the last ones, if the edges are the same."""
        # By identity: the graph's reader hands on the same object as long as the edges are the same.
        if edges is not self.edges:
            self.values = [np.empty(edges.values.size, dtype=np.float32) for _ in range(2)]
            for order, out in zip((edges, columns), self.values, strict=True):
                kernels.normalise(order.values, norm[0, 0], norm[1, 0], out)
            self.edges = edges
        return self.values

    def matrices(self, n_rows: int, width: int) -> FloatBlocks:
        """Return scratch matrices of at least ``n_rows`` rows, rounded up to whole tiles; they only ever grow."""
        if self.blocks.shape[1] < n_rows:
            capacity = (n_rows + n_rows // 4) // TILE_ROWS * TILE_ROWS + TILE_ROWS
            self.blocks = np.zeros((layers.N_SCRATCH, capacity, width), dtype=np.float32)
        return self.blocks

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


@dataclass(slots=True)
class _Vertices:
    """The vertices of one side that take part.

    Attributes:
        chosen: int64: their numbers, in the first ``n`` entries.
        n: How many.
        position: int64, (all vertices of the side,): where each one stands in ``chosen``.
    """

    chosen: IndexArray
    n: int
    position: IndexArray


class _Pass:
    """One evaluation of the network."""

    def __init__(self, net: FoldedNetwork, scratch: Scratch, state: BranchingState) -> None:
        self.net, self.scratch, self.state = net, scratch, state
        self.columns = by_variable(state)

    def run(self) -> FloatArray:
        net, state, edges, columns = self.net, self.state, self.state.edges, self.columns
        row_values, variable_values = self.scratch.normalised(edges, columns, net.edge_norm)
        candidates, scores = usable(state.candidates), np.empty(state.n_candidates)
        row_features = usable(state.row_features)
        searched = state.search_features
        search_features = np.empty((state.n_candidates, 0)) if searched is None else usable(searched)
        rows, variables = self._receptive_field(candidates)
        first, group, n_groups = self._groups(rows, row_features)
        capacity = max(state.n_rows, state.n_variables)
        layers.forward(
            net.weights, net.row_norm, net.variable_norm, net.search_norm,
            net.n_rounds, net.degree_power,
            row_features, usable(state.variable_features), search_features,
            rows.chosen, rows.n, first, group, n_groups, rows.position,
            variables.chosen, variables.n, variables.position, candidates, self.scratch.ascending(capacity),
            edges.indptr, edges.indices, row_values,
            columns.indptr, columns.indices, variable_values,
            self.scratch.matrices(capacity, net.weights.shape[1]), scores,
        )  # fmt: skip
        return scores

    def _receptive_field(self, candidates: IndexArray) -> tuple[_Vertices, _Vertices]:
        """Return the rows and variables that the scores depend on."""
        state, edges, columns, index = self.state, self.state.edges, self.columns, self.scratch.index
        if self.net.n_rounds > 1:
            return self._everything(state.n_rows), self._everything(state.n_variables)
        found, position = index("rows", state.n_rows), index("row_position", state.n_rows)
        n = kernels.neighbours(candidates, candidates.size, columns.indptr, columns.indices, NOTHING, found, position)
        rows = _Vertices(found, n, position)
        if 2 * n > state.n_rows:  # nearly every variable is in one of them: do not look
            return rows, self._everything(state.n_variables)
        found, position = index("variables", state.n_variables), index("variable_position", state.n_variables)
        n = kernels.neighbours(rows.chosen, n, edges.indptr, edges.indices, candidates, found, position)
        return rows, _Vertices(found, n, position)

    def _everything(self, n: int) -> _Vertices:
        every = self.scratch.ascending(n)
        return _Vertices(every, n, every)

    def _groups(self, rows: _Vertices, features: FloatArray) -> tuple[IndexArray, IndexArray, int]:
        """Return one row of each set with equal features, the group of each row, and how many groups there are."""
        first, group = self.scratch.index("first", rows.n), self.scratch.index("group", rows.n)
        # A power of two, and at least twice the rows: the hash table's mask and its probing rely on it.
        table = self.scratch.index("table", 2 << rows.n.bit_length())
        n = kernels.group_equal(features.view(np.int64), rows.chosen, rows.n, table, first, group)
        return (first, group, n) if n else (rows.chosen, self.scratch.ascending(rows.n), rows.n)
