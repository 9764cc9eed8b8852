"""The compiled runtime and the published network agree on live tree nodes, cuts and restarts included."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from gnn_branching.config import CollectionConfig, ModelConfig
from gnn_branching.contracts import BranchingState, FloatArray
from gnn_branching.dataset.data import collate
from gnn_branching.model.network import BipartiteGCNN
from gnn_branching.policy.runtime import CompiledNetwork
from gnn_branching.policy.torch_runtime import TorchNetwork
from gnn_branching.solver.rule import FunctionPolicy
from gnn_branching.solver.sampling import run_episode
from gnn_branching.solver.settings import SolveLimits
from gnn_branching.solver.solve import prepare_solve
from tests.conftest import SMALL_FAMILIES

TOLERANCE = 1e-4
N_SEEDS = 20


def fitted_network(instances: list[Path]) -> BipartiteGCNN:
    """Return a network with random orthogonal weights, and prenorm fitted on samples of the first instances."""
    config = CollectionConfig(expert_probability=1.0, strong_branching_iteration_limit=10, n_samples_per_episode=5)
    batches = []
    for path in instances[:3]:
        episode = run_episode(str(path), episode=0, scip_seed=0, config=config, instance_sha256="0" * 64)
        batches += [collate([sample]) for sample in episode.samples]
    torch.manual_seed(0)
    network = BipartiteGCNN(ModelConfig())
    network.fit_prenorm(batches)
    return network.eval()


def largest_differences(instances: list[Path], n_nodes: int) -> list[float]:
    """Branch with the compiled network until it has met so many tree nodes; return its errors there."""
    network = fitted_network(instances)
    plain = BipartiteGCNN(network.config, "reference")
    plain.load_state_dict(network.state_dict())
    reference = TorchNetwork(plain.double())
    compiled = CompiledNetwork(network.config, {name: value.numpy() for name, value in network.state_dict().items()})
    errors: list[float] = []

    def scores(state: BranchingState) -> FloatArray:
        logits = compiled.logits(state)
        errors.append(float(np.abs(logits - reference.logits(state)).max()))
        return logits

    policy = FunctionPolicy(function=scores)
    for seed, settings, path in product(range(N_SEEDS), ("paper", "default"), instances):
        if len(errors) >= n_nodes:
            break
        limits = SolveLimits(node_limit=30)
        prepare_solve(path, rule=policy, settings=settings, seed=seed, limits=limits).run()
    return errors


@pytest.mark.parametrize("family", SMALL_FAMILIES)
@pytest.mark.parametrize("n_nodes", [20, pytest.param(250, marks=pytest.mark.slow)])
def test_logits_agree_with_the_reference(small_instances: Mapping[str, list[Path]], family: str, n_nodes: int) -> None:
    errors = largest_differences(small_instances[family], n_nodes)
    assert len(errors) >= n_nodes
    assert max(errors) <= TOLERANCE
