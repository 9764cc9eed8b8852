"""Edges of a bipartite graph grouped by the vertex that receives their messages."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gnn_branching.model import kernels


@dataclass(frozen=True, slots=True, kw_only=True)
class Incidence:
    """Compressed sparse rows: the edges into target ``t`` are ``offsets[t]`` to ``offsets[t + 1]``.

    Args:
        offsets: int64, (n_targets + 1,).
        sources: int64, (n_kept,): the other end of each edge.
        order: int64, (n_kept,): which of the given edges each one is; None if they were already in this order.
    """

    offsets: Tensor
    sources: Tensor
    order: Tensor | None

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
        """The receiving end of each edge, int64, (n_kept,)."""
        index = torch.arange(self.n_targets, device=self.offsets.device)
        return index.repeat_interleave(self.degrees, output_size=self.sources.shape[0])

    def arrange(self, edge_values: Tensor) -> Tensor:
        """Bring per-edge values, (n_edges,), into this order, (n_kept,)."""
        return edge_values if self.order is None else edge_values[self.order]


def group_edges(targets: Tensor, sources: Tensor, n_targets: int, *, keep: Tensor | None = None) -> Incidence:
    """Group edges by target, keeping their order within a target.

    Args:
        targets: int64, (n_edges,): the receiving end.
        sources: int64, (n_edges,): the other end.
        n_targets: Number of receiving vertices.
        keep: int64, (n_kept_targets,): distinct targets of interest; the others and their edges are left out and
            target ``i`` of the result is ``keep[i]``. None keeps all.

    Raises:
        ValueError: If a vertex occurs twice in ``keep``.
    """
    if keep is not None:
        n_kept = keep.shape[0]
        positions = torch.full((n_targets,), -1, dtype=torch.int64, device=targets.device)
        positions[keep] = torch.arange(n_kept, device=targets.device)
        if not bool((positions[keep] == torch.arange(n_kept, device=targets.device)).all()):
            raise ValueError("a candidate occurs twice")
    else:
        n_kept, positions = n_targets, None
    if targets.device.type == "cpu":
        return _group_on_cpu(targets, sources, n_kept, positions)
    mapped = targets if positions is None else positions[targets]
    order = torch.argsort(mapped, stable=True)
    offsets = torch.searchsorted(mapped[order], torch.arange(n_kept + 1, device=targets.device))
    order = order[offsets[0] :]
    return Incidence(offsets=offsets - offsets[0], sources=sources[order], order=order)


def _group_on_cpu(targets: Tensor, sources: Tensor, n_kept: int, positions: Tensor | None) -> Incidence:
    offsets = torch.zeros(n_kept + 1, dtype=torch.int64)
    array = targets.contiguous().numpy()
    if positions is None:
        if kernels.offsets_if_sorted(array, offsets.numpy()):
            return Incidence(offsets=offsets, sources=sources.contiguous(), order=None)
        positions = torch.arange(n_kept)
    kernels.count_edges(array, positions.numpy(), offsets.numpy())
    order = torch.empty(int(offsets[-1]), dtype=torch.int64)
    kernels.place_edges(array, positions.numpy(), offsets.clone().numpy(), order.numpy())
    return Incidence(offsets=offsets, sources=sources[order], order=order)
