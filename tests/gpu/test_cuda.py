"""On a CUDA device everything comes out as on the CPU: logits, gradients, a training, diagnostics."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gnn_branching.config import Graph, ModelConfig, TrainingConfig
from gnn_branching.dataset.data import collate
from gnn_branching.dataset.source import seen_as
from gnn_branching.diagnostics.measures.curvature import hessian_top
from gnn_branching.diagnostics.measures.imitation import imitation_probe
from gnn_branching.diagnostics.measures.tangent_kernel import tangent_kernel
from gnn_branching.model.network import BipartiteGCNN
from gnn_branching.policy.torch_runtime import TorchNetwork
from gnn_branching.shards import open_dataset
from gnn_branching.subproblem import View
from gnn_branching.training.loop import train
from gnn_branching.training.losses import get_loss
from gnn_branching.training.validation import forward

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]

AUCTIONS = Path(__file__).parents[1] / "data" / "auction"
TRAINING = TrainingConfig(loss="tie-aware", n_epochs=2, n_batches_per_epoch=0, batch_size=16, device="cpu", n_threads=2)


def fitted(config: ModelConfig) -> BipartiteGCNN:
    torch.manual_seed(0)
    network = BipartiteGCNN(config)
    source = open_dataset(AUCTIONS, "train")
    network.fit_prenorm([collate([source[i] for i in range(8)])])
    return network.eval()


@pytest.mark.parametrize("graph", ["lp", "subproblem"])
@pytest.mark.parametrize("config", [ModelConfig(), ModelConfig(n_rounds=2, aggregation="mean", hidden_size=32)])
def test_logits(config: ModelConfig, graph: Graph) -> None:
    network, source = fitted(config), seen_as(open_dataset(AUCTIONS, "test"), View(graph))
    here = TorchNetwork(fitted(config))
    there = TorchNetwork(network, "cuda")
    for index in range(4):
        state = source[index].state
        np.testing.assert_allclose(there.logits(state), here.logits(state), rtol=1e-4, atol=1e-4)


def test_gradients() -> None:
    source, loss = open_dataset(AUCTIONS, "train"), get_loss("tie-aware")
    gradients = []
    for device in ("cpu", "cuda"):
        network, batch = fitted(ModelConfig()).to(device), collate([source[i] for i in range(16)]).to(device)
        loss(forward(network, batch), batch).mean().backward()
        gradients.append(torch.cat([p.grad.flatten().cpu() for p in network.parameters() if p.grad is not None]))
    difference = (gradients[0] - gradients[1]).norm() / gradients[0].norm()
    assert float(difference) < 1e-3


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_training(tmp_path: Path, precision: str) -> None:
    source, valid = open_dataset(AUCTIONS, "train"), open_dataset(AUCTIONS, "valid")
    losses = []
    for name, changes in (("cpu", {}), ("cuda", {"device": "cuda", "precision": precision})):
        config = replace(TRAINING, **changes)
        result = train(
            fitted(ModelConfig()), source, valid, config, seed=0, run_folder=tmp_path / name, display="none",
            prenorm_fitted=True,
        )  # fmt: skip
        losses.append(result.last.train_loss)
    assert losses[1] == pytest.approx(losses[0], rel=0.01 if precision == "32-true" else 0.05)


def test_diagnostics() -> None:
    source, network = open_dataset(AUCTIONS, "train"), fitted(ModelConfig(hidden_size=16))
    kernels, sharpness = [], []
    for device in ("cpu", "cuda"):
        probe = imitation_probe(network, [source[i] for i in range(4)], "tie-aware", device)
        parameters = probe.parameters().to(device)
        kernels.append(tangent_kernel(probe, parameters).cpu())
        sharpness.append(hessian_top(probe, parameters, tolerance=1e-6).value)
    torch.testing.assert_close(kernels[1], kernels[0], rtol=1e-8, atol=1e-8 * float(kernels[0].abs().max()))
    assert sharpness[1] == pytest.approx(sharpness[0], rel=1e-6)
