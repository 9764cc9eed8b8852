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

from gnn_branching.config import ModelConfig
from gnn_branching.contracts import BranchingState, FloatArray, IndexArray
from gnn_branching.policy import kernels, layers
from gnn_branching.policy.folding import FoldedNetwork, fold
from gnn_branching.policy.kernels import Blocks, usable
from gnn_branching.policy.layers import TILE_ROWS
from gnn_branching.policy.structure import Structure

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
        scratch = self._scratch
        self._check(state)
        if scratch.structure is None or not scratch.structure.fits(state):
            scratch.structure = Structure(state, self._net.edge_norm)
        return _Pass(self._net, scratch, scratch.structure, state).run()

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
    """What is kept from one tree node to the next: buffers and the last structure, for each thread its own.

    Kernels run without Python's lock, so that models solved in several threads may share a policy.
    """

    def __init__(self) -> None:
        self.structure: Structure | None = None
        self.blocks: Blocks = np.zeros((layers.N_SCRATCH, 0, 0), dtype=np.float32)
        self.indices: dict[str, IndexArray] = {}

    def matrices(self, n_rows: int, width: int) -> Blocks:
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

    def __init__(self, net: FoldedNetwork, scratch: Scratch, structure: Structure, state: BranchingState) -> None:
        self.net, self.scratch, self.graph, self.state = net, scratch, structure, state

    def run(self) -> FloatArray:
        net, graph, state = self.net, self.graph, self.state
        candidates, scores = usable(state.candidates), np.empty(state.n_candidates)
        row_features = usable(state.row_features)
        searched = state.search_features
        search_features = np.empty((state.n_candidates, 0)) if searched is None else usable(searched)
        rows, variables = self._receptive_field(candidates)
        first, group, n_groups = self._groups(rows, row_features)
        capacity = max(graph.n_rows, graph.n_variables)
        layers.forward(
            net.weights, net.row_norm, net.variable_norm, net.search_norm, net.n_rounds, net.degree_power, row_features,
            usable(state.variable_features), search_features, rows.chosen, rows.n, first, group, n_groups,
            rows.position, variables.chosen, variables.n, variables.position, candidates,
            self.scratch.ascending(capacity),
            graph.row_offsets, graph.by_row.others, graph.by_row.values, graph.variable_offsets,
            graph.by_variable.others, graph.by_variable.values,
            self.scratch.matrices(capacity, net.weights.shape[1]), scores,
        )  # fmt: skip
        return scores

    def _receptive_field(self, candidates: IndexArray) -> tuple[_Vertices, _Vertices]:
        """Return the rows and variables that the scores depend on."""
        graph, index = self.graph, self.scratch.index
        if self.net.n_rounds > 1:
            return self._everything(graph.n_rows), self._everything(graph.n_variables)
        found, position = index("rows", graph.n_rows), index("row_position", graph.n_rows)
        edges = (graph.variable_offsets, graph.by_variable.others)
        n = kernels.neighbours(candidates, candidates.size, *edges, NOTHING, found, position)
        rows = _Vertices(found, n, position)
        if 2 * n > graph.n_rows:  # nearly every variable is in one of them: do not look
            return rows, self._everything(graph.n_variables)
        found, position = index("variables", graph.n_variables), index("variable_position", graph.n_variables)
        edges = (graph.row_offsets, graph.by_row.others)
        n = kernels.neighbours(rows.chosen, n, *edges, candidates, found, position)
        return rows, _Vertices(found, n, position)

    def _everything(self, n: int) -> _Vertices:
        every = self.scratch.ascending(n)
        return _Vertices(every, n, every)

    def _groups(self, rows: _Vertices, features: FloatArray) -> tuple[IndexArray, IndexArray, int]:
        """Return one row of each set with equal features, the group of each row, and how many groups there are."""
        first, group = self.scratch.index("first", rows.n), self.scratch.index("group", rows.n)
        table = self.scratch.index("table", 2 << rows.n.bit_length())
        n = kernels.group_equal(features.view(np.int64), rows.chosen, rows.n, table, first, group)
        return (first, group, n) if n else (rows.chosen, self.scratch.ascending(rows.n), rows.n)
