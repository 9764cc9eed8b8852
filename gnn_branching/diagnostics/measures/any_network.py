"""Probes of any PyTorch module: a batch and its labels are enough."""

from __future__ import annotations

import copy
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from gnn_branching.diagnostics.measures.probe import LossKind, Probe, make_probe


def batch_probe(network: nn.Module, inputs: Tensor, labels: Tensor) -> Probe:
    """Freeze a float64 copy of a network on a batch, one block a sample where rows of the Jacobian are asked for.

    Args:
        network: Maps (n_samples, ...) to (n_samples, n_outputs); in evaluation mode no sample may depend on another.
        inputs: (n_samples, ...), floating.
        labels: Classes, integer, (n_samples,), for the mean cross-entropy of the softmax; or floating values,
            (n_samples, n_outputs), for half the sum of squares.

    Raises:
        ValueError: Without a sample, or with another number of labels.
    """
    n_samples = len(inputs)
    if n_samples == 0 or len(labels) != n_samples:
        raise ValueError(f"{n_samples} samples and {len(labels)} labels: need as many, at least one")
    whole = inputs.detach().double()
    blocks = [partial(_outputs, inputs=whole[i : i + 1]) for i in range(n_samples)]
    is_class = not labels.is_floating_point()
    with torch.no_grad():
        n_outputs = len(blocks[0](copy.deepcopy(network).double().eval()))
    targets = one_hot(labels, n_outputs) if is_class else labels
    sizes = torch.full((n_samples,), n_outputs)
    kind = LossKind.CROSS_ENTROPY if is_class else LossKind.SQUARE
    together = partial(_outputs, inputs=whole)
    return make_probe(network, blocks, targets.reshape(-1).double(), sizes, kind, whole=together)


def _outputs(network: nn.Module, inputs: Tensor) -> Tensor:
    outputs: Tensor = network(inputs)
    return outputs.flatten()
