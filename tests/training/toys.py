"""A batch written by hand, and networks for trainings."""

import numpy as np
import torch
from torch import Tensor, nn

from gnn_branching.config import Graph, ModelConfig
from gnn_branching.contracts import Sample
from gnn_branching.dataset.data import BranchingData, collate
from gnn_branching.dataset.synthetic import random_sample
from gnn_branching.feature_schema import VARIABLE_FEATURES
from gnn_branching.model.network import BipartiteGCNN


def labelled(*scores: list[float]) -> BranchingData:
    """Return a batch of random samples with these scores."""
    samples = []
    for i, values in enumerate(scores):
        sample = random_sample(i, n_candidates=len(values))
        samples.append(Sample(state=sample.state, scores=np.array(values), origin=sample.origin))
    return collate(samples)


def gcnn(seed: int = 0, *, hidden_size: int = 8, dropout: float = 0.0, graph: Graph = "lp") -> BipartiteGCNN:
    """Return a freshly initialised network."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return BipartiteGCNN(ModelConfig(hidden_size=hidden_size, dropout=dropout, graph=graph))


class FractionNetwork(nn.Module):
    """A logit that is a weight times one feature of the candidate: small enough to reason about."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(
        self, rows: Tensor, indptr: Tensor, indices: Tensor, values: Tensor, variables: Tensor, candidates: Tensor
    ) -> Tensor:
        return self.weight * variables[candidates, VARIABLE_FEATURES.index("solution_frac")]


def weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def same_weights(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
