"""Feature schemas: what a policy may see of a tree node, each feature stated once.

Positions, widths and names come from here, for whoever reads features from SCIP, stores them, or learns from them.
Datasets and policies name their schema, and look it up among those that are registered: the package's and your own.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

import numpy as np

from gnn_branching.contracts import FEATURE_SCHEMA, BranchingState, InputError
from gnn_branching.edges import Edges

ENTRY_POINT_GROUP = "gnn_branching.feature_schemas"
"""Entry points of this group name :class:`FeatureSchema` objects: ``my-schema = my_package:MY_SCHEMA``."""


class Side(StrEnum):
    """What a feature belongs to; those of a tree node are given to each of its candidates, beside the candidate's."""

    ROW = "row"
    EDGE = "edge"
    VARIABLE = "variable"
    CANDIDATE = "candidate"
    TREE_NODE = "tree-node"


GRAPH, SEARCHED = (Side.ROW, Side.EDGE, Side.VARIABLE), (Side.CANDIDATE, Side.TREE_NODE)
"""Sides of the LP's graph, and those of what is known of the candidates: one table, ``search_features``."""


class InSubproblem(StrEnum):
    """What becomes of a feature when the variables fixed at a tree node are left out.

    ``KEPT``: nothing. ``RESCALED``: it is divided by the norm of a row or of the objective, which is taken of what is
    left. ``RECOMPUTED``: the fixed variables contributed to it.
    """

    KEPT = "kept"
    RESCALED = "rescaled"
    RECOMPUTED = "recomputed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One column.

    Args:
        name: Unique on its side.
        side: What it belongs to.
        reader: ``module:function`` that reads it from SCIP, together with the features beside it that name the same
            one. It takes the tree node's ``solver.candidates.Candidates``, of whose ``model`` the LP is solved, and
            returns float64, (n, number of its features), n being the number of rows, variables or candidates.
        unit: What its values are in.
        in_subproblem: What leaving out fixed variables does to it.
        scales_with_objective: Whether multiplying the objective by a constant changes it.
    """

    name: str
    side: Side
    reader: str
    unit: str = "1"
    in_subproblem: InSubproblem = InSubproblem.KEPT
    scales_with_objective: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSchema:
    """A layout of features, in the order of their columns.

    Args:
        name: As cards and datasets name it; another layout has another name.
        features: All of them; those of one table (rows, variables, candidates with the tree node) in the order of its
            columns.

    Raises:
        ValueError: If two features of one side have the same name.
    """

    name: str
    features: tuple[Feature, ...]

    def __post_init__(self) -> None:
        """Refuse columns that could not be told apart."""
        keys = [(feature.side, feature.name) for feature in self.features]
        if len(set(keys)) < len(keys):
            raise ValueError(f"schema {self.name!r} has two features of one name")

    def of(self, *sides: Side) -> tuple[Feature, ...]:
        """Return the features of some sides, in order."""
        return tuple(feature for feature in self.features if feature.side in sides)

    def names(self, *sides: Side) -> tuple[str, ...]:
        """Return the names of the columns of some sides."""
        return tuple(feature.name for feature in self.of(*sides))

    def width(self, *sides: Side) -> int:
        """Return the number of columns of some sides."""
        return len(self.of(*sides))


def _columns(
    side: Side, reader: str, *, rescaled: Sequence[str] = (), recomputed: Sequence[str] = (), **units: str
) -> list[Feature]:
    """Return features of one reader by name and unit."""
    kinds = dict.fromkeys(rescaled, InSubproblem.RESCALED) | dict.fromkeys(recomputed, InSubproblem.RECOMPUTED)
    return [
        Feature(name=name, side=side, reader=reader, unit=unit, in_subproblem=kinds.get(name, InSubproblem.KEPT))
        for name, unit in units.items()
    ]


NODE_BIPARTITE = FeatureSchema(
    name=FEATURE_SCHEMA,
    features=(
        *_columns(
            Side.ROW,
            "gnn_branching.solver.lp_graph:read_rows",
            recomputed=("bias", "objective_cosine_similarity"),
            rescaled=("dual_solution_value",),
            bias="row norm",
            objective_cosine_similarity="1",
            is_tight="1",
            dual_solution_value="objective norm / row norm",
            scaled_age="LPs solved",
        ),
        *_columns(
            Side.EDGE,
            "gnn_branching.solver.lp_graph:read_structure",
            rescaled=("coefficient",),
            coefficient="row norm",
        ),
        *_columns(
            Side.VARIABLE,
            "gnn_branching.solver.lp_graph:read_variables",
            rescaled=("objective", "normed_reduced_cost"),
            objective="objective norm",
            is_type_binary="1",
            is_type_integer="1",
            is_type_implicit_integer="1",
            is_type_continuous="1",
            has_lower_bound="1",
            has_upper_bound="1",
            normed_reduced_cost="objective norm",
            solution_value="the variable's",
            solution_frac="1",
            is_solution_at_lower_bound="1",
            is_solution_at_upper_bound="1",
            scaled_age="LPs solved",
            incumbent_value="the variable's",
            average_incumbent_value="the variable's",
            is_basis_lower="1",
            is_basis_basic="1",
            is_basis_upper="1",
            is_basis_zero="1",
        ),
    ),
)
"""The graph of Gasse et al. 2019, table 1, as Ecole's ``NodeBipartite`` has it; every other schema begins with it."""

KHALIL_2016 = FeatureSchema(
    name="ecole-khalil-2016-1",
    features=tuple(
        _columns(
            Side.CANDIDATE,
            "gnn_branching.solver.features:KhalilFeatures",
            **{f"khalil_{number}": "1" for number in range(72)},
        )
    ),
)
"""The candidates' features of Khalil et al. 2016, as Ecole's ``Khalil2016`` has them (``solver.khalil`` reads them);
stored beside the graph."""

_SEARCH_READER = "gnn_branching.solver.search_features:extract_search"
SEARCH = FeatureSchema(
    name="gnn-branching-search-2",
    features=(
        *NODE_BIPARTITE.features,
        *_columns(
            Side.CANDIDATE,
            _SEARCH_READER,
            fractionality="1",
            pseudocost_down="log of the candidates' mean",
            pseudocost_up="log of the candidates' mean",
            pseudocost_score="log of the candidates' mean",
            pseudocost_score_to_best="log of the candidates' best",
            n_down="log(1 + observations)",
            n_up="log(1 + observations)",
            deviation_down="share with the mean",
            deviation_up="share with the mean",
            gain_down_to_gap="share",
            gain_up_to_gap="share",
            inference_score="share with the candidates' mean",
            conflict_score="share with the candidates' mean",
            cutoff_score="share with the candidates' mean",
            domain_left="of the global domain",
            is_strong_branching_known="1",
            strong_branching_score="log of the pseudocost scores' mean",
            strong_branching_age="log(1 + LPs)",
        ),
        *_columns(
            Side.TREE_NODE,
            _SEARCH_READER,
            depth="log(1 + depth)",
            plunge_depth="log(1 + depth)",
            n_candidates="log",
            n_nodes="log(1 + nodes)",
            open_nodes="share of all nodes",
            has_incumbent="1",
            gap_closed="of the root's gap",
            bound_position="of the gap",
            estimate_position="share with the gap",
        ),
    ),
)
"""The graph, and beside it what the search has learned of each candidate, and where it stands."""

KHALIL_SCHEMA, SEARCH_SCHEMA = KHALIL_2016.name, SEARCH.name
SEARCH_FEATURES = SEARCH.names(*SEARCHED)
ROW_FEATURES, VARIABLE_FEATURES = NODE_BIPARTITE.names(Side.ROW), NODE_BIPARTITE.names(Side.VARIABLE)
N_KHALIL_FEATURES = KHALIL_2016.width(Side.CANDIDATE)

_registered = {schema.name: schema for schema in (NODE_BIPARTITE, SEARCH, KHALIL_2016)}


def register_schema(schema: FeatureSchema) -> FeatureSchema:
    """Make a schema known by its name; the same one may be registered again.

    Example:
        >>> SLACK = Feature(name="mean_slack", side=Side.CANDIDATE, reader="my_package:read_mean_slack")
        >>> register_schema(FeatureSchema(name="with-slack-1", features=(*SEARCH.features, SLACK)))  # doctest: +SKIP

    Raises:
        InputError: If another schema has the name, or this one does not begin with the graph's features.
    """
    for side in GRAPH:
        first = NODE_BIPARTITE.of(side)
        if schema.of(side)[: len(first)] != first or (side is Side.EDGE and schema.of(side) != first):
            raise InputError(f"schema {schema.name!r} must begin with the {side} features of {FEATURE_SCHEMA!r}")
    if _registered.setdefault(schema.name, schema) != schema:
        raise InputError(f"feature schema {schema.name!r} exists already; choose another name")
    return schema


def get_schema(name: str) -> FeatureSchema:
    """Return a schema by name.

    Raises:
        InputError: If there is none.
    """
    if name not in _registered:
        _load_entry_points()
    if name not in _registered:
        raise InputError(f"features {name!r} are unknown; allowed: {', '.join(_registered)}; register their schema")
    return _registered[name]


@cache
def _load_entry_points() -> None:
    for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        register_schema(point.load())


@cache
def same_columns(one: str, other: str, *sides: Side) -> bool:
    """Return whether two schemas have the same features on some sides."""
    return get_schema(one).of(*sides) == get_schema(other).of(*sides)


def made_up_state(name: str, *, n_rows: int = 20, n_variables: int = 30, n_candidates: int = 10) -> BranchingState:
    """Return a random tree node with all features of a schema, and Khalil's: for whoever must be warm before the first.

    Args:
        name: Name of the schema.
        n_rows: Rows of the graph, four edges each.
        n_variables: Variables of the graph.
        n_candidates: Candidates, the first variables.
    """
    rng, schema, n_edges = np.random.default_rng(0), get_schema(name), 4 * n_rows
    if not schema.of(*GRAPH):  # Khalil's, which lie beside the graph
        schema = NODE_BIPARTITE
    edges = Edges.from_pairs(
        rng.integers(n_rows, size=n_edges), rng.integers(n_variables, size=n_edges), rng.random(n_edges), n_rows
    )
    return BranchingState(
        row_features=rng.random((n_rows, schema.width(Side.ROW))),
        variable_features=rng.random((n_variables, schema.width(Side.VARIABLE))),
        edges=edges,
        candidates=np.arange(n_candidates, dtype=np.int64),
        candidate_features=rng.random((n_candidates, N_KHALIL_FEATURES)),
        search_features=rng.random((n_candidates, schema.width(*SEARCHED))) if schema.of(*SEARCHED) else None,
        schema=schema.name,
    )
