"""A network frozen on a fixed batch: the one object every diagnostic reads.

Everything is float64 and in evaluation mode, on a copy: the network handed in is never touched.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import torch
from torch import Tensor, nn
from torch.func import functional_call

BlockForward = Callable[[nn.Module], Tensor]
"""Maps the network to the flat logits of one block of samples, float64, (n_block_outputs,)."""


class LossKind(StrEnum):
    """Which loss a probe carries."""

    SQUARE = "square"
    CROSS_ENTROPY = "cross-entropy"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Probe:
    """A network, a fixed batch in blocks, and its targets.

    The loss is ``½ Σ (f − y)²`` (``SQUARE``) or the mean over samples of the cross-entropy between the soft targets
    and the softmax over each sample's own candidates (``CROSS_ENTROPY``). Blocks keep the memory of a Jacobian to
    one block's graph; a toy network has one block, the bipartite network one per sample.

    Args:
        network: Float64 copy in evaluation mode; build it with :func:`make_probe`.
        twin: The same function with a double backward; ``network`` itself unless that has none (fused kernels).
        blocks: One forward per block; their outputs, concatenated, are the probe's outputs.
        block_sizes: Number of outputs per block.
        group_sizes: int64, (n_samples,): outputs (candidates) per sample; no sample straddles two blocks.
        targets: float64, (n_outputs,): labels, or a distribution over each sample's candidates.
        loss_kind: Which loss.
        whole: One forward of all samples, for what needs no row per sample; None to go by blocks.
    """

    network: nn.Module
    twin: nn.Module
    blocks: tuple[BlockForward, ...]
    block_sizes: tuple[int, ...]
    group_sizes: Tensor
    targets: Tensor
    loss_kind: LossKind
    whole: BlockForward | None = None

    @property
    def n_samples(self) -> int:
        """Number of samples (groups)."""
        return int(self.group_sizes.shape[0])

    @property
    def n_outputs(self) -> int:
        """Number of logits."""
        return int(self.targets.shape[0])

    @property
    def sample_index(self) -> Tensor:
        """Sample of each output, int64, (n_outputs,)."""
        return _group_index(self.group_sizes)

    @property
    def block_slices(self) -> tuple[slice, ...]:
        """Where each block's outputs lie among all outputs."""
        ends = torch.tensor(self.block_sizes).cumsum(0).tolist()
        return tuple(slice(end - size, end) for end, size in zip(ends, self.block_sizes, strict=True))

    @property
    def merged(self) -> Probe:
        """The same probe in as few blocks as may be."""
        if self.whole is None:
            return self
        return replace(self, blocks=(self.whole,), block_sizes=(self.n_outputs,), whole=None)

    def parameters(self) -> Tensor:
        """Return the network's trainable parameters as one flat vector, (n_parameters,), detached."""
        return flat_parameters(self.network)

    @property
    def is_fused(self) -> bool:
        """Whether the network has first derivatives only, one output at a time."""
        return self.twin is not self.network

    def block_outputs(self, block: int, parameters: Tensor, *, twice: bool = False) -> Tensor:
        """Return one block's logits at ``parameters``, differentiable in them; ``twice`` if need be."""
        network = self.twin if twice else self.network
        swapped = {f"network.{name}": value for name, value in _unflatten(network, parameters).items()}
        outputs: Tensor = functional_call(_Closure(network, self.blocks[block]), swapped, ())
        return outputs

    def outputs(self, parameters: Tensor) -> Tensor:
        """Return all logits at ``parameters``, (n_outputs,), differentiable in them."""
        return torch.cat([self.block_outputs(block, parameters) for block in range(len(self.blocks))])

    def loss(self, outputs: Tensor) -> Tensor:
        """Return the loss of the given logits, a scalar."""
        if self.loss_kind is LossKind.SQUARE:
            return 0.5 * (outputs - self.targets).square().sum()
        return -(self.targets * log_softmax(outputs, self.group_sizes)).sum() / self.n_samples

    def residual(self, outputs: Tensor) -> Tensor:
        """Return ``f − y`` or ``softmax(f) − y``, (n_outputs,): the loss's derivative up to :attr:`loss_scale`."""
        if self.loss_kind is LossKind.SQUARE:
            return outputs - self.targets
        return log_softmax(outputs, self.group_sizes).exp() - self.targets

    @property
    def loss_scale(self) -> float:
        """Factor of the residual in the loss's derivative: 1, or 1 / n_samples."""
        return 1.0 if self.loss_kind is LossKind.SQUARE else 1.0 / self.n_samples


class _Closure(nn.Module):
    """A forward without arguments, for ``functional_call``."""

    def __init__(self, network: nn.Module, forward: BlockForward) -> None:
        super().__init__()
        self.network = network
        self._forward = forward

    def forward(self) -> Tensor:
        """Run the block."""
        return self._forward(self.network)


def make_probe(
    network: nn.Module,
    blocks: Sequence[BlockForward],
    targets: Tensor,
    group_sizes: Tensor,
    loss_kind: LossKind = LossKind.CROSS_ENTROPY,
    *,
    twin: nn.Module | None = None,
    whole: BlockForward | None = None,
) -> Probe:
    """Freeze a float64 copy of ``network`` on a fixed batch.

    Args:
        network: Any module; it stays as it is.
        blocks: One forward per block of samples; each must feed float64 inputs.
        targets: (n_outputs,), see :class:`Probe`.
        group_sizes: (n_samples,), positive integers that add up to ``n_outputs``.
        loss_kind: Which loss.
        twin: The same function with the same parameters and a double backward, if ``network`` has none.
        whole: One forward of all samples at once, their outputs in the blocks' order.

    Raises:
        ValueError: If shapes disagree, or a cross-entropy target is no distribution per sample.
    """
    frozen = copy.deepcopy(network).double().eval()
    with torch.no_grad():
        sizes = tuple(int(block(frozen).shape[0]) for block in blocks)
    labels, groups = targets.detach().double(), group_sizes.long()
    if not sum(sizes) == labels.shape[0] == int(groups.sum()):
        raise ValueError(f"{sum(sizes)} logits, {labels.shape[0]} targets, {int(groups.sum())} grouped outputs")
    if loss_kind is LossKind.CROSS_ENTROPY:
        mass = group_sum(labels, groups)
        if bool((labels < 0).any()) or not torch.allclose(mass, torch.ones_like(mass), atol=1e-9):
            raise ValueError("cross-entropy targets must be a distribution over each sample's candidates")
    return Probe(
        network=frozen,
        twin=frozen if twin is None else copy.deepcopy(twin).double().eval(),
        blocks=tuple(blocks),
        block_sizes=sizes,
        group_sizes=groups,
        targets=labels,
        loss_kind=loss_kind,
        whole=whole,
    )


def flat_parameters(network: nn.Module) -> Tensor:
    """Return a network's trainable parameters as one flat float64 vector, in ``named_parameters`` order."""
    return torch.cat([p.detach().cpu().double().reshape(-1) for p in network.parameters() if p.requires_grad])


def _unflatten(network: nn.Module, parameters: Tensor) -> dict[str, Tensor]:
    trainable = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    pieces = torch.split(parameters, [p.numel() for _, p in trainable])
    return {name: piece.view_as(p) for (name, p), piece in zip(trainable, pieces, strict=True)}


def _group_index(group_sizes: Tensor) -> Tensor:
    """Return the group of each output, int64, (n_outputs,)."""
    return torch.arange(len(group_sizes), device=group_sizes.device).repeat_interleave(group_sizes)


def group_sum(values: Tensor, group_sizes: Tensor) -> Tensor:
    """Sum a flat vector (or the rows of a matrix) per group, (n_groups, ...)."""
    index = _group_index(group_sizes)
    return values.new_zeros(len(group_sizes), *values.shape[1:]).index_add(0, index, values)


def log_softmax(outputs: Tensor, group_sizes: Tensor) -> Tensor:
    """Return the log-softmax over each group of a flat vector of logits."""
    index = _group_index(group_sizes)
    highest = outputs.new_full((len(group_sizes),), -torch.inf)
    highest = highest.scatter_reduce(0, index, outputs.detach(), "amax")
    shifted = outputs - highest[index]
    return shifted - group_sum(shifted.exp(), group_sizes).log()[index]
