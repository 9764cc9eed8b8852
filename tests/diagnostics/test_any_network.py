import pytest
import torch
from torch import nn

from examples.watch_any_network import EVERY, watch
from gnn_branching.diagnostics.measures.any_network import batch_probe
from gnn_branching.diagnostics.measures.curvature import hessian_top
from gnn_branching.diagnostics.measures.glance import glance
from gnn_branching.diagnostics.measures.products import gradient


@pytest.mark.parametrize("labels", [torch.tensor([0, 2, 1, 1]), torch.randn(4, 3)])
def test_loss_and_gradient_are_those_of_torch(labels: torch.Tensor) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 3))
    inputs = torch.randn(4, 2, 4)
    probe = batch_probe(network, inputs, labels)
    twin = network.double()
    outputs = twin(inputs.double())
    is_class = not labels.is_floating_point()
    loss = nn.functional.cross_entropy(outputs, labels) if is_class else 0.5 * (outputs - labels).square().sum()
    wanted = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(twin.parameters()))])
    assert glance(probe, probe.parameters()).ratio.loss == pytest.approx(float(loss.detach()), rel=1e-12)
    torch.testing.assert_close(gradient(probe, probe.parameters()), wanted, rtol=1e-9, atol=1e-12)


def test_labels_must_match() -> None:
    with pytest.raises(ValueError, match="need as many"):
        batch_probe(nn.Linear(2, 2), torch.zeros(3, 2), torch.zeros(2).long())


def test_the_example_sees_the_training() -> None:
    points = watch(6 * EVERY)
    assert len(points) == 6
    assert points[-1].seen.ratio.loss < points[0].seen.ratio.loss
    assert all(point.seen.ratio.mu > 0 and point.stability > 0 for point in points)
    assert all(point.seen.kernel_top.is_reliable for point in points)


def test_warm_starts_agree_with_lanczos() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 10), nn.Tanh(), nn.Linear(10, 2))
    probe = batch_probe(network, torch.randn(6, 3), torch.arange(6) % 2)
    start = None
    for _ in range(6):
        seen = glance(probe, probe.parameters(), start=start)
        start = seen.next_start
    assert seen.hessian.value == pytest.approx(hessian_top(probe, probe.parameters()).value, rel=1e-3)
