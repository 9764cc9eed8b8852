import numpy as np
import pytest
import torch

from gnn_branching.config import ModelConfig
from gnn_branching.contracts import InputError
from gnn_branching.dataset.data import collate
from gnn_branching.dataset.synthetic import random_source
from gnn_branching.diagnostics.measures import imitation
from gnn_branching.diagnostics.measures.imitation import (
    PROBED_LOSSES,
    imitation_probe,
    twice_differentiable,
    within_memory,
)
from gnn_branching.model.network import BipartiteGCNN
from gnn_branching.training.losses import get_loss

SAMPLES = [random_source(9, seed=4)[i] for i in range(9)]


@pytest.fixture
def network() -> BipartiteGCNN:
    torch.manual_seed(0)
    module = BipartiteGCNN(ModelConfig(hidden_size=8))
    module.fit_prenorm([collate(SAMPLES)])
    return module.eval()


@pytest.mark.parametrize("loss", PROBED_LOSSES)
def test_probe_has_the_training_loss(network: BipartiteGCNN, loss: str) -> None:
    batch = collate(SAMPLES)
    with torch.no_grad():
        trained = float(get_loss(loss)(network.score(batch), batch).mean())
    probe = imitation_probe(network, SAMPLES, loss)
    np.testing.assert_allclose(float(probe.loss(probe.outputs(probe.parameters()))), trained, rtol=1e-5)


def test_ranking_losses_are_probed_as_tie_aware(network: BipartiteGCNN) -> None:
    assert torch.equal(
        imitation_probe(network, SAMPLES, "pairwise").targets, imitation_probe(network, SAMPLES, "tie-aware").targets
    )


def test_twin_draws_no_random_numbers_and_other_networks_stay(network: BipartiteGCNN) -> None:
    state = torch.get_rng_state()
    twin = twice_differentiable(network)
    assert torch.equal(state, torch.get_rng_state())
    assert twin is not network
    assert twice_differentiable(twin) is twin


def test_probe_is_cut_to_memory(network: BipartiteGCNN, monkeypatch: pytest.MonkeyPatch) -> None:
    n_parameters = sum(parameter.numel() for parameter in network.parameters())
    two = sum(sample.state.n_candidates for sample in SAMPLES[:2])
    monkeypatch.setattr(imitation, "JACOBIAN_LIMIT_BYTES", 8 * n_parameters * two)
    assert within_memory(SAMPLES, network) == SAMPLES[:2]
    monkeypatch.setattr(imitation, "JACOBIAN_LIMIT_BYTES", 1)
    assert len(within_memory(SAMPLES, network)) == 1


def test_no_samples_are_refused(network: BipartiteGCNN) -> None:
    with pytest.raises(InputError, match="a probe of 0 samples"):
        imitation_probe(network, [], "tie-aware")
