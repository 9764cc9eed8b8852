"""A network of one's own as a policy kind: each candidate is scored by its own features alone, no graph.

Once this module is imported, ``--set model.kind=candidate-mlp`` trains it; an entry point of the group
``gnn_branching.policy_kinds`` makes the command line import it by itself.
"""

from __future__ import annotations

from torch import Tensor, nn

from gnn_branching.config import ModelConfig
from gnn_branching.feature_schema import VARIABLE_FEATURES
from gnn_branching.policy.kind import register_kind
from gnn_branching.policy.network_kind import NetworkKind


class CandidateMLP(nn.Module):
    """Two layers on the candidates' features."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        n_features, width = len(VARIABLE_FEATURES), config.hidden_size
        self.layers = nn.Sequential(nn.Linear(n_features, width), nn.ReLU(), nn.Linear(width, 1, bias=False))

    def forward(
        self, rows: Tensor, indptr: Tensor, indices: Tensor, values: Tensor, variables: Tensor, candidates: Tensor
    ) -> Tensor:
        """Return one logit per candidate."""
        logits: Tensor = self.layers(variables[candidates])[:, 0]
        return logits


KIND = register_kind(NetworkKind(name="candidate-mlp", build=CandidateMLP))
