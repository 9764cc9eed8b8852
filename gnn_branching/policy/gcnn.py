"""The graph network as a policy kind: trained by PyTorch, and run without it on a CPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gnn_branching.config import ModelConfig
from gnn_branching.policy.card import read_card, read_weights
from gnn_branching.policy.kind import LoadedPolicy
from gnn_branching.policy.network_kind import NetworkKind

if TYPE_CHECKING:
    from gnn_branching.model.network import BipartiteGCNN


class GraphNetwork(NetworkKind):
    """The bipartite graph convolutional network (Gasse et al. 2019, section 4)."""

    __slots__ = ()

    def load(self, folder: Path, name: str, device: str) -> LoadedPolicy:
        """Load a policy: on a CPU into the compiled runtime, elsewhere into PyTorch."""
        if device != "cpu":
            return NetworkKind.load(self, folder, name, device)
        from gnn_branching.policy.graph import GraphPolicy  # to be known takes no kernels
        from gnn_branching.policy.runtime import CompiledNetwork

        card = read_card(folder)
        runtime = CompiledNetwork(card.architecture, read_weights(folder, card))
        return GraphPolicy(folder, name, device, card, runtime.logits)


def build(config: ModelConfig) -> BipartiteGCNN:
    """Return the network before training."""
    from gnn_branching.model.network import BipartiteGCNN  # solving on a CPU does without PyTorch

    return BipartiteGCNN(config)


KIND = GraphNetwork(name="gcnn", build=build)


def load_network(folder: Path) -> BipartiteGCNN:
    """Load a policy folder as a PyTorch network in evaluation mode, to train further, convert or examine.

    Raises:
        InputError: If the folder is not a whole policy of this kind.
    """
    network: BipartiteGCNN = KIND.load_network(folder)  # type: ignore[assignment]
    return network
