"""States, random and awkward, and a saved policy."""

from pathlib import Path

import numpy as np
import pytest
import torch

from gnn_branching.config import ExperimentConfig, ModelConfig, to_mapping
from gnn_branching.contracts import BranchingState
from gnn_branching.edges import Edges
from gnn_branching.feature_schema import ROW_FEATURES, VARIABLE_FEATURES
from gnn_branching.model.network import BipartiteGCNN
from gnn_branching.policy.save import save_policy
from gnn_branching.policy.torch_runtime import TorchNetwork


def make_state(
    n_rows: int = 40, n_variables: int = 60, n_edges: int = 300, n_candidates: int = 11, *, seed: int = 0
) -> BranchingState:
    random = np.random.default_rng(seed)
    places = np.sort(random.choice(n_rows * n_variables, n_edges, replace=False))
    return BranchingState(
        row_features=random.normal(1, 3, (n_rows, len(ROW_FEATURES))),
        variable_features=random.normal(-1, 2, (n_variables, len(VARIABLE_FEATURES))),
        edges=Edges.from_pairs(*np.divmod(places, n_variables), random.normal(0.5, 1, n_edges), n_rows),
        candidates=random.permutation(n_variables)[:n_candidates],
    )


def make_network(config: ModelConfig, *, seed: int = 0) -> BipartiteGCNN:
    """Return a network with random biases, its prenorm fitted on random states."""
    torch.manual_seed(seed)
    network = BipartiteGCNN(config)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(std=0.3)
    as_torch = TorchNetwork(network)

    class Batch:
        def __init__(self, state: BranchingState) -> None:
            names = ("row_features", "indptr", "indices", "edge_values", "variable_features", "candidates")
            for name, tensor in zip(names, as_torch.tensors(state), strict=True):
                setattr(self, name, tensor)

    network.fit_prenorm([Batch(make_state(seed=100 + i)) for i in range(2)])
    return network.eval()


def save(folder: Path, network: BipartiteGCNN, *settings: str) -> Path:
    """Save a network as if trained on a sample of each of the settings."""
    config = to_mapping(ExperimentConfig(model=network.config))
    trained_on = [{"n_samples": 1, "recipe": {"collection": {"settings": name}}} for name in settings]
    save_policy(folder, network, config=config, metrics={"test_acc_1": 0.5}, trained_on=trained_on)
    return folder


@pytest.fixture
def policy_folder(tmp_path: Path) -> Path:
    return save(tmp_path / "mine", make_network(ModelConfig(hidden_size=12)))
