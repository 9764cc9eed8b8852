import numpy as np
import pytest
import torch
from torch import nn

from gnn_branching.diagnostics.measures.dropout import DropoutGap, dropout_gap
from gnn_branching.diagnostics.measures.finding import Verdict
from gnn_branching.diagnostics.measures.probe import LossKind, Probe, make_probe
from tests.diagnostics.problems import problem


def shallow_linear(width: int) -> Probe:
    """``w2 W1 x`` on whitened inputs (the identity)."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, width, bias=False), nn.Linear(width, 1, bias=False)).double()
    inputs = torch.eye(3, dtype=torch.float64)
    return make_probe(module, [lambda m: m(inputs).flatten()], torch.ones(3), torch.ones(3).long(), LossKind.SQUARE)


@pytest.mark.parametrize("drop_probability", [0.2, 0.5])
def test_gap_of_a_linear_network_is_its_closed_form(drop_probability: float) -> None:
    probe = shallow_linear(5)
    first, second = (parameter.detach() for parameter in probe.network.parameters())
    weight = drop_probability / (1.0 - drop_probability)
    penalty = weight * float((second[0] ** 2 * (first**2).sum(dim=1)).sum())
    found = dropout_gap(probe, probe.parameters(), ["1"], drop_probability, n_draws=4000)
    half_width = found.high - found.value
    np.testing.assert_allclose(found.value, 0.5 * penalty, rtol=0.0, atol=2.0 * half_width)
    assert found.finding().verdict is Verdict.HOLDS
    wrong = (1.0 - drop_probability + 0.01) / (drop_probability + 0.01) if drop_probability != 0.5 else 3.0
    assert abs(found.value - 0.5 * penalty * wrong / weight) > 4.0 * half_width


def test_no_dropout_no_gap_and_nothing_left_behind() -> None:
    probe = problem(LossKind.CROSS_ENTROPY)
    torch.manual_seed(7)
    state = torch.get_rng_state()
    assert dropout_gap(probe, probe.parameters(), ["2"], 0.0, n_draws=4).value == 0.0
    dropout_gap(probe, probe.parameters(), ["2"], 0.5, n_draws=4)
    assert torch.equal(state, torch.get_rng_state())
    assert not probe.network.get_submodule("2")._forward_pre_hooks


def test_negative_value_is_reported() -> None:
    assert DropoutGap(value=-1.0, low=-2.0, high=-0.5, n_draws=9).finding().verdict is Verdict.VIOLATED


def test_bad_input_is_refused() -> None:
    probe = problem(LossKind.SQUARE)
    with pytest.raises(ValueError, match="no module 'head': choose among 0, 1, 2"):
        dropout_gap(probe, probe.parameters(), ["head"], 0.5)
    with pytest.raises(ValueError, match=r"drop probability 1\.0"):
        dropout_gap(probe, probe.parameters(), ["2"], 1.0)
