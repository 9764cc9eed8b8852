"""How often the expert's best candidate is among a policy's first k, ties counted as the published protocol does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gnn_branching.contracts import IndexArray, Policy, Sample
from gnn_branching.dataset.data import BranchingData
from gnn_branching.dataset.source import SampleSource
from gnn_branching.labels import tied_for_best
from gnn_branching.training.segments import sample_index

TOP = (1, 3, 5, 10)
"""The k of acc@k."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Shares of samples with a best candidate among the first k; k beyond the candidates always hits.

    Args:
        acc_1: k = 1.
        acc_3: k = 3.
        acc_5: k = 5.
        acc_10: k = 10.
    """

    acc_1: float
    acc_3: float
    acc_5: float
    acc_10: float


def best_ranks(logits: Tensor, batch: BranchingData) -> Tensor:
    """Return the rank, from 0, that the logits give to the first-ranked of the expert's best candidates.

    Equal logits rank in the order of the candidates, as a branching rule that takes the first highest does.

    Args:
        logits: (n_candidates_total,), finite.
        batch: Their batch.

    Returns:
        int64, (n_samples,); a hit at k is a rank below k.

    Raises:
        FloatingPointError: If a logit is not finite: a NaN would rank first or last by accident.
    """
    if not bool(logits.isfinite().all()):
        raise FloatingPointError("a logit is NaN or infinite; the network's weights or inputs are broken")
    index = sample_index(batch.n_candidates, logits.shape[0])
    by_logit = torch.argsort(logits, descending=True, stable=True)
    order = by_logit[torch.argsort(index[by_logit], stable=True)]
    starts = batch.n_candidates.cumsum(0) - batch.n_candidates
    ranks = torch.arange(logits.shape[0], device=logits.device) - starts[index]
    beyond = torch.where(batch.is_best[order], ranks, logits.shape[0])
    highest = torch.full_like(batch.n_candidates, logits.shape[0])
    return highest.scatter_reduce(0, index, beyond, "amin")


def n_hits(ranks: Tensor) -> Tensor:
    """Count the samples hit at each k of ``TOP``, int64, (4,)."""
    return (ranks.unsqueeze(1) < torch.tensor(TOP, device=ranks.device)).sum(0)


def accuracy_from_hits(hits: Tensor, n_samples: int) -> Accuracy:
    """Turn counts per k of ``TOP`` into shares."""
    acc_1, acc_3, acc_5, acc_10 = (float(count) / n_samples for count in hits.tolist())
    return Accuracy(acc_1=acc_1, acc_3=acc_3, acc_5=acc_5, acc_10=acc_10)


def policy_accuracy(policy: Policy, source: SampleSource) -> Accuracy:
    """Measure any policy on samples, one by one; the same counting as in training.

    Raises:
        FloatingPointError: If the policy returns a score that is not finite.
    """
    return accuracy_from_hits(n_hits(torch.from_numpy(policy_ranks(policy, source))), len(source))


def policy_ranks(policy: Policy, source: SampleSource) -> IndexArray:
    """Return :func:`best_ranks` of any policy, sample by sample: int64, (n_samples,).

    Raises:
        FloatingPointError: If the policy returns a score that is not finite.
    """
    return np.fromiter((_best_rank(policy, source[i]) for i in range(len(source))), dtype=np.int64, count=len(source))


def _best_rank(policy: Policy, sample: Sample) -> int:
    scores = policy.scores(sample.state)
    if not np.isfinite(scores).all():
        raise FloatingPointError(f"policy {policy.name} scored a candidate NaN or infinite")
    order = np.argsort(-scores, kind="stable")
    return int(np.flatnonzero(tied_for_best(sample.scores)[order])[0])
