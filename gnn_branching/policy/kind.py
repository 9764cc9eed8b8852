"""Policy kinds: what can be trained, saved and loaded, by the name that a configuration and a card give it."""

from __future__ import annotations

import difflib
import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gnn_branching.config import ExperimentConfig, ModelConfig
from gnn_branching.contracts import InputError, Policy
from gnn_branching.run_folder import RunFolder

if TYPE_CHECKING:
    from gnn_branching.dataset.source import SampleSource
    from gnn_branching.policy.card import PolicyCard

ENTRY_POINT_GROUP = "gnn_branching.policy_kinds"
"""Entry points of this group name :class:`PolicyKind` objects: ``my-kind = my_package:MY_KIND``."""

_BUILT_IN = {
    "gcnn": "gnn_branching.policy.gcnn",
    "extra-trees": "gnn_branching.policy.extra_trees",
    "svm-rank": "gnn_branching.policy.svm_rank",
    "lambda-mart": "gnn_branching.policy.lambda_mart",
}
"""Modules with a ``KIND``, imported when the kind is first asked for: solving with one must not load the others."""


class LoadedPolicy(Policy, Protocol):
    """A policy from a folder."""

    @property
    def card(self) -> PolicyCard:
        """What it is."""
        ...

    def warm_up(self) -> None:
        """Load and compile whatever the first decision needs."""
        ...

    def apply_recipe(self, model: Any) -> None:
        """Give a PySCIPOpt model the settings that the policy was proven with.

        Raises:
            InputError: If there are none, or this SCIP does not take them.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FitRequest:
    """What a kind is given to fit a policy.

    Args:
        config: The whole experiment.
        folder: Gets whatever the kind keeps on the way, such as checkpoints.
        train: Training samples.
        valid: Validation samples, from other instances.
        measure_rate: Whether to measure the learning rate instead of taking the configuration's.
        seconds: Wall time that the fit may take, so far as its kind can foresee it; None for as long as it takes.
    """

    config: ExperimentConfig
    folder: RunFolder
    train: SampleSource
    valid: SampleSource
    measure_rate: bool = False
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedPolicy:
    """What is left of a fit: all that :func:`gnn_branching.policy.save.write_policy` needs.

    Args:
        weights: Content of the kind's file of weights.
        architecture: The shape of the network; the kind alone for what is no network.
        normalisation: How inputs are normalised, in words.
        n_parameters: Fitted numbers.
        config: The experiment as it was run, a measured learning rate included.
        figures: Figures of the fit, by name.
        headline: What limits the training, as the card says it; empty if that could not be told.
        is_first_process: Whether this process, of those that took part in the fit, is the one that writes the policy.
    """

    weights: bytes
    architecture: ModelConfig
    normalisation: str
    n_parameters: int
    config: ExperimentConfig
    figures: dict[str, float]
    headline: Mapping[str, str] = field(default_factory=dict)
    is_first_process: bool = True


class PolicyKind(Protocol):
    """A way to learn branching; one file each, all of them known by :func:`get_kind`."""

    @property
    def name(self) -> str:
        """As ``model.kind`` and the card say it."""
        ...

    def reads(self, model: ModelConfig) -> str:
        """Return the feature layout that a policy of this kind and shape reads."""
        ...

    @property
    def weights_file(self) -> str:
        """Name of the file with the weights in a policy folder."""
        ...

    def require_libraries(self) -> None:
        """Refuse, before anything else is done, if a library that the fit needs is missing.

        Raises:
            InputError: If one is; the message says what to install.
        """
        ...

    def fit(self, request: FitRequest) -> FittedPolicy:
        """Fit a policy, or go on with an interrupted fit.

        Raises:
            InputError: If there are too few samples, or they lack features.
        """
        ...

    def load(self, folder: Path, name: str, device: str) -> LoadedPolicy:
        """Load a policy of this kind from its folder.

        Raises:
            InputError: If the folder is not a whole policy of this kind.
        """
        ...


_registered: dict[str, PolicyKind] = {}


def register_kind(kind: PolicyKind) -> PolicyKind:
    """Make a kind known by its name; of the same object a second time, nothing.

    Raises:
        InputError: If the name is taken.
    """
    known = _BUILT_IN.get(kind.name)
    if (known and type(kind).__module__ != known) or _registered.setdefault(kind.name, kind) is not kind:
        raise InputError(f"policy kind {kind.name!r} exists already; choose another name")
    return kind


def kind_names() -> Sequence[str]:
    """Return the names of all kinds, those of this package first."""
    _load_entry_points()
    return [*_BUILT_IN, *sorted(_registered.keys() - _BUILT_IN.keys())]


def get_kind(name: str) -> PolicyKind:
    """Return a kind by name.

    Raises:
        InputError: If there is none; the message suggests the nearest name.
    """
    if name in _BUILT_IN and name not in _registered:
        built_in: PolicyKind = import_module(_BUILT_IN[name]).KIND
        _registered[name] = built_in
    if name in _registered:
        return _registered[name]
    known = kind_names()
    if name in known:
        return _registered[name]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise InputError(f"policy kind {name!r} is unknown; {hint}allowed: {', '.join(known)}")


@cache
def _load_entry_points() -> None:
    for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        register_kind(point.load())


def load_folder(folder: Path, name: str, device: str) -> LoadedPolicy:
    """Load a policy by the kind that its card names."""
    from gnn_branching.policy.card import read_card  # cards know kinds

    return get_kind(read_card(folder).kind).load(folder, name, device)
