"""What is fixed at a tree node makes no difference to its subproblem."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from benchmarks.decision import Subject, reference_of
from gnn_branching.config import CollectionConfig, ModelConfig
from gnn_branching.contracts import BranchingState, FloatArray
from gnn_branching.edges import Edges
from gnn_branching.feature_schema import ROW_FEATURES, VARIABLE_FEATURES
from gnn_branching.policy import load_policy
from gnn_branching.policy.graph import GraphPolicy
from gnn_branching.solver.sampling import run_episode
from gnn_branching.subproblem import View, subproblem
from tests.policy.conftest import make_network, save

BIAS, SIMILARITY, TIGHT, DUAL, _ = range(len(ROW_FEATURES))
COLUMN = {name: number for number, name in enumerate(VARIABLE_FEATURES)}
SEEDS = range(20)


def lp_state(
    coefficients: FloatArray,
    right: FloatArray,
    objective: FloatArray,
    value: FloatArray,
    *,
    fixed: FloatArray,
    binary: FloatArray,
    dual: FloatArray,
    reduced_cost: FloatArray,
    candidates: list[int],
) -> BranchingState:
    """Return the features of rows ``coefficients @ x <= right``, as Ecole divides them by norms."""
    row_norm, objective_norm = np.linalg.norm(coefficients, axis=1), np.linalg.norm(objective)
    rows = np.zeros((right.size, len(ROW_FEATURES)))
    rows[:, BIAS] = right / row_norm
    rows[:, SIMILARITY] = coefficients @ objective / (row_norm * objective_norm)
    rows[:, TIGHT] = np.isclose(coefficients @ value, right)
    rows[:, DUAL] = dual / (row_norm * objective_norm)
    variables = np.zeros((value.size, len(VARIABLE_FEATURES)))
    variables[:, COLUMN["objective"]] = objective / objective_norm
    variables[:, COLUMN["is_type_binary"]] = binary
    variables[:, COLUMN["is_type_integer"]] = 1 - binary
    variables[:, COLUMN["normed_reduced_cost"]] = reduced_cost / objective_norm
    variables[:, COLUMN["solution_value"]] = value
    variables[:, COLUMN["is_solution_at_lower_bound"]] = fixed + (1 - fixed) * (value == 0)
    variables[:, COLUMN["is_solution_at_upper_bound"]] = fixed
    row_of, variable_of = np.nonzero(coefficients)
    edges = Edges.from_pairs(row_of, variable_of, coefficients[row_of, variable_of] / row_norm[row_of], right.size)
    return BranchingState(
        row_features=rows,
        variable_features=variables,
        edges=edges,
        candidates=np.array(candidates),
    )


def two_sizes(seed: int) -> tuple[BranchingState, BranchingState]:
    """Return one subproblem twice: as it is, and in an LP with fixed variables and settled rows besides."""
    random = np.random.default_rng(seed)
    n_rows, n, n_more, n_fixed = 6, 9, 4, 15
    binary, objective, dual = random.integers(0, 2, n), random.normal(size=n), random.normal(size=n_rows)
    value = np.where(random.random(n) < 0.4, 0.0, random.random(n))
    reduced_cost = random.normal(size=n)
    coefficients = np.where(random.random((n_rows, n)) < 0.5, random.normal(size=(n_rows, n)), 0.0)
    coefficients[np.arange(n_rows), random.integers(0, n, n_rows)] = 1.0
    # Rows that binary variables alone could not violate are settled: let none be among those that are to stay.
    right = np.maximum(coefficients, 0).sum(axis=1) - random.uniform(0.1, 1.0, n_rows)
    candidates = random.permutation(n)[:4].tolist()
    small = lp_state(
        coefficients, right, objective, value,
        fixed=np.zeros(n), binary=binary, dual=dual, reduced_cost=reduced_cost, candidates=candidates,
    )  # fmt: skip
    at = random.integers(-2, 3, n_fixed).astype(float)
    beside = random.normal(size=(n_rows, n_fixed))
    more = np.where(binary * (random.random((n_more, n)) < 0.5), random.normal(size=(n_more, n)), 0.0)
    more_beside = random.normal(size=(n_more, n_fixed))
    places = random.permutation(n + n_fixed)
    row_places = random.permutation(n_rows + n_more)
    large = lp_state(
        np.block([[coefficients, beside], [more, more_beside]])[row_places][:, places],
        np.concatenate([right + beside @ at, np.maximum(more, 0).sum(axis=1) + more_beside @ at])[row_places],
        np.concatenate([objective, random.normal(size=n_fixed)])[places],
        np.concatenate([value, at])[places],
        fixed=np.repeat([0, 1], [n, n_fixed])[places],
        binary=np.concatenate([binary, np.ones(n_fixed)])[places],
        dual=np.concatenate([dual, np.zeros(n_more)])[row_places],
        reduced_cost=np.concatenate([reduced_cost, random.normal(size=n_fixed)])[places],
        candidates=[int(np.flatnonzero(places == candidate)[0]) for candidate in candidates],
    )
    return small, large


def dense(state: BranchingState) -> FloatArray:
    """Return the edges as a matrix."""
    matrix = np.zeros((state.n_rows, state.n_variables))
    matrix[state.edges.rows, state.edges.indices] = state.edges.values
    return matrix


def assert_same(one: BranchingState, other: BranchingState) -> None:
    for name in ("row_features", "variable_features", "candidates"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-9, atol=1e-12, err_msg=name)
    for name in ("indptr", "indices", "values"):
        left, right = getattr(one.edges, name), getattr(other.edges, name)
        np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("seed", SEEDS)
def test_fixed_variables_and_settled_rows_leave_no_trace(seed: int) -> None:
    small, large = two_sizes(seed)
    found = subproblem(large)
    assert (found.n_rows, found.n_variables, found.n_edges) == (small.n_rows, small.n_variables, small.n_edges)
    # Both are the same up to the order of rows and variables, which random values tell apart.
    rows = np.argsort(small.row_features[:, BIAS])[np.argsort(np.argsort(found.row_features[:, BIAS]))]
    objectives = small.variable_features[:, 0], found.variable_features[:, 0]
    variables = np.argsort(objectives[0])[np.argsort(np.argsort(objectives[1]))]
    np.testing.assert_allclose(found.row_features, small.row_features[rows], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.variable_features, small.variable_features[variables], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(dense(found), dense(small)[rows][:, variables], rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(variables[found.candidates], small.candidates)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_subproblem_is_its_own(seed: int) -> None:
    small, large = two_sizes(seed)
    assert_same(subproblem(small), small)
    assert_same(subproblem(subproblem(large)), subproblem(large))


def test_the_state_itself_stays() -> None:
    large = two_sizes(0)[1]
    before = [np.array(array) for array in (large.row_features, large.variable_features, large.edges.values)]
    for array in (large.row_features, large.variable_features):
        array.flags.writeable = False
    subproblem(large)
    for array, was in zip((large.row_features, large.variable_features, large.edges.values), before, strict=True):
        np.testing.assert_array_equal(array, was)


def test_a_view_notices_other_edges() -> None:
    view, large = View("subproblem"), two_sizes(0)[1]
    assert View("lp")(large) is large
    constant = replace(large, edges=replace(large.edges, values=large.edges.values * 2))
    one_fixed = constant.variable_features.copy()
    free = np.setdiff1d(np.flatnonzero(one_fixed[:, COLUMN["is_solution_at_upper_bound"]] == 0), large.candidates)[0]
    one_fixed[free, [COLUMN["is_solution_at_lower_bound"], COLUMN["is_solution_at_upper_bound"]]] = 1.0
    fewer = replace(constant, variable_features=one_fixed)
    for state in (constant, fewer, constant, large):
        assert_same(view(state), subproblem(state))
    assert view(fewer).n_variables == view(constant).n_variables - 1
    with pytest.raises(ValueError, match="an edge is not between 2 rows"):
        view(replace(constant, row_features=constant.row_features[:2]))
    with pytest.raises(ValueError, match="read-only"):
        large.edges.values[:] *= 0.5


def test_what_is_no_graph_is_refused() -> None:
    state = two_sizes(0)[0]
    for variable in (-1, state.n_variables):
        indices = state.edges.indices.copy()
        indices[3] = variable
        with pytest.raises(ValueError, match="an edge is not between 6 rows and 9 variables"):
            subproblem(replace(state, edges=replace(state.edges, indices=indices)))
    falling = np.array([0, 3, 2, *state.edges.indptr[3:]])
    for indptr in (falling, state.edges.indptr[[0, *range(2, 7)]]):
        with pytest.raises(ValueError, match="an edge is not between 6 rows and 9 variables"):
            subproblem(replace(state, edges=replace(state.edges, indptr=indptr)))
    for row in (-1, state.n_rows):
        with pytest.raises(ValueError, match=r"an edge's row is not in \[0, 6\)"):
            Edges.from_pairs(np.array([0, row]), np.array([0, 0]), np.ones(2), state.n_rows)
    with pytest.raises(ValueError, match="rows of 3 edges, 2 indices, 3 values"):
        Edges(indptr=np.array([0, 3]), indices=np.arange(2), values=np.ones(3))
    for candidate in (-1, state.n_variables):
        with pytest.raises(ValueError, match="candidate"):
            subproblem(replace(state, candidates=np.array([candidate])))
    with pytest.raises(ValueError, match="4 row and 19 variable features"):
        subproblem(replace(state, row_features=state.row_features[:, :4]))


def test_candidates_stay_whatever_their_bounds_say() -> None:
    large = two_sizes(1)[1]
    fixed = large.variable_features.copy()
    fixed[:, [COLUMN["is_solution_at_lower_bound"], COLUMN["is_solution_at_upper_bound"]]] = 1.0
    found = subproblem(replace(large, variable_features=fixed))
    assert found.n_variables == large.n_candidates
    np.testing.assert_array_equal(np.sort(found.candidates), np.arange(large.n_candidates))


def test_a_row_of_other_than_binary_variables_stays() -> None:
    state = two_sizes(2)[0]
    loose = state.row_features.copy()
    loose[:, BIAS] = 1e6
    variables = state.variable_features.copy()
    variables[:, COLUMN["is_type_binary"]] = 1.0
    assert subproblem(replace(state, row_features=loose, variable_features=variables)).n_rows == 0
    variables[:, COLUMN["is_type_binary"]] = 0.0
    assert subproblem(replace(state, row_features=loose, variable_features=variables)).n_rows == state.n_rows


def test_a_policy_scores_the_same_in_an_lp_of_any_size(tmp_path: Path) -> None:
    folder = save(tmp_path / "seen", make_network(ModelConfig(hidden_size=12, graph="subproblem")))
    sees_all = save(tmp_path / "all", make_network(ModelConfig(hidden_size=12)))
    for seed in SEEDS:
        small, large = two_sizes(seed)
        scores = load_policy(folder).scores(small)
        np.testing.assert_allclose(load_policy(folder).scores(large), scores, rtol=1e-4, atol=1e-4)
        assert np.abs(load_policy(sees_all).scores(large) - scores).max() > 1e-2


def test_the_benchmark_times_a_reference_that_scores_the_same(tmp_path: Path) -> None:
    policy = load_policy(save(tmp_path / "mine", make_network(ModelConfig(hidden_size=12, graph="subproblem"))))
    assert isinstance(policy, GraphPolicy)
    subject = Subject(policy=policy, reference=reference_of(policy), reference_interval=1)
    subject.scores(two_sizes(0)[1])
    assert max(subject.record.differences) < 1e-4


@pytest.mark.parametrize("settings", ["paper", "default"])
def test_live_tree_nodes(small_instances: Mapping[str, list[Path]], settings: Literal["paper", "default"]) -> None:
    config = CollectionConfig(
        expert_probability=1.0, strong_branching_iteration_limit=10, n_samples_per_episode=20, settings=settings
    )
    instances = [str(path) for paths in small_instances.values() for path in paths[:2]]
    episodes = [
        run_episode(path, episode=0, scip_seed=0, config=config, instance_sha256="0" * 64) for path in instances
    ]
    n_fixed = 0
    for sample in chain.from_iterable(episode.samples for episode in episodes):
        state, found = sample.state, subproblem(sample.state)
        n_fixed += state.n_variables - found.n_variables
        value, at = found.variable_features[:, COLUMN["solution_value"]], found.candidates
        np.testing.assert_array_equal(value[at], state.variable_features[state.candidates, COLUMN["solution_value"]])
        # The LP solution satisfies every row that is left, and those that were tight, tightly.
        activity = dense(found) @ value
        assert (activity <= found.row_features[:, BIAS] + 1e-6).all()
        tight = found.row_features[:, TIGHT] == 1
        np.testing.assert_allclose(activity[tight], found.row_features[tight, BIAS], atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(dense(found), axis=1), 1.0, rtol=1e-12)
    assert n_fixed > 0
