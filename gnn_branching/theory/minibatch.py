"""How the gain of a minibatch saturates on interpolated least squares (Ma, Bassily, Belkin 2018).

Part of the reproduction of Liu, Zhu, Belkin (2020). With ``β = max ‖x‖²`` and λ1, λk the extreme eigenvalues of the
second-moment matrix, the step ``η(s) = s / (β + (s − 1) λ1)`` contracts the expected squared error by at least
``1 − η(s) λk``. Up to the critical size ``s* = β/λ1 + 1`` a batch of s is worth about s steps of one; beyond, at most
two steps of s*.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gnn_branching.contracts import FloatArray
from gnn_branching.diagnostics.measures.finding import Verdict
from gnn_branching.theory.report import TheoryCheck, above, below

N_SAMPLES, N_DIMENSIONS = 400, 8
"""Size of the least-squares problem."""
N_REPEATS, N_STEPS = 200, 60
"""Simulated runs, and their steps, behind an expectation."""
MONTE_CARLO_SLACK = 0.1
"""Relative allowance for the simulation of an expectation."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LeastSquares:
    """Inputs, (n, d), with the quantities that set the critical batch size."""

    inputs: FloatArray
    largest_norm: float
    lambda_1: float
    lambda_k: float

    @property
    def critical_size(self) -> float:
        """``s* = β/λ1 + 1``."""
        return self.largest_norm / self.lambda_1 + 1.0

    def step(self, batch_size: int) -> float:
        """``η(s) = s / (β + (s − 1) λ1)``."""
        return batch_size / (self.largest_norm + (batch_size - 1) * self.lambda_1)


def least_squares(seed: int) -> LeastSquares:
    """Draw an interpolated problem whose labels a linear model fits exactly."""
    rng = np.random.default_rng([seed, 10])
    inputs = rng.standard_normal((N_SAMPLES, N_DIMENSIONS)) * np.linspace(1.0, 0.6, N_DIMENSIONS)
    values = np.linalg.eigvalsh(inputs.T @ inputs / N_SAMPLES)
    return LeastSquares(
        inputs=inputs,
        largest_norm=float(np.sum(inputs**2, axis=1).max()),
        lambda_1=float(values[-1]),
        lambda_k=float(values[0]),
    )


def contraction(problem: LeastSquares, batch_size: int, seed: int) -> float:
    """Simulate SGD and return the mean per-step decrease of the log expected squared error."""
    rng = np.random.default_rng([seed, 11, batch_size])
    errors = rng.standard_normal((N_REPEATS, N_DIMENSIONS))
    first = float(np.mean(np.sum(errors**2, axis=1)))
    for _ in range(N_STEPS):
        drawn = problem.inputs[rng.integers(0, N_SAMPLES, size=(N_REPEATS, batch_size))]
        residuals = np.einsum("rsd,rd->rs", drawn, errors)
        errors = errors - problem.step(batch_size) * np.einsum("rs,rsd->rd", residuals, drawn) / batch_size
    last = float(np.mean(np.sum(errors**2, axis=1)))
    return math.log(first / last) / N_STEPS


def minibatch_checks(seed: int) -> list[TheoryCheck]:
    """Check the guaranteed rate, near-linear gain up to s*, and saturation beyond."""
    problem = least_squares(seed)
    critical = max(2, round(problem.critical_size))
    one, at_critical, far = (contraction(problem, size, seed) for size in (1, critical, 8 * critical))
    guaranteed = -math.log1p(-problem.step(critical) * problem.lambda_k)
    return [
        above(
            "minibatch: rate at s*",
            at_critical,
            guaranteed * (1.0 - MONTE_CARLO_SLACK),
            f"simulated log decrease a step at s* = {critical} against −log(1 − η λk)",
        ),
        above(
            "minibatch: gain up to s*",
            at_critical / one,
            0.25 * critical,
            "one step of s* samples is worth about s*/2 steps of one (the guaranteed ratio), within a factor of 2",
        ),
        below(
            "minibatch: gain of 8 s* over s*",
            far / at_critical,
            2.0 * (1.0 + MONTE_CARLO_SLACK),
            "eight times the critical batch is worth at most about two of its steps",
        ),
        above(
            "minibatch: linear gain beyond s* (control)",
            far / at_critical,
            4.0,
            "half of a linear gain beyond the critical size: there is none",
            expected=Verdict.VIOLATED,
        ),
    ]
