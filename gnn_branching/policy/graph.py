"""The graph network as a :class:`~gnn_branching.contracts.Policy`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gnn_branching.contracts import BranchingState, CandidateSet, FloatArray, InputError
from gnn_branching.policy.card import PolicyCard, read_card, read_weights
from gnn_branching.policy.runtime import CompiledNetwork
from gnn_branching.subproblem import GraphView

if TYPE_CHECKING:
    from gnn_branching.model.network import BipartiteGCNN


class GraphPolicy:
    """A trained graph network that scores candidates; pickled as the path of its folder.

    Args:
        folder: The policy's folder.
        name: Name for tables.
        device: ``cpu`` for the compiled runtime, or a PyTorch device such as ``cuda``.

    Raises:
        InputError: If the folder is not a whole policy, or PyTorch does not have the device.
    """

    def __init__(self, folder: Path, name: str, device: str = "cpu") -> None:
        self.folder, self.name, self.device = folder.resolve(), name, device
        self.card: PolicyCard = read_card(folder)
        self._view = GraphView(self.card.architecture.graph)
        self._logits = self._on_cpu() if device == "cpu" else self._on_device()

    @property
    def feature_schema(self) -> str:
        """The feature layout it reads."""
        return self.card.feature_schema

    @property
    def candidate_set(self) -> CandidateSet:
        """The candidate set it was trained on."""
        return self.card.candidates

    def scores(self, state: BranchingState) -> FloatArray:
        """Return one logit per candidate, float64, (n_candidates,); NaN only where the input holds a NaN."""
        return self._logits(self._view(state))

    def warm_up(self) -> None:
        """Score a tiny state, so that nothing is loaded or compiled at the first decision."""
        self.scores(
            BranchingState(
                row_features=np.zeros((1, 5)),
                variable_features=np.zeros((2, 19)),
                edge_indices=np.array([[0, 0], [0, 1]]),
                edge_values=np.ones(2),
                candidates=np.array([1]),
            )
        )

    def __reduce__(self) -> tuple[type[GraphPolicy], tuple[Path, str, str]]:
        return type(self), (self.folder, self.name, self.device)

    def _on_cpu(self) -> Callable[[BranchingState], FloatArray]:
        return CompiledNetwork(self.card.architecture, read_weights(self.folder, self.card)).logits

    def _on_device(self) -> Callable[[BranchingState], FloatArray]:
        from gnn_branching.policy.torch_runtime import TorchNetwork  # the CPU runtime does without PyTorch

        return TorchNetwork(load_network(self.folder), self.device).logits


def load_network(folder: Path) -> BipartiteGCNN:
    """Load a policy folder as a PyTorch network in evaluation mode, to train further, convert or examine.

    Raises:
        InputError: If the folder is not a whole policy.
    """
    import torch

    from gnn_branching.model.network import BipartiteGCNN

    card = read_card(folder)
    network = BipartiteGCNN(card.architecture)
    weights = read_weights(folder, card)
    try:
        network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in weights.items()})
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{folder}: weights do not fit the card's architecture: {reason}") from None
    return network.eval()
