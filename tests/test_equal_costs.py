"""A model whose costs are all equal looks to a policy as those of its training did, whatever its size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gnn_branching.contracts import BranchingState, FeatureRanges
from gnn_branching.edges import Edges
from gnn_branching.equal_costs import EqualCosts, only_cost, scaled
from gnn_branching.feature_schema import ROW_FEATURES, SEARCH_SCHEMA, VARIABLE_FEATURES
from gnn_branching.policy import load_policy
from gnn_branching.policy.graph import GraphPolicy
from gnn_branching.solver.guard import MOST_OUTSIDE, InputGuard
from gnn_branching.solver.settings import SolveLimits
from gnn_branching.solver.solve import prepare_solve
from tests.solver.probe import states_of

OBJECTIVE = VARIABLE_FEATURES.index("objective")
OF_VARIABLES = [OBJECTIVE, VARIABLE_FEATURES.index("normed_reduced_cost")]
OF_ROWS = [ROW_FEATURES.index("objective_cosine_similarity"), ROW_FEATURES.index("dual_solution_value")]


def side_by_side(state: BranchingState, n_copies: int) -> BranchingState:
    """Return the state of a model that holds the same model several times: the norm of the objective grows with it."""
    rows, variables = np.tile(state.row_features, (n_copies, 1)), np.tile(state.variable_features, (n_copies, 1))
    rows[:, OF_ROWS] /= np.sqrt(n_copies)
    variables[:, OF_VARIABLES] /= np.sqrt(n_copies)
    edges = state.edges
    copies = np.repeat(np.arange(n_copies), edges.values.size)
    row_of = np.tile(np.repeat(np.arange(state.n_rows), np.diff(edges.indptr)), n_copies) + copies * state.n_rows
    variable_of = np.tile(edges.indices, n_copies) + copies * state.n_variables
    more = Edges.from_pairs(row_of, variable_of, np.tile(edges.values, n_copies), n_copies * state.n_rows)
    return replace(state, row_features=rows, variable_features=variables, edges=more)


def ranges_with(*costs: float) -> FeatureRanges:
    row, variable = np.zeros((2, len(ROW_FEATURES))), np.zeros((2, len(VARIABLE_FEATURES)))
    variable[:, OBJECTIVE] = min(costs), max(costs)
    return FeatureRanges(row=row, edge=np.zeros((2, 1)), variable=variable)


def with_costs(state: BranchingState, *costs: float) -> BranchingState:
    variables = state.variable_features.copy()
    variables[:, OBJECTIVE] = np.resize(costs, state.n_variables)
    return replace(state, variable_features=variables)


@pytest.fixture(scope="module")
def state(small_instances: Mapping[str, list[Path]]) -> BranchingState:
    return states_of(small_instances["independent-set"][:1], schema=SEARCH_SCHEMA)[0]


@pytest.fixture(scope="module")
def policy() -> GraphPolicy:
    found = load_policy("independent-set")
    assert isinstance(found, GraphPolicy)
    return found


def test_only_models_of_one_cost_are_scaled_and_for_a_policy_that_knows_one_alone(state: BranchingState) -> None:
    one = EqualCosts(ranges_with(-0.04))
    assert one.scale(with_costs(state, -0.02)) == 2.0
    assert one.scale(with_costs(state, -0.04)) == 1.0
    assert one.scale(with_costs(state, 0.02)) == 1.0, "the other sense is another problem"
    assert one.scale(with_costs(state, 0.0)) == 1.0
    assert one.scale(with_costs(state, -0.02, -0.02, -0.03)) == 1.0
    assert one.scale(with_costs(state, np.nan)) == 1.0
    assert EqualCosts(ranges_with(0.0)).scale(with_costs(state, -0.02)) == 1.0
    assert EqualCosts(ranges_with(-0.05, -0.04)).scale(with_costs(state, -0.02)) == 1.0
    assert EqualCosts(None).scale(with_costs(state, -0.02)) == 1.0
    assert only_cost(np.empty((0, len(VARIABLE_FEATURES)))) == 0.0


def test_all_that_the_norm_of_the_objective_divides_is_scaled_and_nothing_else(state: BranchingState) -> None:
    before = replace(state, row_features=state.row_features.copy(), variable_features=state.variable_features.copy())
    twice = scaled(state, 2.0)
    assert scaled(state, 1.0) is state
    for features, columns in (("row_features", OF_ROWS), ("variable_features", OF_VARIABLES)):
        factors = np.ones(getattr(state, features).shape[1])
        factors[columns] = 2.0
        np.testing.assert_array_equal(getattr(twice, features), getattr(state, features) * factors)
        np.testing.assert_array_equal(getattr(state, features), getattr(before, features))
    assert np.any(state.row_features[:, OF_ROWS[0]])
    assert np.any(state.variable_features[:, OF_VARIABLES[1]])


@pytest.mark.parametrize("n_copies", [2, 7])
def test_a_graph_that_stands_there_several_times_is_scored_as_if_it_were_alone(
    small_instances: Mapping[str, list[Path]], policy: GraphPolicy, n_copies: int
) -> None:
    for state in states_of(small_instances["independent-set"][1:2], schema=SEARCH_SCHEMA)[:5]:
        alone, among_others = policy.scores(state), policy.scores(side_by_side(state, n_copies))
        np.testing.assert_allclose(among_others, alone, rtol=1e-4, atol=1e-4)
        assert np.ptp(alone) > 0.1


def test_a_graph_of_another_size_is_home_and_keeps_its_optimum(
    small_instances: Mapping[str, list[Path]], policy: GraphPolicy
) -> None:
    path = small_instances["independent-set"][0]
    state = states_of([path], schema=SEARCH_SCHEMA)[0]
    assert state.n_variables < 200, "those of the training have 500"
    assert policy.ranges is not None
    assert InputGuard(policy.ranges).outside(state) <= MOST_OUTSIDE
    strange = replace(policy.ranges, variable=policy.ranges.variable + 0.001)  # the type is wrong as well
    assert InputGuard(strange).outside(state) > MOST_OUTSIDE
    mine, scips = (
        prepare_solve(path, rule=rule, settings="paper", seed=0, limits=SolveLimits()) for rule in (policy, "relpscost")
    )
    assert mine.run().primal_bound == pytest.approx(scips.run().primal_bound)
    assert mine.learned is not None
    assert mine.learned.statistics.n_decisions > 0
    assert not mine.learned.statistics.fallbacks
