"""Measures by layer against closed forms."""

import math

import pytest
import torch
from torch import nn

from gnn_branching.diagnostics.measures.any_network import batch_probe
from gnn_branching.diagnostics.measures.layers import dead_unit_share, layer_norms, layer_sums, silent_units


def network() -> nn.Module:
    """Of three first units, two fire on no input above 0; of two second ones, one on none whatever."""
    module = nn.Sequential(nn.Linear(1, 3), nn.ReLU(), nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1)).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(1.0)
        module[0].weight[:2] = -1.0
        module[0].bias.zero_()
        module[2].bias[0] = -100.0
    return module


def test_units_that_never_fire_are_counted_where_they_are() -> None:
    probe = batch_probe(network(), torch.tensor([[1.0], [2.0]]), torch.zeros(2, 1))
    silent = silent_units(probe, probe.parameters())
    assert {layer: units.tolist() for layer, units in silent.items()} == {"0": [True, True, False], "2": [True, False]}
    assert dead_unit_share(silent) == pytest.approx(0.6)
    assert not any(module._forward_hooks for module in probe.network.modules())


def test_a_network_without_relus_has_no_dead_units() -> None:
    probe = batch_probe(nn.Sequential(nn.Linear(1, 2), nn.Tanh()), torch.ones(1, 1), torch.zeros(1, 2))
    assert math.isnan(dead_unit_share(silent_units(probe, probe.parameters())))


def test_sums_and_norms_take_weights_and_biases_of_a_layer_together() -> None:
    vector = torch.arange(17, dtype=torch.float64)  # 6, 8 and 3 parameters
    assert layer_sums(network(), vector) == {"0": 15.0, "2": 76.0, "4": 45.0}
    assert layer_norms(network(), vector)["4"] == pytest.approx(math.sqrt(14**2 + 15**2 + 16**2))
