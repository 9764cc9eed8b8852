"""Sums, maxima and softmax over the candidates of each sample, on flat vectors; deterministic on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor


def sample_index(n_candidates: Tensor, n_total: int) -> Tensor:
    """Return the sample of each candidate, int64, (n_total,), from the candidates per sample, (n_samples,)."""
    return torch.repeat_interleave(n_candidates, output_size=n_total)


def segment_sum(values: Tensor, index: Tensor, n_samples: int) -> Tensor:
    """Sum values, (n_total,), per sample, (n_samples,)."""
    return values.new_zeros(n_samples).index_add(0, index, values)


def segment_max(values: Tensor, index: Tensor, n_samples: int) -> Tensor:
    """Return the highest value per sample, (n_samples,); every sample needs a candidate."""
    lowest = torch.full((n_samples,), -torch.inf, dtype=values.dtype, device=values.device)
    return lowest.scatter_reduce(0, index, values, "amax")


def segment_log_softmax(logits: Tensor, index: Tensor, n_samples: int) -> Tensor:
    """Return the log-softmax of logits, (n_total,), over each sample's own candidates."""
    shifted = logits - segment_max(logits.detach(), index, n_samples)[index]
    return shifted - segment_sum(shifted.exp(), index, n_samples).log()[index]


def first_of_each(mask: Tensor, index: Tensor, n_samples: int) -> Tensor:
    """Return the position of the first True per sample, int64, (n_samples,); every sample needs one."""
    places = torch.arange(mask.shape[0], device=mask.device)
    last = torch.full((n_samples,), mask.shape[0], device=mask.device)
    return last.scatter_reduce(0, index[mask], places[mask], "amin")
