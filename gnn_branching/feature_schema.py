"""Feature schemas: what a policy may see of a tree node, each feature stated once.

Positions, widths and names come from here, for whoever reads features from SCIP, stores them, or learns from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Side(StrEnum):
    """What a feature belongs to."""

    ROW = "row"
    EDGE = "edge"
    VARIABLE = "variable"
    CANDIDATE = "candidate"


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
        unit: What its values are in.
        in_subproblem: What leaving out fixed variables does to it.
        scales_with_objective: Whether multiplying the objective by a constant changes it.
    """

    name: str
    side: Side
    unit: str = "1"
    in_subproblem: InSubproblem = InSubproblem.KEPT
    scales_with_objective: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSchema:
    """A layout of features, in the order of their columns.

    Args:
        name: As cards and datasets name it; another layout has another name.
        features: All of them; those of one side in the order of its columns.

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

    def names(self, side: Side) -> tuple[str, ...]:
        """Return the names of a side's columns."""
        return tuple(feature.name for feature in self.features if feature.side is side)

    def width(self, side: Side) -> int:
        """Return the number of a side's columns."""
        return len(self.names(side))


def _features(side: Side, *columns: str | Feature) -> Sequence[Feature]:
    return [column if isinstance(column, Feature) else Feature(name=column, side=side) for column in columns]


NODE_BIPARTITE = FeatureSchema(
    name="ecole-node-bipartite-1",
    features=(
        *_features(
            Side.ROW,
            Feature(name="bias", side=Side.ROW, unit="row norm", in_subproblem=InSubproblem.RECOMPUTED),
            Feature(name="objective_cosine_similarity", side=Side.ROW, in_subproblem=InSubproblem.RECOMPUTED),
            "is_tight",
            Feature(
                name="dual_solution_value",
                side=Side.ROW,
                unit="objective norm / row norm",
                in_subproblem=InSubproblem.RESCALED,
            ),
            Feature(name="scaled_age", side=Side.ROW, unit="LPs solved"),
        ),
        Feature(name="coefficient", side=Side.EDGE, unit="row norm", in_subproblem=InSubproblem.RESCALED),
        *_features(
            Side.VARIABLE,
            Feature(name="objective", side=Side.VARIABLE, unit="objective norm", in_subproblem=InSubproblem.RESCALED),
            "is_type_binary",
            "is_type_integer",
            "is_type_implicit_integer",
            "is_type_continuous",
            "has_lower_bound",
            "has_upper_bound",
            Feature(
                name="normed_reduced_cost",
                side=Side.VARIABLE,
                unit="objective norm",
                in_subproblem=InSubproblem.RESCALED,
            ),
            Feature(name="solution_value", side=Side.VARIABLE, unit="the variable's"),
            "solution_frac",
            "is_solution_at_lower_bound",
            "is_solution_at_upper_bound",
            Feature(name="scaled_age", side=Side.VARIABLE, unit="LPs solved"),
            Feature(name="incumbent_value", side=Side.VARIABLE, unit="the variable's"),
            Feature(name="average_incumbent_value", side=Side.VARIABLE, unit="the variable's"),
            "is_basis_lower",
            "is_basis_basic",
            "is_basis_upper",
            "is_basis_zero",
        ),
    ),
)
"""The graph of Gasse et al. 2019, table 1, as Ecole's ``NodeBipartite`` has it."""

KHALIL_2016 = FeatureSchema(
    name="ecole-khalil-2016-1",
    features=tuple(_features(Side.CANDIDATE, *(f"khalil_{number}" for number in range(72)))),
)
"""The candidates' features of Khalil et al. 2016, as Ecole's ``Khalil2016`` has them; stored beside the graph."""

SEARCH = FeatureSchema(
    name="gnn-branching-search-2",
    features=tuple(
        _features(
            Side.CANDIDATE,
            "fractionality",
            Feature(name="pseudocost_down", side=Side.CANDIDATE, unit="log of the candidates' mean"),
            Feature(name="pseudocost_up", side=Side.CANDIDATE, unit="log of the candidates' mean"),
            Feature(name="pseudocost_score", side=Side.CANDIDATE, unit="log of the candidates' mean"),
            Feature(name="pseudocost_score_to_best", side=Side.CANDIDATE, unit="log of the candidates' best"),
            Feature(name="n_down", side=Side.CANDIDATE, unit="log(1 + observations)"),
            Feature(name="n_up", side=Side.CANDIDATE, unit="log(1 + observations)"),
            Feature(name="deviation_down", side=Side.CANDIDATE, unit="share with the mean"),
            Feature(name="deviation_up", side=Side.CANDIDATE, unit="share with the mean"),
            Feature(name="gain_down_to_gap", side=Side.CANDIDATE, unit="share"),
            Feature(name="gain_up_to_gap", side=Side.CANDIDATE, unit="share"),
            Feature(name="inference_score", side=Side.CANDIDATE, unit="share with the candidates' mean"),
            Feature(name="conflict_score", side=Side.CANDIDATE, unit="share with the candidates' mean"),
            Feature(name="cutoff_score", side=Side.CANDIDATE, unit="share with the candidates' mean"),
            Feature(name="domain_left", side=Side.CANDIDATE, unit="of the global domain"),
            "is_strong_branching_known",
            Feature(name="strong_branching_score", side=Side.CANDIDATE, unit="log of the pseudocost scores' mean"),
            Feature(name="strong_branching_age", side=Side.CANDIDATE, unit="log(1 + LPs)"),
            Feature(name="depth", side=Side.CANDIDATE, unit="log(1 + depth)"),
            Feature(name="plunge_depth", side=Side.CANDIDATE, unit="log(1 + depth)"),
            Feature(name="n_candidates", side=Side.CANDIDATE, unit="log"),
            Feature(name="n_nodes", side=Side.CANDIDATE, unit="log(1 + nodes)"),
            Feature(name="open_nodes", side=Side.CANDIDATE, unit="share of all nodes"),
            "has_incumbent",
            Feature(name="gap_closed", side=Side.CANDIDATE, unit="of the root's gap"),
            Feature(name="bound_position", side=Side.CANDIDATE, unit="of the gap"),
            Feature(name="estimate_position", side=Side.CANDIDATE, unit="share with the gap"),
        )
    ),
)
"""What the search has learned of each candidate, and where it stands; the same for all candidates from ``depth`` on."""

FEATURE_SCHEMA, KHALIL_SCHEMA, SEARCH_SCHEMA = NODE_BIPARTITE.name, KHALIL_2016.name, SEARCH.name
SEARCH_FEATURES = SEARCH.names(Side.CANDIDATE)
ROW_FEATURES, EDGE_FEATURES = NODE_BIPARTITE.names(Side.ROW), NODE_BIPARTITE.names(Side.EDGE)
VARIABLE_FEATURES, N_KHALIL_FEATURES = NODE_BIPARTITE.names(Side.VARIABLE), KHALIL_2016.width(Side.CANDIDATE)
