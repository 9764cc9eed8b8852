"""Loss and accuracy of a network on held-out samples; the one place with evaluation and inference mode."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gnn_branching.dataset.data import BranchingData
from gnn_branching.model.network import inputs_of
from gnn_branching.training.losses import Loss
from gnn_branching.training.metrics import TOP, Accuracy, accuracy_from_hits, best_ranks, n_hits

SumOverProcesses = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What a pass over held-out samples found.

    Args:
        loss: Mean over samples.
        accuracy: Tie-aware top-k accuracies.
        n_samples: Samples seen.
    """

    loss: float
    accuracy: Accuracy
    n_samples: int


def forward(network: nn.Module, batch: BranchingData) -> Tensor:
    """Return one float32 logit per candidate, (n_candidates_total,), also under mixed precision."""
    logits: Tensor = network(*inputs_of(batch))
    return logits.float()


@torch.inference_mode()
def validate(
    network: nn.Module,
    batches: Iterable[BranchingData],
    loss: Loss,
    *,
    device: torch.device | None = None,
    sum_over_processes: SumOverProcesses = lambda tensor: tensor,
) -> Validation:
    """Measure a network in evaluation mode; its mode is restored.

    Args:
        network: The network, on ``device``.
        batches: Every sample once, over all processes together.
        loss: As in training.
        device: Where the batches go; the CPU by default.
        sum_over_processes: Adds up a tensor over the processes that share the work.

    Raises:
        FloatingPointError: If a logit is not finite.
    """
    device = device or torch.device("cpu")
    was_training = network.training
    network.eval()
    # Loss, samples, then hits per k.
    totals = torch.zeros(2 + len(TOP), dtype=torch.float64, device=device)
    for batch in batches:
        on_device = batch.to(device, non_blocking=True)
        logits = forward(network, on_device)
        totals[0] += loss(logits, on_device).sum()
        totals[1] += on_device.n_samples
        totals[2:] += n_hits(best_ranks(logits, on_device))
    network.train(was_training)
    totals = sum_over_processes(totals).cpu()
    n_samples = int(totals[1])
    return Validation(
        loss=float(totals[0]) / n_samples, accuracy=accuracy_from_hits(totals[2:], n_samples), n_samples=n_samples
    )
