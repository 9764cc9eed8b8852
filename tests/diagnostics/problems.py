"""Small problems whose Jacobian and Hessian fit into memory."""

import torch
from torch import Tensor, nn

from gnn_branching.diagnostics.measures.probe import LossKind, Probe, make_probe

GROUPS = (3, 1, 5, 2)


def network(n_inputs: int = 3, n_hidden: int = 4, seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    module = nn.Sequential(nn.Linear(n_inputs, n_hidden), nn.Tanh(), nn.Linear(n_hidden, 1)).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return module


def problem(loss_kind: LossKind, *, seed: int = 0, n_hidden: int = 4, blocks: int = 1) -> Probe:
    """Ragged groups, soft targets for the cross-entropy; ``blocks`` = 1 or one per sample."""
    generator = torch.Generator().manual_seed(seed + 1)
    sizes = torch.tensor(GROUPS)
    inputs = torch.randn(int(sizes.sum()), 3, generator=generator, dtype=torch.float64)
    targets = torch.rand(len(inputs), generator=generator, dtype=torch.float64)
    if loss_kind is LossKind.CROSS_ENTROPY:
        targets = torch.cat([part / part.sum() for part in targets.split(list(GROUPS))])
    parts = [inputs] if blocks == 1 else list(inputs.split(list(GROUPS)))
    forwards = [lambda module, part=part: module(part).flatten() for part in parts]
    return make_probe(network(n_hidden=n_hidden, seed=seed), forwards, targets, sizes, loss_kind)


def total_loss(probe: Probe, parameters: Tensor) -> Tensor:
    """The loss as one differentiable function of the parameters, written independently of the products."""
    outputs = probe.outputs(parameters)
    if probe.loss_kind is LossKind.SQUARE:
        return 0.5 * ((outputs - probe.targets) ** 2).sum()
    pieces = zip(outputs.split(list(GROUPS)), probe.targets.split(list(GROUPS)), strict=True)
    return sum((-(y * torch.log_softmax(z, 0)).sum() for z, y in pieces), torch.zeros(())) / len(GROUPS)


def dense_jacobian(probe: Probe, parameters: Tensor) -> Tensor:
    return torch.autograd.functional.jacobian(probe.outputs, parameters)


def dense_hessian(probe: Probe, parameters: Tensor) -> Tensor:
    return torch.autograd.functional.hessian(lambda w: total_loss(probe, w), parameters)


def duplicated_square_problem() -> Probe:
    """Two equal inputs with labels 0 and 1, and a third input."""
    inputs = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [-1.0, 0.5, 0.0]], dtype=torch.float64)
    labels = torch.tensor([0.0, 1.0, 0.3])
    return make_probe(
        network(), [lambda module: module(inputs).flatten()], labels, torch.ones(3).long(), LossKind.SQUARE
    )


def linear_square_problem(matrix: Tensor, targets: Tensor) -> Probe:
    """``f(w) = A w``: the Hessian is ``AᵀA`` and the kernel ``AAᵀ``."""
    module = nn.Linear(matrix.shape[1], 1, bias=False).double()
    sizes = torch.ones(len(matrix), dtype=torch.long)
    return make_probe(module, [lambda m: m(matrix).flatten()], targets, sizes, LossKind.SQUARE)
