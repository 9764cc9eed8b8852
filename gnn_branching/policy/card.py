"""The folder of a policy: ``card.json`` says what it is and where from; beside it lies ``model.safetensors``.

LambdaMART lies in ``model.txt`` instead, in LightGBM's own format.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from safetensors import SafetensorError
from safetensors.numpy import load as parse_tensors

from gnn_branching.config import DEFAULT_PRESET, SCIP_RULES, STRICT, ModelConfig
from gnn_branching.contracts import CandidateSet, FeatureRanges, InputError
from gnn_branching.policy.kind import get_kind, kind_names

CARD_FILE, WEIGHTS_FILE, TEXT_FILE, RECIPE_FILE = "card.json", "model.safetensors", "model.txt", "recipe.set"
NORMALISATION = "prenorm: shift and scale fitted once on training data, then frozen; stored with the weights"

Outcome = Literal["faster", "no-difference", "slower"]
Tensors = Mapping[str, NDArray[np.floating]]


AS_GOOD_AS_THE_EXPERT = 1.1
"""A policy whose trees are at most so many times its expert's has nothing to learn from it that shows in solves."""


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Verdict:
    """How a policy did against one of SCIP's rules on instances held back, paired.

    Args:
        verdict: ``faster`` or ``slower`` if the 95 % interval of the time ratio is clear of 1.
        preset: How the policy was used: the fastest of those that were tried.
        baseline: SCIP's rule.
        settings: SCIP's settings, the same for both.
        time_ratio: Shifted geometric mean of the time over the rule's; None if there is none.
        time_ratio_low: Lower end of its interval; None if there are too few pairs.
        time_ratio_high: Upper end.
        nodes_ratio: Likewise of the tree nodes, where both solved.
        n_pairs: Instances times seeds.
        n_instances: Distinct instances.
        time_limit_seconds: What an unsolved instance counts for.
        expert_nodes_ratio: Tree nodes of the policy, used as ``guarded``, over those of strong branching as a choice.
        n_expert: Instances that this is known of.
    """

    verdict: Outcome
    preset: str
    baseline: str
    settings: str
    time_ratio: float | None
    time_ratio_low: float | None
    time_ratio_high: float | None
    nodes_ratio: float | None
    n_pairs: int
    n_instances: int
    time_limit_seconds: float
    expert_nodes_ratio: float | None = None
    n_expert: int = 0

    @property
    def about_expert(self) -> str:
        """What a better imitation of strong branching could save in solves, in one line; empty if that is not known."""
        if self.expert_nodes_ratio is None:
            return ""
        ratio = self.expert_nodes_ratio
        known = f"its trees are {ratio:.2f} times those of strong branching's own choice, on {self.n_expert} instances"
        if ratio <= AS_GOOD_AS_THE_EXPERT:
            return f"{known}: a better imitation saves no tree nodes; train no further, tune SCIP's settings"
        return f"{known}: a perfect imitation would save {1 - 1 / ratio:.0%} of the tree nodes"

    @property
    def time_with_interval(self) -> str:
        """The time ratio and its interval, as far as there are any."""
        if self.time_ratio is None:
            return "–"
        if self.time_ratio_low is None or self.time_ratio_high is None:
            return f"{self.time_ratio:.2f}"
        return f"{self.time_ratio:.2f} [{self.time_ratio_low:.2f}, {self.time_ratio_high:.2f}]"

    def __str__(self) -> str:
        """Say it in one line."""
        if self.time_ratio is None:
            return f"no pair of solves to compare with {self.baseline}"
        return (
            f"{self.verdict}: {self.time_with_interval} of the time of {self.baseline} under {self.settings} "
            f"settings, used as {self.preset}, on {self.n_instances} instances held back ({self.n_pairs} pairs)"
        )


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Recipe:
    """SCIP's settings that a policy was proven with; the parameters themselves are in ``recipe.set`` beside the card.

    Args:
        rule: Who branches under them: a preset of the policy, or a rule of SCIP.
        sha256: Hash of the parameter file, hexadecimal.
        options: What differs from SCIP's settings, in words.
        against_untouched: Time against SCIP as it comes, on instances that the search never saw.
        against_start: Time against the policy under the settings that the search started from, on the same instances.
        n_solves: Solves of the search.
        search_seconds: Its wall time.
        versions: Versions and machine.
    """

    rule: str
    sha256: str
    options: Mapping[str, str]
    against_untouched: Verdict
    against_start: Verdict
    n_solves: int
    search_seconds: float
    versions: Mapping[str, object] = field(default_factory=dict)

    @property
    def scip_rule(self) -> str:
        """The rule of SCIP that branches; empty if the policy does."""
        return self.rule if self.rule in SCIP_RULES else ""


@dataclass(config=STRICT, frozen=True, kw_only=True)
class PolicyCard:
    """What a policy is.

    Args:
        kind: How its weights are read: the name of a policy kind.
        feature_schema: The feature layout it reads.
        candidates: The candidate set it was trained on, and must branch on.
        family: Family it was trained on, or the training folder's name.
        sizes: Sizes of the family.
        seed: Root seed of the experiment.
        architecture: Shape of the network; defaults for a baseline.
        normalisation: How inputs are normalised.
        n_parameters: Trained numbers.
        weights_sha256: Hash of the weights file, hexadecimal.
        metrics: Figures on held-out samples, by name.
        experiment: The whole configuration it came from.
        headline: What limited its training, by what that left: ``limited_by``, ``advice``, and the ``record`` of such
            headlines in back-tests; empty if that could not be told.
        trained_on: Per dataset its training samples, ``n_samples``, and the ``recipe`` they are a function of; empty if
            unknown.
        versions: Versions and machine it was trained with.
        ranges: Between what values 99 hundredths of each feature lay in training, by side: ``row``, ``edge``,
            ``variable``; None if unknown, and then nothing guards its use.
        verdict: How it did against SCIP's default rule right after its training; None if nobody looked.
        recipe: The settings of SCIP that it was proven with; None if there are none.
    """

    kind: str
    feature_schema: str
    candidates: CandidateSet
    family: str
    sizes: tuple[str, ...]
    seed: int
    architecture: ModelConfig
    normalisation: str
    n_parameters: int
    weights_sha256: str
    metrics: Mapping[str, float]
    experiment: Mapping[str, object]
    trained_on: tuple[Mapping[str, Any], ...] = ()
    versions: Mapping[str, object] = field(default_factory=dict)
    headline: Mapping[str, str] = field(default_factory=dict)
    ranges: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] | None = None
    verdict: Verdict | None = None
    recipe: Recipe | None = None

    def to_json(self) -> str:
        """Return an indented JSON object."""
        return json.dumps(TypeAdapter(PolicyCard).dump_python(self, mode="json"), indent=2) + "\n"

    @property
    def fingerprint(self) -> str:
        """What tells rows of this policy from those of another one of its name: 16 hexadecimal digits."""
        return self.weights_sha256[:16]

    @property
    def settings(self) -> tuple[str, ...]:
        """The SCIP settings its training samples were collected under; empty if unknown."""
        collections = (trained.get("recipe", {}).get("collection", {}) for trained in self.trained_on)
        return tuple(dict.fromkeys(str(found["settings"]) for found in collections if "settings" in found))

    @property
    def preset(self) -> str:
        """How to use it unless something else is asked for: as in its recipe or its verdict, if there is one."""
        if self.recipe is not None and not self.recipe.scip_rule:
            return self.recipe.rule
        return DEFAULT_PRESET if self.verdict is None else self.verdict.preset

    @property
    def feature_ranges(self) -> FeatureRanges | None:
        """The ranges as arrays."""
        if self.ranges is None:
            return None
        return FeatureRanges(**{side: np.array(bounds, dtype=np.float64) for side, bounds in self.ranges.items()})

    @property
    def weights_file(self) -> str:
        """Name of the file with the weights."""
        return get_kind(self.kind).weights_file


def read_card(folder: Path) -> PolicyCard:
    """Read and check the card of a policy folder.

    Raises:
        InputError: If it is missing, is no card, or names a feature layout that this version does not compute.
    """
    path = folder / CARD_FILE
    try:
        card = TypeAdapter(PolicyCard).validate_json(path.read_bytes())
    except OSError:
        raise InputError(f"{folder} is no policy: {CARD_FILE} is missing or cannot be read") from None
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"]) or "the file"
        message = " ".join(problem["msg"].split())
        raise InputError(
            f"{path} is damaged or of another version: {where}: {message}; train the policy again"
        ) from None
    if card.kind not in kind_names():
        known = ", ".join(kind_names())
        raise InputError(f"{path}: kind {card.kind!r} is unknown; allowed: {known}; register it, or train again")
    schema = get_kind(card.kind).reads(card.architecture)
    if card.feature_schema != schema:
        found = card.feature_schema
        raise InputError(f"{path}: feature schema {found!r} is unknown; allowed: {schema!r}; train the policy again")
    return card


def read_file(folder: Path, card: PolicyCard) -> bytes:
    """Read the file of weights that a card describes.

    Raises:
        InputError: If the file is missing, or is not the one the card was written for.
    """
    path = folder / card.weights_file
    try:
        content = path.read_bytes()
    except OSError:
        raise InputError(f"{folder} is no whole policy: {path.name} is missing or cannot be read") from None
    if sha256(content).hexdigest() != card.weights_sha256:
        raise InputError(f"{path} is damaged: its SHA-256 is not the one in {CARD_FILE}; copy the folder again")
    return content


def read_weights(folder: Path, card: PolicyCard) -> Tensors:
    """Read the arrays that a card describes.

    Raises:
        InputError: If the file is missing, or is not the one the card was written for.
    """
    content = read_file(folder, card)
    try:
        tensors: Tensors = parse_tensors(content)
    except SafetensorError as error:
        raise InputError(f"{folder / card.weights_file} is no safetensors file ({error}); train it again") from None
    return tensors
