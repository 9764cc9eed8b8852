"""Rows say what they measure: slack rather than a start that is always met, and what a width does not allow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gnn_branching.diagnostics.measures.finding import Verdict
from gnn_branching.theory import du2018, liu2020
from gnn_branching.theory.report import TheoryCheck
from gnn_branching.theory.shallow_linear import (
    Factors,
    first_positive,
    flow_gaps,
    global_minimum,
    numerical_hessian,
    rank_one_rate,
)


@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize("sigma", [1.0, 1.7])
def test_the_closed_rate_is_that_of_the_dense_hessian(width: int, sigma: float) -> None:
    weight = 0.43
    root = np.sqrt(global_minimum(np.array([sigma]), width, weight).path_norm)
    balanced = Factors(outer=np.full((1, width), root), inner=np.full((width, 1), root))
    spectrum = np.linalg.eigvalsh(numerical_hessian(np.array([[sigma]]), balanced, weight))
    assert spectrum[first_positive(spectrum)] == pytest.approx(rank_one_rate(sigma, width, weight), rel=1e-6)


@pytest.mark.parametrize("width", [4, 6])
def test_the_flow_decays_at_the_closed_rate(width: int) -> None:
    slope = flow_gaps(1.0, width, 0.8, seed=1).slope()
    assert -slope / (2.0 * rank_one_rate(1.0, width, 0.8)) == pytest.approx(1.0, abs=0.01)


def named(checks: tuple[TheoryCheck, ...]) -> dict[str, TheoryCheck]:
    return {check.finding.name: check for check in checks}


def test_a_width_that_the_proof_does_not_cover_owes_nothing(tmp_path: Path) -> None:
    experiment = du2018.Experiment(widths=(500, 5000), kernel_n_samples=400, kernel_widths=(200, 4000))
    checks = named(experiment.run(tmp_path).checks)
    for name in ("rate", "drift", "lambda_min of H"):
        assert checks[f"{name} m=500"].finding.verdict is Verdict.NOT_APPLICABLE
        assert checks[f"{name} m=5000"].finding.verdict is Verdict.HOLDS
    assert checks["rate m=5000"].finding.value < 0.99
    assert checks["lambda_min of H m=5000"].finding.value > checks["lambda_min of H m=5000"].finding.bound


def test_relative_linearity_knows_no_output_scale() -> None:
    scaled, unscaled = (
        [liu2020.measure_linearity(m, 0, scaled=s, n_draws=10).relative_error for m in (64, 256)] for s in (True, False)
    )
    np.testing.assert_allclose(unscaled, scaled, rtol=1e-9)
