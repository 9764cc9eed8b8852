"""Half of a bipartite graph convolution: one side sends messages to the other (Gasse et al. 2019, equation 4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gnn_branching.config import DEGREE_POWER, Aggregation
from gnn_branching.model.incidence import Incidence
from gnn_branching.model.message_sum import message_sum
from gnn_branching.model.prenorm import PreNorm, PrenormObserved

N_EDGES_PER_BLOCK = 65_536
"""Messages held at once while the statistics of the prenorm inside the messages are taken."""


class HalfConvolution(nn.Module):
    """Update targets from the sources they share an edge with; exact, but no message passes a matrix.

    As published, the message of an edge (t, s) with value v is
    ``message_linear(relu(message_norm(target_linear(t) + edge_linear(v) + source_linear(s))))``; they are
    aggregated, scaled by ``aggregate_norm`` and put beside the target's own embedding for two further layers.
    Here the sum runs over the ReLU alone, and what is linear follows: ``message_norm``'s factor is positive, so it
    passes the ReLU; ``message_linear``'s bias arrives once per edge, divided like the messages: a target without edges
    receives exactly 0, as in the published form.

    Args:
        hidden_size: Width of every layer.
        aggregation: How messages are combined.
    """

    def __init__(self, hidden_size: int, aggregation: Aggregation) -> None:
        super().__init__()
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

    def forward(self, targets: Tensor, sources: Tensor, incidence: Incidence, edge_values: Tensor) -> Tensor:
        """Return the targets' new embeddings.

        Args:
            targets: (n_targets, hidden).
            sources: (n_sources, hidden).
            incidence: The edges, grouped by target.
            edge_values: (n_edges,), normalised, in the order the incidence was made from.
        """
        values = incidence.arrange(edge_values)
        sent, received = self.source_linear(sources), self.target_linear(targets)
        if self.message_norm.observing:
            self._observe_messages(received, sent, incidence, values)
        total = message_sum(received, sent, self.edge_linear.weight[:, 0], values, incidence)
        degrees = incidence.degrees[:, None].to(total.dtype)
        if self.aggregation != "sum":
            share = degrees.clamp(min=1) ** -DEGREE_POWER[self.aggregation]
            total, degrees = total * share, degrees * share
        linear = self.message_linear
        messages = nn.functional.linear(total * self.message_norm.scale, linear.weight) + degrees * linear.bias
        updated: Tensor = self.update_linears(torch.cat([self.aggregate_norm(messages), targets], dim=1))
        return updated

    def _observe_messages(self, received: Tensor, sent: Tensor, incidence: Incidence, values: Tensor) -> None:
        """Show the prenorm every message, a block of edges at a time."""
        targets, sources = incidence.targets, incidence.sources
        for first in range(0, values.shape[0], N_EDGES_PER_BLOCK):
            block = slice(first, first + N_EDGES_PER_BLOCK)
            edge = nn.functional.linear(values[block, None], self.edge_linear.weight)
            self.message_norm.observe(received[targets[block]] + edge + sent[sources[block]])
        raise PrenormObserved
