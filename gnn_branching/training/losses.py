"""What "imitate the expert" can mean: five losses over ragged candidates, one value per sample."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import softplus

from gnn_branching.contracts import InputError
from gnn_branching.dataset.data import BranchingData
from gnn_branching.training.segments import (
    first_of_each,
    sample_index,
    segment_log_softmax,
    segment_max,
    segment_sum,
)

Loss = Callable[[Tensor, BranchingData], Tensor]
"""Maps logits, (n_candidates_total,), and their batch to one loss per sample, (n_samples,)."""

LISTWISE_TEMPERATURE = 0.1
"""Softens the expert's distribution: a candidate with 90 % of the best score gets 1/e of its probability."""


def cross_entropy(logits: Tensor, batch: BranchingData) -> Tensor:
    """Return ``-log p(choice)``, the choice being the first best candidate (Gasse et al. 2019, equation 3)."""
    index = sample_index(batch.n_candidates, logits.shape[0])
    log_p = segment_log_softmax(logits, index, batch.n_samples)
    return -log_p[first_of_each(batch.is_best, index, batch.n_samples)]


def tie_aware_cross_entropy(logits: Tensor, batch: BranchingData) -> Tensor:
    """Return the cross-entropy to a target shared equally among the candidates tied for best.

    Its infimum is the target's entropy, ``log n_tied``, not 0.
    """
    index = sample_index(batch.n_candidates, logits.shape[0])
    log_p = segment_log_softmax(logits, index, batch.n_samples)
    best = batch.is_best.to(log_p.dtype)
    return -segment_sum(best * log_p, index, batch.n_samples) / segment_sum(best, index, batch.n_samples)


def listwise(logits: Tensor, batch: BranchingData) -> Tensor:
    """Return the cross-entropy to a softmax of the expert's scores: ListNet's top-one loss (Cao et al. 2007).

    The target is ``softmax(score / highest / LISTWISE_TEMPERATURE)``.
    """
    index = sample_index(batch.n_candidates, logits.shape[0])
    target = segment_log_softmax(_normalised_scores(batch, index) / LISTWISE_TEMPERATURE, index, batch.n_samples).exp()
    log_p = segment_log_softmax(logits, index, batch.n_samples)
    return -segment_sum(target.to(log_p.dtype) * log_p, index, batch.n_samples)


def pairwise(logits: Tensor, batch: BranchingData) -> Tensor:
    """Return RankNet's logistic loss (Burges et al. 2005) over ordered pairs, weighted by their gap in score.

    The gap is measured in shares of the sample's highest score; weights add up to 1, or are all 0 where every score is
    equal. Memory grows with the sum of squared numbers of candidates.
    """
    n_total = logits.shape[0]
    index = sample_index(batch.n_candidates, n_total)
    partners = batch.n_candidates[index]
    first = torch.repeat_interleave(partners)
    starts = batch.n_candidates.cumsum(0) - batch.n_candidates
    place = torch.arange(first.shape[0], device=logits.device) - (partners.cumsum(0) - partners)[first]
    second = starts[index[first]] + place
    scores = _normalised_scores(batch, index)
    gap = (scores[first] - scores[second]).clamp_min(0.0).to(logits.dtype)
    total = segment_sum(gap, index[first], batch.n_samples)
    losses = segment_sum(gap * softplus(logits[second] - logits[first]), index[first], batch.n_samples)
    return losses / torch.where(total > 0, total, torch.ones_like(total))


def regression(logits: Tensor, batch: BranchingData) -> Tensor:
    """Return the mean squared difference between logits and scores as shares of the sample's highest."""
    index = sample_index(batch.n_candidates, logits.shape[0])
    error = logits - _normalised_scores(batch, index).to(logits.dtype)
    return segment_sum(error.square(), index, batch.n_samples) / batch.n_candidates


LOSSES: dict[str, Loss] = {
    "cross-entropy": cross_entropy,
    "tie-aware": tie_aware_cross_entropy,
    "listwise": listwise,
    "pairwise": pairwise,
    "regression": regression,
}


def get_loss(name: str) -> Loss:
    """Return the loss called ``name``.

    Raises:
        InputError: If there is none.
    """
    if name not in LOSSES:
        raise InputError(f"loss {name!r} is unknown; choose one of {', '.join(LOSSES)}")
    return LOSSES[name]


def _normalised_scores(batch: BranchingData, index: Tensor) -> Tensor:
    """Return scores over the highest of their sample, float64 in [0, 1]; all 0 where the highest is 0."""
    highest = segment_max(batch.scores, index, batch.n_samples)
    return batch.scores / torch.where(highest > 0, highest, torch.ones_like(highest))[index]
