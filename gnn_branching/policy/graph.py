"""A policy that scores the graph of a tree node, on whatever runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gnn_branching.contracts import BranchingState, FloatArray
from gnn_branching.equal_costs import EqualCosts, scaled
from gnn_branching.feature_schema import made_up_state
from gnn_branching.policy.card import PolicyCard
from gnn_branching.policy.folder import FolderPolicy
from gnn_branching.policy.kind import LoadedPolicy, load_folder
from gnn_branching.subproblem import View


class GraphPolicy(FolderPolicy):
    """A trained network that scores candidates; pickled as the path of its folder.

    Args:
        folder: The policy's folder.
        name: Name for tables.
        device: Where it runs, as PyTorch names it.
        card: What it is.
        logits: Maps what the network sees of a tree node to one logit per candidate.
    """

    gives_logits = True
    """Its scores are logarithms of probabilities, but for a constant: logarithms of other scores may be added."""

    def __init__(
        self, folder: Path, name: str, device: str, card: PolicyCard, logits: Callable[[BranchingState], FloatArray]
    ) -> None:
        super().__init__(folder, name, card)
        self.device = device
        self._view = View.of(card.architecture)
        self._equal_costs = EqualCosts(self.ranges)
        self._logits = logits

    def scores(self, state: BranchingState) -> FloatArray:
        """Return one logit per candidate, float64, (n_candidates,); NaN only where the input holds a NaN."""
        return self._logits(scaled(self._view(state), self._equal_costs.scale(state)))

    def warm_up(self) -> None:
        """Score a made-up state, so that nothing is loaded or compiled at the first decision."""
        self.scores(made_up_state(self.feature_schema))

    def __reduce__(self) -> tuple[Callable[[Path, str, str], LoadedPolicy], tuple[Path, str, str]]:
        return load_folder, (self.folder, self.name, self.device)
