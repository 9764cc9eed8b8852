"""Schemas state each feature once, and what they say of scaling and subproblems is true."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyscipopt
import pytest

from gnn_branching.contracts import BranchingState
from gnn_branching.feature_schema import (
    GRAPH,
    KHALIL_2016,
    NODE_BIPARTITE,
    SEARCH,
    Feature,
    FeatureSchema,
    InSubproblem,
    Side,
)
from gnn_branching.solver.candidates import Candidates
from gnn_branching.solver.features import FeatureExtractor
from gnn_branching.solver.problem import read_problem
from gnn_branching.subproblem import subproblem
from tests.solver.probe import probe
from tests.test_subproblem import two_sizes

FACTOR = 4.0
"""A power of two, so that SCIP takes the same way."""
TABLES = {Side.ROW: "row_features", Side.VARIABLE: "variable_features"}


def test_widths_and_names() -> None:
    assert [NODE_BIPARTITE.width(side) for side in Side] == [5, 1, 19, 0, 0]
    assert SEARCH.of(*GRAPH) == NODE_BIPARTITE.features
    assert (SEARCH.width(Side.CANDIDATE), SEARCH.width(Side.TREE_NODE)) == (18, 9)
    assert KHALIL_2016.width(Side.CANDIDATE) == 72
    twice = (Feature(name="a", side=Side.ROW, reader="r"), Feature(name="a", side=Side.ROW, reader="r"))
    with pytest.raises(ValueError, match="two features of one name"):
        FeatureSchema(name="x", features=twice)
    FeatureSchema(name="x", features=(twice[0], replace(twice[0], side=Side.EDGE)))


@pytest.mark.parametrize("seed", range(3))
def test_what_is_kept_in_a_subproblem_stays(seed: int) -> None:
    """And what is not, changes: rows and variables of the larger LP that stay have other norms there."""
    large = two_sizes(seed)[1]
    small = subproblem(large)
    at_lower, at_upper = (
        NODE_BIPARTITE.names(Side.VARIABLE).index(f"is_solution_at_{end}_bound") for end in ("lower", "upper")
    )
    free = ~((large.variable_features[:, at_lower] != 0) & (large.variable_features[:, at_upper] != 0))
    free[large.candidates] = True
    before = large.variable_features[free]
    for column, feature in enumerate(f for f in NODE_BIPARTITE.features if f.side is Side.VARIABLE):
        same = np.allclose(before[:, column], small.variable_features[:, column], rtol=1e-12)
        assert same or feature.in_subproblem is not InSubproblem.KEPT, feature.name
        if feature.in_subproblem is not InSubproblem.KEPT:
            assert not same, feature.name


def states(path: Path, n_nodes: int) -> list[BranchingState]:
    """Return what is seen at the first tree nodes of a solve."""
    found: list[BranchingState] = []
    extractor = FeatureExtractor()

    def check(model: pyscipopt.Model, candidates: Candidates) -> None:
        found.append(extractor.extract(model, candidates))

    probe(path, check, n_nodes=n_nodes)
    return found


@pytest.mark.parametrize("family", ["set-cover", "combinatorial-auction"])
def test_scaling_the_objective_changes_what_it_says(
    small_instances: Mapping[str, list[Path]], family: str, tmp_path: Path
) -> None:
    found = []
    for factor in (1.0, FACTOR):
        model, path = read_problem(small_instances[family][0]), tmp_path / f"{factor}.mps"
        terms = [factor * variable.getObj() * variable for variable in model.getVars()]
        model.setObjective(pyscipopt.quicksum(terms), model.getObjectiveSense())
        model.hideOutput()
        model.writeProblem(str(path))
        found.append(states(path, 1))
    pairs = list(zip(*found, strict=True))
    assert pairs
    for side, table in TABLES.items():
        for column, feature in enumerate(f for f in NODE_BIPARTITE.features if f.side is side):
            same = all(
                np.allclose(getattr(a, table)[:, column], getattr(b, table)[:, column], rtol=1e-6, atol=1e-8)
                for a, b in pairs
            )
            assert same != feature.scales_with_objective, feature.name
