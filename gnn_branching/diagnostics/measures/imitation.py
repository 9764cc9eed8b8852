"""Probes of a branching network: a fixed set of samples, float64, one block per sample."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from gnn_branching.contracts import InputError, Sample
from gnn_branching.dataset.data import BranchingData, collate, to_data
from gnn_branching.diagnostics.measures.probe import LossKind, Probe, log_softmax, make_probe
from gnn_branching.diagnostics.measures.tangent_kernel import JACOBIAN_LIMIT_BYTES
from gnn_branching.model.network import BipartiteGCNN, inputs_of
from gnn_branching.training.losses import LISTWISE_TEMPERATURE

PROBED_LOSSES = ("cross-entropy", "tie-aware", "listwise")
"""Losses that are a cross-entropy to a distribution over candidates; others are probed as ``tie-aware``."""


def imitation_probe(
    network: nn.Module, samples: Sequence[Sample], loss: str, device: str = "cpu", *, together: bool = False
) -> Probe:
    """Freeze a float64 copy of a branching network on some samples.

    Args:
        network: Takes a batch's tensors; the bipartite network is copied into its twice differentiable form.
        samples: At least one; their features stay float32-rounded, as the network was trained on them.
        loss: Name of the training loss; pairwise and regression losses are probed as ``tie-aware``.
        device: Where everything is computed, as PyTorch names it.
        together: One block of all samples rather than one each: faster where the whole gradient is wanted alone.

    Raises:
        InputError: If there is no sample.
    """
    if not samples:
        raise InputError("a probe of 0 samples; give at least 1")
    batches = [to_data(sample).to(device) for sample in samples]
    if torch.device(device).type != "cpu":
        # Fused, it is compiled there, and compiled code gives up its buffers after the first row of a Jacobian.
        network = twice_differentiable(network)
    fused = isinstance(network, BipartiteGCNN) and network.implementation == "fused"
    network = copy.deepcopy(network).to(device)
    return make_probe(
        network,
        [
            partial(_logits, batch=_as_double(batch))
            for batch in ([collate(samples).to(device)] if together else batches)
        ],
        torch.cat([candidate_targets(batch.scores, loss) for batch in batches]),
        torch.cat([batch.n_candidates for batch in batches]),
        LossKind.CROSS_ENTROPY,
        twin=twice_differentiable(network) if fused else None,
    )


def within_memory(samples: Sequence[Sample], network: nn.Module) -> list[Sample]:
    """Return the first samples, at least one, whose Jacobian fits into ``JACOBIAN_LIMIT_BYTES``."""
    row_bytes = 8 * sum(p.numel() for p in network.parameters() if p.requires_grad)
    n_outputs = list(accumulate(sample.state.n_candidates for sample in samples))
    n_kept = sum(row_bytes * n <= JACOBIAN_LIMIT_BYTES for n in n_outputs)
    return list(samples[: max(1, n_kept)])


def twice_differentiable(network: nn.Module) -> nn.Module:
    """Return the network, or its reference twin with the same weights if it computes with fused kernels."""
    if not isinstance(network, BipartiteGCNN) or network.implementation == "reference":
        return network
    with torch.random.fork_rng():
        twin = BipartiteGCNN(network.config, implementation="reference").to(next(network.parameters()).device)
    twin.load_state_dict(network.state_dict())
    return twin


def candidate_targets(scores: Tensor, loss: str) -> Tensor:
    """Return the distribution over one sample's candidates that a loss imitates, float64, (n_candidates,)."""
    if loss == "cross-entropy":
        return one_hot(scores.argmax(), len(scores)).double()
    if loss == "listwise":
        highest = scores.max() if scores.max() > 0 else scores.new_ones(())
        group = torch.tensor([len(scores)], device=scores.device)
        return log_softmax(scores.double() / highest / LISTWISE_TEMPERATURE, group).exp()
    best = (scores == scores.max()).double()
    return best / best.sum()


def _as_double(batch: BranchingData) -> BranchingData:
    double: BranchingData = batch.clone()
    for name in ("row_features", "edge_values", "variable_features", "search_features"):
        if batch.get(name) is not None:
            double[name] = batch[name].double()
    return double


def _logits(network: nn.Module, batch: BranchingData) -> Tensor:
    logits: Tensor = network(*inputs_of(batch))
    return logits
