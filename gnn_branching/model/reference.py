"""The half-convolution as published, on PyTorch Geometric's message passing: slow and plain."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing
from torch_geometric.utils import degree

from gnn_branching.config import Aggregation
from gnn_branching.model.prenorm import PreNorm


class ReferenceHalfConvolution(MessagePassing):
    """Apply every layer of the message on every edge; takes the weights of ``HalfConvolution``.

    Differentiable as often as one likes, in reverse and forward mode, in float32 and float64.

    Args:
        hidden_size: Width of every layer.
        aggregation: How messages are combined.
    """

    def __init__(self, hidden_size: int, aggregation: Aggregation) -> None:
        super().__init__(aggr="mean" if aggregation == "mean" else "sum")
        self.aggregation = aggregation
        self.target_linear = nn.Linear(hidden_size, hidden_size)
        self.edge_linear = nn.Linear(1, hidden_size, bias=False)
        self.source_linear = nn.Linear(hidden_size, hidden_size, bias=False)
        self.message_norm = PreNorm(1, shift=False)
        self.message_linear = nn.Linear(hidden_size, hidden_size)
        self.aggregate_norm = PreNorm(1, shift=False)
        self.update_linears = nn.Sequential(
            nn.Linear(2 * hidden_size, hidden_size), nn.ReLU(), nn.Linear(hidden_size, hidden_size), nn.ReLU()
        )

    def forward(self, targets: Tensor, sources: Tensor, edge_index: Tensor, edge_values: Tensor) -> Tensor:
        """Return the targets' new embeddings; ``edge_index`` is (2, n_edges): source, then target."""
        messages = self.propagate(
            edge_index,
            x=(self.source_linear(sources), self.target_linear(targets)),
            edge_attr=self.edge_linear(edge_values[:, None]),
            size=(sources.size(0), targets.size(0)),
        )
        if self.aggregation == "sqrt":
            n_edges = degree(edge_index[1], targets.size(0), dtype=messages.dtype)
            messages = messages / n_edges.clamp(min=1).sqrt()[:, None]
        updated: Tensor = self.update_linears(torch.cat([self.aggregate_norm(messages), targets], dim=1))
        return updated

    def message(self, x_i: Tensor, x_j: Tensor, edge_attr: Tensor) -> Tensor:
        """Compute the message of each edge, (n_edges, hidden)."""
        message: Tensor = self.message_linear(torch.relu(self.message_norm(x_i + edge_attr + x_j)))
        return message
