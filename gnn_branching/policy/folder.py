"""A policy as its folder has it: its card, how it is to be used, and the settings of SCIP it was proven with."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnn_branching.contracts import CandidateSet, InputError
from gnn_branching.policy.card import RECIPE_FILE, PolicyCard, read_card

if TYPE_CHECKING:
    from gnn_branching.solver.settings import ParameterValue


class FolderPolicy:
    """What policies of all kinds share; a kind adds ``scores`` and ``warm_up``.

    Args:
        folder: The policy's folder.
        name: Name for tables.
        card: What it is.
    """

    def __init__(self, folder: Path, name: str, card: PolicyCard) -> None:
        self.folder, self.name, self.card = folder.resolve(), name, card
        self.ranges = card.feature_ranges

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

    def apply_recipe(self, model: Any) -> None:
        """Give a PySCIPOpt model the settings that the policy was proven with; attach the rule before or afterwards.

        Raises:
            InputError: If the policy has no recipe, its file is damaged, or this SCIP does not know a parameter.
        """
        from gnn_branching.solver.settings import read_parameters

        read_parameters(model, recipe_file(self.folder))

    def recipe_parameters(self) -> Mapping[str, ParameterValue]:
        """Return what its recipe changes in SCIP's parameters; nothing if it has no recipe.

        Raises:
            InputError: If the recipe's file is damaged.
        """
        from gnn_branching.solver.settings import file_parameters

        return file_parameters(recipe_file(self.folder)) if self.card.recipe is not None else {}


def recipe_file(folder: Path) -> Path:
    """Return the parameter file of a policy's recipe, checked against its card.

    Raises:
        InputError: If the policy has no recipe, or the file is missing, another one, or sets limits or tolerances.
    """
    recipe = read_card(folder).recipe
    if recipe is None:
        raise InputError(f"policy {folder} has no recipe; make one with gnn-branching tune")
    path = folder / RECIPE_FILE
    if not path.is_file() or sha256(path.read_bytes()).hexdigest() != recipe.sha256:
        raise InputError(f"{path} is missing or is not the one in the card; run gnn-branching tune again")
    from gnn_branching.solver.settings import inexact_parameters

    inexact = inexact_parameters(path.read_text())
    if inexact:
        raise InputError(f"{path} sets {inexact[0]}, which may change what a solve returns; leave that out of a recipe")
    return path
