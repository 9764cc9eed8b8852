"""Experiment configuration: one TOML file, one section per frozen dataclass; unknown keys are errors."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_args, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from gnn_branching.contracts import CandidateSet, InputError
from gnn_branching.feature_schema import SEARCH_SCHEMA, SEARCHED, get_schema

STRICT = ConfigDict(extra="forbid")
Count = Annotated[int, Field(ge=0)]
PositiveCount = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Aggregation = Literal["sum", "sqrt", "mean"]
Graph = Literal["lp", "subproblem"]
Search = Literal["none", "head"]
NamedSettings = Literal["paper", "default"]
DEGREE_POWER: Mapping[Aggregation, float] = MappingProxyType({"sum": 0.0, "sqrt": 0.5, "mean": 1.0})
"""The sum of messages is divided by this power of their number."""
CORE_SEARCH_FEATURES = (
    "fractionality",
    "pseudocost_down",
    "pseudocost_up",
    "pseudocost_score",
    "pseudocost_score_to_best",
    "n_down",
    "n_up",
    "gain_down_to_gap",
    "gain_up_to_gap",
)
"""What of the search a network sees unless told otherwise; all of it does no better (docs/results/own-models.md)."""
SEARCH_WIDTH = 16
"""Units that these features are embedded in; with 64, a network learned its samples by heart."""
DEFAULT_PRESET = "guarded"
"""How a policy is used unless something else is asked for: a name in ``solver.settings.PRESETS``."""
SCIP_RULES = (
    "relpscost",
    "pscost",
    "fullstrong",
    "vanillafullstrong",
    "allfullstrong",
    "inference",
    "mostinf",
    "leastinf",
    "distribution",
    "lookahead",
    "cloud",
    "random",
)
"""SCIP's own branching rules by name."""
BASELINE_RULE = "relpscost"
"""SCIP's default: what all others are compared with unless told otherwise."""
EXPERT = "expert"
"""Name under which strong branching as a choice competes, see ``solver.expert``."""
RETIRED: Mapping[tuple[str, str], object] = MappingProxyType(
    {("collection", "expert"): "strong-branching", ("training", "augmentation"): "none"}
)
"""Keys of earlier versions, with the one value that means what is done now: files written then stay readable."""

ADDED: Mapping[tuple[str, str], object] = MappingProxyType(
    {("collection", "search_features"): False, ("collection", "schema"): SEARCH_SCHEMA}
)
"""Keys that earlier versions did not have, with the value that means what those did."""


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class InstancesConfig:
    """Which problems to learn from.

    Args:
        family: A registered family; ignored when ``folder`` is given.
        sizes: Sizes of the family to mix, in equal parts.
        folder: Folder of ``.lp``/``.mps``/``.gz`` files, split by the proportions of the three counts below.
        n_train: Training instances to generate.
        n_valid: Validation instances to generate.
        n_test: Test instances to generate.
    """

    family: str = "set-cover"
    sizes: tuple[str, ...] = ("easy",)
    folder: Path | None = None
    n_train: PositiveCount = 1000
    n_valid: PositiveCount = 200
    n_test: PositiveCount = 200


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class CollectionConfig:
    """How samples are taken (Gasse et al. 2019, section 5.1).

    Args:
        n_train_samples: Samples from training instances.
        n_valid_samples: Samples from validation instances.
        n_test_samples: Samples from test instances.
        candidates: The candidate set the expert scores, and the rule will branch on.
        expert_probability: Probability of asking, and following, the expert at a tree node.
        exploration: Who branches otherwise: ``pscost``, or a policy's name or folder (DAgger).
        settings: SCIP's settings: ``paper``, ``default``, or a SCIP parameter file such as a policy's ``recipe.set``.
        search_features: Whether to store what the search has learned of each candidate, such as pseudocosts.
        schema: Name of the schema of what is stored: the package's, or one of your own that is registered.
        khalil_features: Whether to store the features of the published baselines too (slow); on whenever
            ``model.kind`` is a baseline.
        strong_branching_iteration_limit: LP iterations per child; 0 means no limit.
        n_samples_per_episode: At most this many samples from one solve; 0 means no limit.
        node_limit: Tree nodes per episode; 0 means no limit.
        time_limit_seconds: Wall time per episode; a limit in time makes the dataset depend on the machine.
    """

    n_train_samples: PositiveCount = 10_000
    n_valid_samples: PositiveCount = 2_000
    n_test_samples: PositiveCount = 2_000
    candidates: CandidateSet = CandidateSet.LP
    expert_probability: Annotated[float, Field(gt=0, le=1)] = 0.05
    exploration: str = "pscost"
    settings: NamedSettings | str = "paper"
    search_features: bool = True
    schema: str = SEARCH_SCHEMA
    khalil_features: bool = False
    strong_branching_iteration_limit: Count = 0
    n_samples_per_episode: Count = 0
    node_limit: Count = 0
    time_limit_seconds: PositiveFloat = 3600.0

    def __post_init__(self) -> None:
        """Refuse settings that are neither known by name nor a parameter file."""
        if self.settings not in get_args(NamedSettings) and not self.settings.endswith(".set"):
            names = ", ".join(get_args(NamedSettings))
            raise ValueError(f"settings {self.settings!r} are neither {names}, nor a parameter file (.set)")


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """What is trained, and the shape of the graph network.

    Args:
        kind: A registered policy kind: ``gcnn``, one of your own, or a published baseline: ``extra-trees``,
            ``svm-rank``, ``lambda-mart``, which reads nothing else of this section, and of ``[training]`` the threads
            alone.
        hidden_size: Width of every layer.
        n_rounds: Rounds of variable-to-constraint and constraint-to-variable half-convolutions.
        aggregation: How messages are combined at a vertex of degree d: their ``sum``, their ``mean``, or ``sqrt``, the
            sum over √d. What is summed grows with the size of the problem, what is averaged forgets it.
        graph: What the network sees of a tree node: its whole ``lp``, or its ``subproblem``, which is the LP without
            the variables that are fixed there.
        search: Where the network sees what the search has learned, such as pseudocosts: ``none``, or at its ``head``,
            beside each candidate's embedding.
        search_features: Which of these features it sees, by name.
        schema: Name of the schema of the samples that it is trained on: the package's, or one of your own.
        dropout: Probability of DROPPING a unit in the head.
    """

    kind: str = "gcnn"
    hidden_size: PositiveCount = 64
    n_rounds: PositiveCount = 1
    aggregation: Aggregation = "sum"
    graph: Graph = "lp"
    search: Search = "none"
    search_features: tuple[str, ...] = CORE_SEARCH_FEATURES
    schema: str = SEARCH_SCHEMA
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    def __post_init__(self) -> None:
        """Refuse features that there are not."""
        known = get_schema(self.schema).names(*SEARCHED)
        unknown = sorted(set(self.search_features) - set(known))
        if unknown and (self.search != "none" or self.search_features != CORE_SEARCH_FEATURES):
            raise ValueError(f"unknown {unknown[0]!r}; there are {', '.join(known)}")
        if self.search != "none" and self.hidden_size < SEARCH_WIDTH:
            raise ValueError(f"model.search needs a hidden_size of at least {SEARCH_WIDTH}")


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """How the network is fitted (Gasse et al. 2019, section 5.1, are the defaults where it says).

    Args:
        loss: ``cross-entropy`` to the expert's choice; ``tie-aware`` shares it among tied best candidates;
            ``listwise`` and ``pairwise`` rank by score; ``regression`` fits normalised scores.
        optimizer: ``adam`` or ``adamw``.
        learning_rate: Initial (plateau) or highest (one-cycle) learning rate.
        weight_decay: For ``adamw``.
        schedule: ``plateau``: times 0.2 after ``patience`` epochs without improvement; ``one-cycle``: up and down once.
        patience: Epochs without improvement before the learning rate drops.
        stop_patience: Epochs without improvement before training stops; one-cycle always runs to its end.
        stop: ``patience`` alone, or also ``pl-star``: as soon as the PL* inequality asks for no more progress on 32
            training samples, or its ratio has collapsed while validation is flat.
        stop_epsilon: Excess loss, in nats above the targets' entropy, that is good enough for ``pl-star``.
        n_epochs: At most this many epochs.
        n_batches_per_epoch: Batches that make an epoch; 0 means one pass over the data.
        batch_size: Samples per optimizer step.
        valid_batch_size: Samples per validation batch.
        gradient_clip_norm: Largest gradient norm; 0 means no clipping.
        precision: ``32-true``, or ``bf16-mixed`` on a GPU.
        device: ``auto``, ``cpu`` or ``cuda``.
        n_devices: Processes of distributed training.
        n_threads: CPU threads; 0 means the cores there are.
        n_machines: Machines of distributed training; above 1, start it with ``torchrun`` or SLURM on each.
        n_loader_workers: Processes that read batches ahead, per training process; 0 reads in between.
        n_prenorm_samples: Training samples the prenorm layers are fitted on; 0 means all.
        checkpoint_every_n_batches: Steps between checkpoints within an epoch; 0 means at the end of each epoch only.
        keep_last: Number of most recent checkpoints kept beside the best.
    """

    loss: Literal["cross-entropy", "tie-aware", "listwise", "pairwise", "regression"] = "cross-entropy"
    optimizer: Literal["adam", "adamw"] = "adam"
    learning_rate: PositiveFloat = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    schedule: Literal["plateau", "one-cycle"] = "plateau"
    patience: PositiveCount = 10
    stop_patience: PositiveCount = 20
    stop: Literal["patience", "pl-star"] = "patience"
    stop_epsilon: PositiveFloat = 0.05
    n_epochs: PositiveCount = 1000
    n_batches_per_epoch: Count = 312
    batch_size: PositiveCount = 32
    valid_batch_size: PositiveCount = 128
    gradient_clip_norm: Annotated[float, Field(ge=0)] = 0.0
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    n_devices: PositiveCount = 1
    n_machines: PositiveCount = 1
    n_threads: Count = 0
    n_loader_workers: Count = 0
    n_prenorm_samples: Count = 1000
    checkpoint_every_n_batches: Count = 100
    keep_last: PositiveCount = 2


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class ExperimentConfig:
    """A whole experiment, from instances to a policy.

    Args:
        seed: Root of every random stream.
        instances: Which problems.
        collection: How samples are taken.
        model: The network.
        training: How it is fitted.
    """

    seed: Count = 0
    instances: InstancesConfig = Field(default_factory=InstancesConfig)
    collection: CollectionConfig = Field(default_factory=CollectionConfig)
    model: ModelConfig = Field(default_factory=ModelConfig)
    training: TrainingConfig = Field(default_factory=TrainingConfig)


def load_config(path: Path, overrides: Sequence[str] = ()) -> ExperimentConfig:
    """Read a TOML file, apply ``section.key=value`` overrides, and check everything.

    Raises:
        InputError: If the file is missing, is no TOML, or has an unknown or impossible value; the message suggests the
            nearest name.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"config {path} does not exist; start from one in configs/") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"config {path} cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"config {path} is not valid TOML: {error}") from None
    for override in overrides:
        _apply(data, override)
    return parse_config(data, source=str(path))


def parse_overrides(overrides: Sequence[str]) -> ExperimentConfig:
    """Return the defaults with ``section.key=value`` overrides.

    Raises:
        InputError: If a key is unknown or a value is out of range.
    """
    data: dict[str, object] = {}
    for override in overrides:
        _apply(data, override)
    return parse_config(data, source="--set")


def parse_config(data: Mapping[str, object], *, source: str) -> ExperimentConfig:
    """Check a parsed TOML document; ``source`` names it in errors.

    Raises:
        InputError: If a key is unknown or a value is out of range.
    """
    try:
        return TypeAdapter(ExperimentConfig).validate_python(without_retired(data))
    except ValidationError as error:
        raise InputError(f"{source}: {_explain(error)}") from None


def without_retired(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document without the retired keys whose values ask for nothing else than is done anyway."""
    kept = dict(data)
    for (section, key), value in RETIRED.items():
        inner = kept.get(section)
        if isinstance(inner, Mapping) and inner.get(key) == value:
            kept[section] = {name: found for name, found in inner.items() if name != key}
    return kept


def as_of_now(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document of any version with the keys of this one: without the retired, with those added since."""
    kept = without_retired(data)
    for (section, key), value in ADDED.items():
        if isinstance(kept.get(section), Mapping):
            kept[section] = {key: value, **kept[section]}
    return kept


def to_mapping(config: object) -> dict[str, object]:
    """Return a configuration as nested plain values, as JSON and TOML take them."""
    plain = TypeAdapter(type(config)).dump_python(config, mode="json")
    assert isinstance(plain, dict)
    return plain


def _apply(data: dict[str, object], override: str) -> None:
    name, separator, text = override.partition("=")
    if not separator or not name.strip():
        raise InputError(f"--set {override!r} is not of the form section.key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    *sections, key = name.strip().split(".")
    target = data
    for section in sections:
        inner = target.setdefault(section, {})
        if not isinstance(inner, dict):
            raise InputError(f"--set {override!r}: {section!r} is a value, not a section")
        target = inner
    target[key] = value


def _explain(error: ValidationError) -> str:
    """Put the first problem into one line, with the nearest known name."""
    problem = error.errors(include_url=False)[0]
    location = [str(part) for part in problem["loc"]]
    where = ".".join(location)
    if problem["type"] == "unexpected_keyword_argument":
        known = _known_names(location[:-1])
        near = difflib.get_close_matches(location[-1], known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
        kind = "section" if isinstance(problem.get("input"), dict) else "key"
        return f"unknown {kind} {where!r}; {hint}"
    if problem["type"] == "value_error":
        return f"{where}: {problem['ctx']['error']}"
    message = problem["msg"][0].lower() + problem["msg"][1:]
    return f"{where} = {problem.get('input')!r}: {message}"


def _known_names(sections: Sequence[str]) -> list[str]:
    kind: object = ExperimentConfig
    for section in sections:
        hints = get_type_hints(kind) if isinstance(kind, type) else {}
        kind = hints.get(section, kind)
    return [field.name for field in fields(kind)] if is_dataclass(kind) else []
