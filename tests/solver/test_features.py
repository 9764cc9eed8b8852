"""Features agree with Ecole's to the last bit, and with what PySCIPOpt says of the same LP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import ecole
import numpy as np
import pyscipopt
import pytest

from gnn_branching.contracts import InputError
from gnn_branching.feature_schema import ROW_FEATURES, VARIABLE_FEATURES
from gnn_branching.solver import lp_graph
from gnn_branching.solver.candidates import Candidates, HandoverError
from gnn_branching.solver.features import PROBLEMS, FeatureExtractor, check
from gnn_branching.solver.lp_graph import UNKNOWN_INCUMBENT_VALUE, read_structure
from tests.conftest import SMALL_FAMILIES
from tests.solver.probe import probe

COLUMN = {name: position for position, name in enumerate(VARIABLE_FEATURES)}


def expected_columns(model: pyscipopt.Model) -> dict[str, np.ndarray]:
    """Compute feature columns from PySCIPOpt alone, in the order of the transformed variables."""
    variables = model.getVars(transformed=True)
    norm = np.linalg.norm([variable.getObj() for variable in variables]) or 1.0
    # PySCIPOpt gives reduced costs in the original problem's sense, Ecole in that of SCIP's minimisation.
    sense = -1.0 if model.getObjectiveSense() == "maximize" else 1.0
    columns = [variable.getCol() for variable in variables]
    solution = np.array([variable.getLPSol() for variable in variables])
    lower = np.array([column.getLb() for column in columns])
    upper = np.array([column.getUb() for column in columns])
    basis = [column.getBasisStatus() for column in columns]
    integral = np.array([variable.vtype() != "CONTINUOUS" for variable in variables])
    incumbent = model.getBestSol() if model.getNSols() else None
    values = {
        "objective": np.array([variable.getObj() for variable in variables]) / norm,
        "is_type_binary": np.array([variable.vtype() == "BINARY" for variable in variables], dtype=float),
        "is_type_continuous": (~integral).astype(float),
        "has_lower_bound": np.array([not model.isInfinity(-bound) for bound in lower], dtype=float),
        "has_upper_bound": np.array([not model.isInfinity(bound) for bound in upper], dtype=float),
        "normed_reduced_cost": sense * np.array([model.getVarRedcost(variable) for variable in variables]) / norm,
        "solution_value": solution,
        "solution_frac": np.array([model.feasFrac(v) if i else 0.0 for v, i in zip(solution, integral, strict=True)]),
        "is_solution_at_lower_bound": np.array([model.isEQ(v, b) for v, b in zip(solution, lower, strict=True)]),
        "is_solution_at_upper_bound": np.array([model.isEQ(v, b) for v, b in zip(solution, upper, strict=True)]),
        "scaled_age": np.array([column.getAge() for column in columns]) / (model.getNLPs() + 5.0),
        "is_basis_lower": np.array([status == "lower" for status in basis], dtype=float),
        "is_basis_basic": np.array([status == "basic" for status in basis], dtype=float),
        "is_basis_upper": np.array([status == "upper" for status in basis], dtype=float),
    }
    if incumbent is not None:
        values["incumbent_value"] = np.array([model.getSolVal(incumbent, variable) for variable in variables])
        values["average_incumbent_value"] = np.array([variable.getAvgSol() for variable in variables])
    return values


@pytest.mark.parametrize("family", SMALL_FAMILIES)
@pytest.mark.parametrize("settings", ["paper", "default"])
def test_features_are_those_of_ecole(small_instances: Mapping[str, list[Path]], family: str, settings: str) -> None:
    observation = ecole.observation.NodeBipartite()
    extractor, structures, models = FeatureExtractor(), [], []

    def check(model: pyscipopt.Model, candidates: Candidates) -> None:
        if not models or models[-1] is not model:
            models.append(model)
            extractor.watch(model)
        state = extractor.extract(model, candidates)
        expected = observation.extract(ecole.scip.Model.from_pyscipopt(model), False)
        variables = np.where(np.isnan(expected.variable_features), UNKNOWN_INCUMBENT_VALUE, expected.variable_features)
        np.testing.assert_array_equal(state.variable_features, variables)
        np.testing.assert_allclose(state.row_features, expected.row_features, rtol=1e-13, atol=1e-15)
        found = np.stack([state.edges.rows, state.edges.indices])
        np.testing.assert_array_equal(found, expected.edge_features.indices)
        np.testing.assert_array_equal(state.edges.values, expected.edge_features.values)
        if not structures or structures[-1] is not state.edges:
            structures.append(state.edges)

    seen = sum(probe(path, check, settings=settings) for path in small_instances[family])
    assert seen > 10
    if settings == "paper":  # no cuts below the root
        assert len(structures) < seen, "edges were read anew at every tree node"


@pytest.mark.parametrize("family", SMALL_FAMILIES)
@pytest.mark.parametrize("settings", ["paper", "default"])
def test_variable_features_agree_with_pyscipopt(
    small_instances: Mapping[str, list[Path]], family: str, settings: str
) -> None:
    def check(model: pyscipopt.Model, candidates: Candidates) -> None:
        state = FeatureExtractor().extract(model, candidates)
        for name, expected in expected_columns(model).items():
            np.testing.assert_allclose(
                state.variable_features[:, COLUMN[name]], expected, rtol=1e-12, atol=1e-12, err_msg=name
            )

    seen = sum(probe(path, check, settings=settings) for path in small_instances[family])
    assert seen > 10


@pytest.mark.parametrize("family", SMALL_FAMILIES)
def test_rows_and_edges_rebuild_the_lp(small_instances: Mapping[str, list[Path]], family: str) -> None:
    def check(model: pyscipopt.Model, candidates: Candidates) -> None:
        state = FeatureExtractor().extract(model, candidates)
        dense = np.zeros((state.n_rows, state.n_variables))
        np.add.at(dense, (state.edges.rows, state.edges.indices), state.edges.values)
        assert (np.diff(state.edges.indptr) >= 0).all()
        expected_rows, expected_bias, expected_dual = [], [], []
        objective_norm = np.linalg.norm([variable.getObj() for variable in model.getVars(transformed=True)]) or 1.0
        for row in model.getLPRowsData():
            values = np.array(row.getVals())
            positions = [column.getLPPos() for column in row.getCols()]
            norm = np.linalg.norm(values) or 1.0
            for side, sign in ((row.getLhs(), -1.0), (row.getRhs(), 1.0)):
                if not model.isInfinity(abs(side)):
                    line = np.zeros(state.n_variables)
                    line[positions] = sign * values / norm
                    expected_rows.append(line)
                    expected_bias.append(sign * (side - row.getConstant()) / norm)
                    expected_dual.append(sign * row.getDualsol() / (norm * objective_norm))
        np.testing.assert_allclose(dense, np.array(expected_rows), rtol=1e-12, atol=1e-12)
        bias = state.row_features[:, ROW_FEATURES.index("bias")]
        np.testing.assert_allclose(bias, expected_bias, rtol=1e-12, atol=1e-12)
        dual = state.row_features[:, ROW_FEATURES.index("dual_solution_value")]
        np.testing.assert_allclose(dual, expected_dual, rtol=1e-9, atol=1e-9)

    assert sum(probe(path, check, n_nodes=10) for path in small_instances[family][:3]) > 3


def test_lp_candidates_are_exactly_the_fractional_integer_variables(small_instances: Mapping[str, list[Path]]) -> None:
    def check(model: pyscipopt.Model, candidates: Candidates) -> None:
        state = FeatureExtractor().extract(model, candidates)
        fraction = state.variable_features[:, COLUMN["solution_frac"]]
        assert set(candidates.indices.tolist()) == set(np.flatnonzero(fraction > 1e-6).tolist())

    assert sum(probe(path, check) for path in small_instances["combinatorial-auction"][:3]) > 3


def test_a_wrong_index_is_noticed(small_instances: Mapping[str, list[Path]]) -> None:
    def check(model: pyscipopt.Model, candidates: Candidates) -> None:
        shifted = replace(candidates, indices=np.roll(candidates.indices, 1))
        if len(set(candidates.lp_values.tolist())) > 1:
            with pytest.raises(HandoverError, match="index-mismatch"):
                FeatureExtractor().extract(model, shifted)

    assert sum(probe(path, check) for path in small_instances["set-cover"][:3]) > 3


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", range(2))
def test_nothing_infinite_or_undefined_passes_unnoticed(bad: float, place: int) -> None:
    arrays = [np.ones((6, len(ROW_FEATURES))), np.full((9, len(VARIABLE_FEATURES)), 0.5)]
    candidates, values = np.array([3, 8]), np.full(2, 0.5)
    assert PROBLEMS[check(*arrays, candidates, values)] == ""
    for index in range(arrays[place].size):
        spoilt = [array.copy() for array in arrays]
        spoilt[place].flat[index] = bad
        row, column = divmod(index, arrays[place].shape[1])
        solution = place == 1 and row in (3, 8) and column == COLUMN["solution_value"]
        expected = "index-mismatch" if solution else "feature-not-finite"
        assert PROBLEMS[check(*spoilt, candidates, values)] == expected


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_edge_that_is_not_finite_hands_over(
    small_instances: Mapping[str, list[Path]], monkeypatch: pytest.MonkeyPatch, bad: float
) -> None:
    def spoil(*arguments: np.ndarray) -> None:
        read_structure(*arguments)
        arguments[-1][-1] = bad

    monkeypatch.setattr(lp_graph, "read_structure", spoil)

    def check(model: pyscipopt.Model, candidates: Candidates) -> None:
        with pytest.raises(HandoverError, match="feature-not-finite"):
            FeatureExtractor().extract(model, candidates)

    assert sum(probe(path, check, n_nodes=3) for path in small_instances["set-cover"][:3]) > 3


def test_an_unknown_schema_is_refused() -> None:
    with pytest.raises(InputError, match="'other' are unknown; allowed"):
        FeatureExtractor("other")
