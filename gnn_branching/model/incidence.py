"""Edges of a bipartite graph grouped by the vertex that receives their messages."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gnn_branching.model import kernels

CPU = "cpu"
"""The device type that the compiled loops are for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incidence:
    """Compressed sparse rows: the edges into target ``t`` are ``offsets[t]`` to ``offsets[t + 1]``.

    Args:
        offsets: int64, (n_targets + 1,).
        sources: int32, (n_kept,): the other end of each edge.
        order: int64, (n_kept,): which of the batch's edges each one is; None for the batch's own order, by row.
    """

    offsets: Tensor
    sources: Tensor
    order: Tensor | None = None

    @property
    def n_targets(self) -> int:
        """Number of vertices that receive messages."""
        return self.offsets.shape[0] - 1

    @property
    def degrees(self) -> Tensor:
        """Edges per target, int64, (n_targets,)."""
        return self.offsets.diff()

    @property
    def targets(self) -> Tensor:
        """The receiving end of each edge, int64, (n_kept,), made anew."""
        return expanded(self.offsets, self.sources.shape[0])

    def arrange(self, edge_values: Tensor) -> Tensor:
        """Bring per-edge values, (n_edges,), into this order, (n_kept,)."""
        return edge_values if self.order is None else edge_values[self.order]


def expanded(indptr: Tensor, n_edges: int) -> Tensor:
    """Return the row of each edge, int64, (n_edges,), for operations that know no row pointers."""
    return torch.arange(indptr.shape[0] - 1, device=indptr.device).repeat_interleave(indptr.diff(), output_size=n_edges)


def edge_index(indptr: Tensor, indices: Tensor) -> Tensor:
    """Return the row, then the variable, of each edge, int64, (2, n_edges), as PyTorch Geometric wants them."""
    return torch.stack([expanded(indptr, indices.shape[0]), indices.long()])


def by_variable(indptr: Tensor, indices: Tensor, n_variables: int, *, keep: Tensor | None = None) -> Incidence:
    """Group a batch's edges by variable; those of one variable stay in the order of their rows.

    Args:
        indptr: int64, (n_rows + 1,): where each row's edges start.
        indices: int32, (n_edges,): the variable of each edge.
        n_variables: Number of variables.
        keep: int64, (n_kept_variables,): distinct variables of interest; the others and their edges are left out and
            target ``i`` of the result is ``keep[i]``. None keeps all.

    Raises:
        ValueError: If a variable occurs twice in ``keep``.
    """
    numbers = torch.arange(n_variables if keep is None else keep.shape[0], device=indices.device)
    positions = numbers
    if keep is not None:
        positions = torch.full((n_variables,), -1, dtype=torch.int64, device=indices.device)
        positions[keep] = numbers
        if not bool((positions[keep] == numbers).all()):
            raise ValueError("a candidate occurs twice")
    n_kept = numbers.shape[0]
    if indices.device.type == CPU:
        offsets = torch.empty(n_kept + 1, dtype=torch.int64)
        kernels.count_edges(indices.numpy(), positions.numpy(), offsets.numpy())
        rows = torch.empty(int(offsets[-1]), dtype=torch.int32)
        order = torch.empty(int(offsets[-1]), dtype=torch.int64)
        edges = indptr.numpy(), indices.numpy(), positions.numpy()
        kernels.place_edges(*edges, offsets.clone().numpy(), rows.numpy(), order.numpy())
        return Incidence(offsets=offsets, sources=rows, order=order)
    mapped = positions[indices.long()]
    order = torch.argsort(mapped, stable=True)
    offsets = torch.searchsorted(mapped[order], torch.arange(n_kept + 1, device=indices.device))
    order = order[offsets[0] :]
    rows = torch.searchsorted(indptr, order, right=True, out_int32=True) - 1
    return Incidence(offsets=offsets - offsets[0], sources=rows, order=order)
