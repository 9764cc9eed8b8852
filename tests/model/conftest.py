"""Random bipartite graphs, and the awkward ones."""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from gnn_branching.feature_schema import ROW_FEATURES, VARIABLE_FEATURES
from gnn_branching.model.incidence import edge_index
from gnn_branching.model.network import inputs_of


@dataclass(frozen=True, kw_only=True)
class Graph:
    row_features: Tensor
    indptr: Tensor
    indices: Tensor
    edge_values: Tensor
    variable_features: Tensor
    candidates: Tensor

    @property
    def edge_index(self) -> Tensor:
        return edge_index(self.indptr, self.indices)

    def tensors(self) -> tuple[Tensor, ...]:
        return inputs_of(self)

    def with_(self, **changes: Tensor) -> "Graph":
        return replace(self, **changes)


def make_graph(
    n_rows: int = 17,
    n_variables: int = 23,
    n_edges: int = 90,
    n_candidates: int = 7,
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> Graph:
    random = torch.Generator().manual_seed(seed)
    rows = torch.randint(0, n_rows, (n_edges,), generator=random)
    columns = torch.randint(0, n_variables, (n_edges,), generator=random)
    return Graph(
        row_features=torch.randn(n_rows, len(ROW_FEATURES), generator=random, dtype=dtype) * 3 + 1,
        indptr=torch.cat([torch.zeros(1, dtype=torch.int64), rows.bincount(minlength=n_rows).cumsum(0)]),
        indices=columns.int(),
        edge_values=torch.randn(n_edges, generator=random, dtype=dtype) + 0.5,
        variable_features=torch.randn(n_variables, len(VARIABLE_FEATURES), generator=random, dtype=dtype) * 2 - 1,
        candidates=torch.randperm(n_variables, generator=random)[:n_candidates],
    )


def join(graphs: list[Graph]) -> Graph:
    """Put graphs side by side, as a batch does."""
    shifts, rows, variables = [], 0, 0
    for graph in graphs:
        shifts.append((rows, variables))
        rows, variables = rows + graph.row_features.shape[0], variables + graph.variable_features.shape[0]
    return Graph(
        row_features=torch.cat([graph.row_features for graph in graphs]),
        indptr=torch.cat([torch.zeros(1, dtype=torch.int64), torch.cat([g.indptr.diff() for g in graphs]).cumsum(0)]),
        indices=torch.cat([graph.indices + v for graph, (_, v) in zip(graphs, shifts, strict=True)]),
        edge_values=torch.cat([graph.edge_values for graph in graphs]),
        variable_features=torch.cat([graph.variable_features for graph in graphs]),
        candidates=torch.cat([graph.candidates + v for graph, (_, v) in zip(graphs, shifts, strict=True)]),
    )


CASES = {
    "random": {},
    "wide": {"n_rows": 200, "n_variables": 300, "n_edges": 20_000, "n_candidates": 60},
    "empty rows": {"n_rows": 50, "n_edges": 12},
    "single edge": {"n_rows": 3, "n_variables": 4, "n_edges": 1, "n_candidates": 4},
    "no edge": {"n_rows": 2, "n_variables": 3, "n_edges": 0, "n_candidates": 2},
    "one vertex a side": {"n_rows": 1, "n_variables": 1, "n_edges": 1, "n_candidates": 1},
    "repeated edge": {"n_rows": 1, "n_variables": 2, "n_edges": 9, "n_candidates": 2},
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request: pytest.FixtureRequest) -> dict[str, int]:
    return request.param
