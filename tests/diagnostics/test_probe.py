import copy

import pytest
import torch
from torch import nn

from gnn_branching.diagnostics.measures.probe import LossKind, flat_parameters, group_sum, log_softmax, make_probe
from gnn_branching.diagnostics.measures.products import gradient, hessian_product
from tests.diagnostics.problems import GROUPS, problem, total_loss


def test_log_softmax_matches_each_group_and_does_not_overflow() -> None:
    logits = torch.randn(sum(GROUPS), dtype=torch.float64) * 500.0
    expected = torch.cat([torch.log_softmax(part, 0) for part in logits.split(list(GROUPS))])
    torch.testing.assert_close(log_softmax(logits, torch.tensor(GROUPS)), expected, rtol=1e-12, atol=1e-9)


def test_group_sum_of_rows() -> None:
    rows = torch.arange(6.0).view(3, 2)
    torch.testing.assert_close(group_sum(rows, torch.tensor([1, 2])), torch.tensor([[0.0, 1.0], [6.0, 8.0]]))


@pytest.mark.parametrize("kind", LossKind)
def test_loss_is_the_same_in_blocks(kind: LossKind) -> None:
    whole, blocks = problem(kind), problem(kind, blocks=4)
    parameters = whole.parameters()
    torch.testing.assert_close(whole.loss(whole.outputs(parameters)), total_loss(whole, parameters))
    torch.testing.assert_close(whole.outputs(parameters), blocks.outputs(parameters), rtol=1e-12, atol=1e-12)


def test_network_stays_as_it_is() -> None:
    module = nn.Sequential(nn.Linear(2, 1), nn.Dropout(0.5)).train()
    before = copy.deepcopy(module.state_dict())
    inputs = torch.randn(4, 2, dtype=torch.float64)
    sizes = torch.tensor([4])
    probe = make_probe(module, [lambda m: m(inputs).flatten()], torch.full((4,), 0.25), sizes)
    gradient(probe, probe.parameters())
    hessian_product(probe, probe.parameters(), probe.parameters())
    assert module.training
    assert all(parameter.grad is None for parameter in module.parameters())
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert flat_parameters(module).dtype == torch.float64


def test_bad_shapes_and_targets_are_refused() -> None:
    module = nn.Linear(2, 1)
    inputs = torch.randn(4, 2, dtype=torch.float64)
    with pytest.raises(ValueError, match="4 logits, 3 targets, 4 grouped"):
        make_probe(module, [lambda m: m(inputs).flatten()], torch.ones(3), torch.tensor([4]))
    with pytest.raises(ValueError, match="distribution over each sample"):
        make_probe(module, [lambda m: m(inputs).flatten()], torch.ones(4), torch.tensor([4]))
