"""A policy that scores the graph of a tree node, on whatever runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gnn_branching.contracts import BranchingState, CandidateSet, FloatArray
from gnn_branching.feature_schema import made_up_state
from gnn_branching.policy.card import PolicyCard, read_card
from gnn_branching.policy.kind import LoadedPolicy, get_kind
from gnn_branching.subproblem import View


class GraphPolicy:
    """A trained network that scores candidates; pickled as the path of its folder.

    Args:
        folder: The policy's folder.
        name: Name for tables.
        device: Where it runs, as PyTorch names it.
        card: What it is.
        logits: Maps what the network sees of a tree node to one logit per candidate.
    """

    def __init__(
        self, folder: Path, name: str, device: str, card: PolicyCard, logits: Callable[[BranchingState], FloatArray]
    ) -> None:
        self.folder, self.name, self.device, self.card = folder.resolve(), name, device, card
        self.ranges = card.feature_ranges
        self._view = View.of(self.card.architecture)
        self._logits = logits

    @property
    def feature_schema(self) -> str:
        """The feature layout it reads."""
        return self.card.feature_schema

    @property
    def preset(self) -> str:
        """How the rule uses it unless something else is asked for."""
        return self.card.preset

    @property
    def candidate_set(self) -> CandidateSet:
        """The candidate set it was trained on."""
        return self.card.candidates

    def scores(self, state: BranchingState) -> FloatArray:
        """Return one logit per candidate, float64, (n_candidates,); NaN only where the input holds a NaN."""
        return self._logits(self._view(state))

    def warm_up(self) -> None:
        """Score a made-up state, so that nothing is loaded or compiled at the first decision."""
        self.scores(made_up_state(self.feature_schema))

    def __reduce__(self) -> tuple[Callable[[Path, str, str], LoadedPolicy], tuple[Path, str, str]]:
        return load_folder, (self.folder, self.name, self.device)


def load_folder(folder: Path, name: str, device: str) -> LoadedPolicy:
    """Load a policy by the kind that its card names."""
    return get_kind(read_card(folder).kind).load(folder, name, device)
