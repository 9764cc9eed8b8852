"""Sum of a half-convolution's messages, differentiable, on any device.

The published message is ``W relu(scale * (L target + E value + R source)) + b`` on every edge. ``W`` is linear and the
scale positive, so both may be applied after the sum; what is left on an edge is one multiply-add and a ReLU: the part
computed here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from gnn_branching.model import kernels
from gnn_branching.model.incidence import Incidence

MIN_EDGES_PER_THREAD = 8192
"""Below this, starting a thread costs more than it saves."""


def message_sum(target: Tensor, source: Tensor, edge: Tensor, values: Tensor, incidence: Incidence) -> Tensor:
    """Return ``sum over edges (t, s) of relu(target[t] + source[s] + value * edge)`` for every target.

    On a CPU by the loops of :mod:`~gnn_branching.model.kernels`, with a first derivative; elsewhere by
    :func:`torch_message_sum`, compiled.

    Args:
        target: (n_targets, hidden), float32 or float64, as all others.
        source: (n_sources, hidden).
        edge: (hidden,).
        values: (n_edges,), in the order of ``incidence``.
        incidence: The edges.

    Returns:
        (n_targets, hidden); zero where no edge ends.
    """
    dtype = torch.float64 if target.dtype == torch.float64 else torch.float32  # autocast's 16 bits are too few for sums
    target, source, edge, values = (tensor.to(dtype) for tensor in (target, source, edge, values))
    if target.device.type == "cpu":
        return cast(Tensor, _MessageSum.apply(target, source, edge, values, incidence))  # type: ignore[no-untyped-call]
    return _compiled_sum()(target, source, edge, values, incidence.targets, incidence.sources.long())


def torch_message_sum(
    target: Tensor, source: Tensor, edge: Tensor, values: Tensor, targets: Tensor, sources: Tensor
) -> Tensor:
    """Compute :func:`message_sum` from plain operations, which ``torch.compile`` fuses."""
    messages = torch.relu(target[targets] + source[sources] + values[:, None] * edge)
    return torch.zeros_like(target).index_add(0, targets, messages)


@cache
def _compiled_sum() -> Callable[..., Tensor]:
    return torch.compile(torch_message_sum, dynamic=True)


class _MessageSum(torch.autograd.Function):
    """The CPU kernels under autograd; backward computes the messages again instead of storing them."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, target: Tensor, source: Tensor, edge: Tensor, values: Tensor, incidence: Incidence
    ) -> Tensor:
        inputs = [tensor.detach().contiguous() for tensor in (values, target, source, edge)]
        graph = (incidence.offsets.numpy(), incidence.sources.numpy())
        total = torch.empty_like(inputs[1])
        arrays = [*graph, *(tensor.numpy() for tensor in inputs), total.numpy()]
        _in_threads([(kernels.forward, (*arrays, first, last)) for first, last in _ranges(graph[0])])
        ctx.save_for_backward(*inputs)
        ctx.incidence = incidence  # type: ignore[attr-defined]
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs = ctx.saved_tensors  # type: ignore[attr-defined]
        incidence: Incidence = ctx.incidence  # type: ignore[attr-defined]
        graph = (incidence.offsets.numpy(), incidence.sources.numpy())
        arrays = [*graph, *(tensor.numpy() for tensor in inputs), gradient.contiguous().numpy()]
        values, target, source, edge = inputs
        d_target = torch.zeros_like(target)
        parts = [_Part(graph, first, last, source, edge) for first, last in _ranges(graph[0])]
        _in_threads([(kernels.backward, (*arrays, d_target.numpy(), *part.arguments)) for part in parts])
        d_source, d_edge = torch.zeros_like(source), torch.zeros_like(edge)
        for part in parts:
            part.add_to(d_source, d_edge)
        d_values = None
        if ctx.needs_input_grad[3]:  # type: ignore[attr-defined]
            d_values = torch.empty_like(values)
            jobs = [(kernels.backward_values, (*arrays, d_values.numpy(), *ends)) for ends in _ranges(graph[0])]
            _in_threads(jobs)
        return d_target, d_source, d_edge, d_values, None


class _Part:
    """One thread's share of the backward pass, with gradients of its own for the sources it can reach.

    In a batch of graphs a range of targets reaches the sources of its own graphs only, so the shares hardly overlap.
    """

    def __init__(self, graph: Sequence[np.ndarray], first: int, last: int, source: Tensor, edge: Tensor) -> None:
        offsets, sources = graph
        reached = sources[offsets[first] : offsets[last]]
        self.first_source = int(reached.min()) if reached.size else 0
        n_sources = int(reached.max()) + 1 - self.first_source if reached.size else 0
        self.d_source = source.new_zeros((n_sources, source.shape[1]))
        self.d_edge = torch.zeros_like(edge)
        self.arguments = (self.d_source.numpy(), self.d_edge.numpy(), first, last, self.first_source)

    def add_to(self, d_source: Tensor, d_edge: Tensor) -> None:
        d_source[self.first_source : self.first_source + self.d_source.shape[0]] += self.d_source
        d_edge += self.d_edge


def _ranges(offsets: np.ndarray) -> list[tuple[int, int]]:
    """Split the targets into ranges of about as many edges each, one per thread."""
    n_targets, n_edges = offsets.size - 1, int(offsets[-1])
    n_ranges = max(1, min(torch.get_num_threads(), n_edges // MIN_EDGES_PER_THREAD))
    inner = np.searchsorted(offsets, np.linspace(0, n_edges, n_ranges + 1)[1:-1])
    bounds = [0, *(int(bound) for bound in inner), n_targets]
    return [(first, last) for first, last in pairwise(bounds) if first < last]


def _in_threads(jobs: Sequence[tuple[Callable[..., None], tuple[object, ...]]]) -> None:
    """Run jobs at the same time, the first in this thread."""
    if not jobs:
        return
    pool = _pool(torch.get_num_threads(), os.getpid())
    futures = [pool.submit(function, *arguments) for function, arguments in jobs[1:]]
    function, arguments = jobs[0]
    function(*arguments)
    for future in futures:
        future.result()


@cache
def _pool(n_threads: int, process: int) -> ThreadPoolExecutor:
    """Keep one pool a process: a forked child must not wait for its parent's threads."""
    return ThreadPoolExecutor(n_threads, thread_name_prefix="half-convolution")
