"""Augmented samples are the features that SCIP and Ecole give for the equivalent problem."""

from dataclasses import dataclass

import ecole
import numpy as np
import pyscipopt
import pytest
from numpy.typing import NDArray

from gnn_branching.contracts import VARIABLE_FEATURES, BranchingState, InputError, Sample, SampleOrigin
from gnn_branching.dataset.augment import (
    get_augmentation,
    random_row_scale,
    random_shift,
    scale_rows,
    shift_binaries,
)
from gnn_branching.dataset.synthetic import random_sample

N_BINARY, N_CONTINUOUS, N_ROWS = 7, 3, 6
N_VARIABLES = N_BINARY + N_CONTINUOUS


@dataclass(frozen=True, kw_only=True)
class Problem:
    """``min cost·x``, ``low <= A x <= high``; x binary, then continuous in [0, 2]; all moved and scaled."""

    shifts: NDArray[np.int64]
    row_scale: float = 1.0
    objective_scale: float = 1.0
    incumbent: bool = False
    seed: int = 0

    def build(self) -> pyscipopt.Model:
        rng = np.random.default_rng(self.seed)
        matrix = rng.integers(1, 9, (N_ROWS, N_VARIABLES)) * (rng.random((N_ROWS, N_VARIABLES)) < 0.7)
        high = 0.45 * matrix.sum(1) + self.moved(matrix)
        low = self.moved(matrix) - 1.0
        cost = -rng.uniform(1, 10, N_VARIABLES)
        model = quiet_model()
        x = [self.variable(model, j) for j in range(N_VARIABLES)]
        for i in range(N_ROWS):
            row = pyscipopt.quicksum(self.row_scale * float(matrix[i, j]) * x[j] for j in np.flatnonzero(matrix[i]))
            model.addCons(row <= self.row_scale * high[i]) if i else model.addCons(
                (self.row_scale * low[i] <= row) <= self.row_scale * high[i]
            )
        model.setObjective(pyscipopt.quicksum(self.objective_scale * c * v for c, v in zip(cost, x, strict=True)))
        if self.incumbent:
            solution = model.createSol()
            values = np.where(np.arange(N_VARIABLES) < N_BINARY, 0.0, 0.25)
            for variable, value in zip(x, values + self.shifts, strict=True):
                model.setSolVal(solution, variable, float(value))
            assert model.addSol(solution)
        return model

    def moved(self, matrix: NDArray[np.int64]) -> NDArray[np.int64]:
        return matrix @ self.shifts

    def variable(self, model: pyscipopt.Model, j: int) -> pyscipopt.Variable:
        shift = int(self.shifts[j])
        if j >= N_BINARY:
            return model.addVar(f"x{j}", vtype="C", lb=0.0, ub=2.0)
        return model.addVar(f"x{j}", vtype="I" if shift else "B", lb=shift, ub=shift + 1)


def quiet_model() -> pyscipopt.Model:
    model = pyscipopt.Model()
    model.hideOutput()
    for switch in (model.setPresolve, model.setHeuristics, model.setSeparating):
        switch(pyscipopt.SCIP_PARAMSETTING.OFF)
    for name, value in (
        ("propagating/maxroundsroot", 0),
        ("propagating/maxrounds", 0),
        ("misc/usesymmetry", 0),
        ("conflict/enable", False),
        ("limits/nodes", 1),
    ):
        model.setParam(name, value)
    return model


class Recorder(pyscipopt.Branchrule):  # type: ignore[misc]
    state: BranchingState | None = None

    def branchexeclp(self, allowaddcons: bool) -> dict[str, int]:
        if self.state is None:
            found = ecole.observation.NodeBipartite().extract(ecole.scip.Model.from_pyscipopt(self.model), False)
            self.state = BranchingState(
                row_features=found.row_features.copy(),
                variable_features=np.nan_to_num(found.variable_features.copy()),
                edge_indices=found.edge_features.indices.astype(np.int64),
                edge_values=found.edge_features.values.copy(),
                candidates=np.arange(1),
            )
        return {"result": pyscipopt.SCIP_RESULT.DIDNOTRUN}


def sample_of(problem: Problem) -> Sample:
    model, recorder = problem.build(), Recorder()
    model.includeBranchrule(recorder, "recorder", "records", priority=10**6, maxdepth=-1, maxbounddist=1.0)
    model.optimize()
    assert recorder.state is not None, "solved without branching"
    bound = 0.0 if problem.incumbent else float("inf")
    origin = SampleOrigin(
        instance="", instance_sha256="", episode=0, scip_seed=0, tree_node=1, depth=0, primal_bound=bound, dual_bound=0
    )
    return Sample(state=recorder.state, scores=np.ones(1), origin=origin)


STAY = np.zeros(N_VARIABLES, dtype=np.int64)
# SCIP orders variables by type: those that stay binary come first.
SHIFTS = np.array([0, 0, 3, 1, 5, -4, 2, 0, 0, 0])


def assert_same(a: Sample, b: Sample) -> None:
    for name in ("row_features", "variable_features", "edge_indices", "edge_values"):
        np.testing.assert_allclose(getattr(a.state, name), getattr(b.state, name), rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("incumbent", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_shift_equals_the_shifted_problem(seed: int, incumbent: bool) -> None:
    original = sample_of(Problem(shifts=STAY, incumbent=incumbent, seed=seed))
    if incumbent:
        assert original.state.variable_features[:, VARIABLE_FEATURES.index("incumbent_value")].any()
    shifted = sample_of(Problem(shifts=SHIFTS, incumbent=incumbent, seed=seed))
    assert not np.allclose(shifted.state.row_features, original.state.row_features)
    assert_same(shift_binaries(original, SHIFTS), shifted)


@pytest.mark.parametrize("seed", range(4))
def test_row_scale_equals_the_scaled_problem(seed: int) -> None:
    original = sample_of(Problem(shifts=STAY, seed=seed))
    scaled = sample_of(Problem(shifts=STAY, row_scale=2.0, seed=seed))
    assert not np.allclose(scaled.state.row_features, original.state.row_features, atol=1e-6)
    assert_same(scale_rows(original, 2.0), scaled)


@pytest.mark.parametrize("seed", range(4))
def test_objective_scale_is_invisible(seed: int) -> None:
    assert_same(
        sample_of(Problem(shifts=STAY, seed=seed)), sample_of(Problem(shifts=STAY, objective_scale=4.0, seed=seed))
    )


def binary_sample() -> Sample:
    sample = random_sample(0)
    variables = sample.state.variable_features
    variables[:, VARIABLE_FEATURES.index("is_type_binary")] = 1.0
    return sample


def test_inputs_stay_as_they_are() -> None:
    sample = binary_sample()
    before = sample.state.variable_features.copy(), sample.state.row_features.copy()
    shift_binaries(sample, np.full(sample.state.n_variables, 2))
    scale_rows(sample, 3.0)
    assert np.array_equal(before[0], sample.state.variable_features)
    assert np.array_equal(before[1], sample.state.row_features)


def test_labels_stay() -> None:
    sample = binary_sample()
    moved = shift_binaries(sample, np.full(sample.state.n_variables, 2))
    assert np.array_equal(moved.scores, sample.scores)
    assert np.array_equal(moved.state.candidates, sample.state.candidates)


def test_refuses_what_is_not_exact() -> None:
    sample = binary_sample()
    shifts = np.zeros(sample.state.n_variables, dtype=np.int64)
    shifts[0] = -1
    with pytest.raises(InputError, match="not by -1"):
        shift_binaries(sample, shifts)
    sample.state.variable_features[0, VARIABLE_FEATURES.index("is_type_binary")] = 0.0
    shifts[0] = 2
    with pytest.raises(InputError, match="only binary variables"):
        shift_binaries(sample, shifts)
    with pytest.raises(InputError, match=r"rows scaled by 0\.0; use a positive"):
        scale_rows(sample, 0.0)
    with pytest.raises(InputError, match="augmentation 'mirror' is unknown"):
        get_augmentation("mirror")


@pytest.mark.parametrize("augment", [random_shift, random_row_scale])
def test_random_augmentation_depends_on_its_generator_alone(augment) -> None:  # type: ignore[no-untyped-def]
    sample = binary_sample()
    rows = [augment(sample, np.random.default_rng(seed)).state.row_features for seed in (1, 1, 2, 3, 4)]
    assert np.array_equal(rows[0], rows[1])
    assert any(not np.array_equal(rows[0], other) for other in rows[2:])
    assert get_augmentation("none") is None
