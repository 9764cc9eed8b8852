"""Senen-Cerda, Sanders (2020), "Asymptotic convergence rate of Dropout on shallow linear neural networks".

``Y ≈ W2 W1`` with whitened inputs and hidden width f; every hidden unit (Dropout) or weight (Dropconnect) is kept with
probability p. In rescaled weights the objective is ``I = ‖Y − W2 W1‖² + λ R`` with
``R = Σ_i ‖W2[:, i]‖² ‖W1[i, :]‖²`` and ``λ = (1 − p)/p`` or ``(1 − p²)/p²``. PyTorch's ``p`` is the DROP probability.
Closed forms and rates below were derived for this project; the closed rate is a rank-1 derivation.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from gnn_branching.diagnostics.advice.picture import Curve, Panel, draw
from gnn_branching.diagnostics.measures.finding import Verdict
from gnn_branching.theory.report import TheoryCheck, TheoryReport, above, below, exactly, write_report
from gnn_branching.theory.shallow_linear import (
    Decay,
    Factors,
    Noise,
    descend,
    first_positive,
    flow_gaps,
    global_minimum,
    noisy_objective,
    numerical_hessian,
    penalty_weight,
    rank_one_rate,
    sampled_objective,
)

CLAIM = (
    "Dropout on a shallow linear network converges at a rate that falls like 1/width and vanishes as p approaches 1."
)
RATE_TOLERANCE = 0.01
"""Allowed relative distance of a fitted slope from its closed form."""

REFERENCE_SIZE, REFERENCE_SLOPE = (4, 1.0), -0.7745
"""Width and singular value of an earlier run with p = 0.7, and the slope it fitted."""


class Fault(StrEnum):
    """Deliberate faults; the report must fail under each."""

    NONE = "none"
    WRONG_LAMBDA = "wrong-lambda"


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """Sizes of the reproduction.

    Args:
        seed: Root of every draw.
        fault: Deliberate fault.
        width: Hidden width f.
        keep_probability: p.
        sigma: The singular value of the rank-1 target.
        n_draws: Monte-Carlo masks of the objective's check.
    """

    seed: int = 0
    fault: Fault = Fault.NONE
    width: int = 4
    keep_probability: float = 0.7
    sigma: float = 1.0
    n_draws: int = 200_000

    def run(self, out: Path) -> TheoryReport:
        """Reproduce the claim; write ``senen-cerda2020.png`` and ``.json`` into ``out``."""
        started = time.perf_counter()
        p, wrong = self.keep_probability, self.fault is Fault.WRONG_LAMBDA
        weight = penalty_weight(1.0 - p if wrong else p, Noise.DROPOUT)
        decay = flow_gaps(self.sigma, self.width, penalty_weight(p, Noise.DROPOUT), self.seed)
        checks = [
            *_objective_checks(p, 1.0 - p if wrong else p, self.n_draws, self.seed),
            *_minimum_checks(self.width, weight, penalty_weight(p, Noise.DROPOUT), self.seed),
            *_rate_checks(decay, self.sigma, self.width, weight),
            *_rank_two_checks(self.width, penalty_weight(p, Noise.DROPOUT), self.seed),
            *_width_one_checks(self.sigma, penalty_weight(p, Noise.DROPOUT)),
            *_keep_probability_checks(self.sigma, self.width, self.seed),
            _wrong_lambda(decay, self.sigma, self.width, p),
        ]
        _picture(decay, self.sigma, self.width, weight, out / "senen-cerda2020.png")
        return write_report("senen-cerda2020", CLAIM, checks, out, started)


def _objective_checks(keep: float, claimed_keep: float, n_draws: int, seed: int) -> list[TheoryCheck]:
    rng = np.random.default_rng([seed, 2])
    target = rng.standard_normal((2, 3))
    factors = Factors(outer=rng.standard_normal((2, 4)), inner=rng.standard_normal((4, 3)))
    checks = []
    for noise in Noise:
        mean, error = sampled_objective(target, factors, keep, noise, n_draws, seed)
        closed = noisy_objective(target, factors, claimed_keep, noise)
        checks.append(
            exactly(
                f"{noise} objective", closed, mean, 4.0 * error, "closed form against Monte Carlo, 4 standard errors"
            )
        )
    return checks


def _minimum_checks(width: int, weight: float, true_weight: float, seed: int) -> list[TheoryCheck]:
    rng = np.random.default_rng([seed, 3])
    target = np.diag([2.0, 1.0, 0.3])
    start = Factors(outer=rng.standard_normal((3, width)), inner=rng.standard_normal((width, 3)))
    end, values = descend(target, start, true_weight, 0.02, 8000)
    closed = global_minimum(np.array([2.0, 1.0, 0.3]), width, weight)
    paths = np.linalg.norm(end.outer, axis=0) * np.linalg.norm(end.inner, axis=1)
    found = np.linalg.svd(end.outer @ end.inner, compute_uv=False)
    gap = float(np.abs(found - np.array(closed.values)).max()) if len(closed.values) == 3 else math.nan
    return [
        exactly("rank-3 minimum", float(values[-1]), closed.objective, 1e-6, "objective of the flow's end against I*"),
        below("rank-3 singular values", gap, 1e-3, "largest distance of a singular value from max(σ − α, 0)"),
        exactly(
            "equalised paths", float(paths.max() - paths.min()), 0.0, 2e-2, "spread of ‖W2[:, i]‖‖W1[i, :]‖ at the end"
        ),
    ]


def _rate_checks(decay: Decay, sigma: float, width: int, weight: float) -> list[TheoryCheck]:
    omega = rank_one_rate(sigma, width, weight)
    scale = math.sqrt(global_minimum(np.array([sigma]), width, weight).path_norm)
    balanced = Factors(outer=np.full((1, width), scale), inner=np.full((width, 1), scale))
    hessian = numerical_hessian(np.array([[sigma]]), balanced, weight)
    spectrum = np.asarray(np.linalg.eigvalsh(hessian), dtype=np.float64)
    checks = [
        exactly(
            "hessian eigenvalue",
            float(spectrum[first_positive(spectrum)]),
            omega,
            1e-6,
            "smallest nonzero Hessian eigenvalue against ω, rank-1 derivation",
        ),
        exactly(
            "decay slope",
            decay.slope(),
            -2.0 * omega,
            RATE_TOLERANCE * 2.0 * omega,
            "slope of the log gap against −2ω, rank-1 derivation",
        ),
    ]
    if (width, sigma) == REFERENCE_SIZE:
        statement = "the same slope against an earlier run's (p = 0.7)"
        checks.append(exactly("decay slope, earlier", decay.slope(), REFERENCE_SLOPE, 0.005, statement))
    return checks


def _rank_two_checks(width: int, weight: float, seed: int) -> list[TheoryCheck]:
    """At rank 2 there is no closed rate: leave a minimiser along the slowest mode of its numerical Hessian."""
    target, rng = np.diag([2.0, 1.0]), np.random.default_rng([seed, 4])
    start = Factors(outer=rng.standard_normal((2, width)), inner=rng.standard_normal((width, 2)))
    minimiser, _ = descend(target, start, weight, 0.02, 4000)
    values, vectors = np.linalg.eigh(numerical_hessian(target, minimiser, weight))
    slowest = first_positive(values)
    outer, inner = np.split(0.02 * vectors[:, slowest], 2)
    near = Factors(outer=minimiser.outer + outer.reshape(2, width), inner=minimiser.inner + inner.reshape(width, 2))
    _, objectives = descend(target, near, weight, 0.02, 4000)
    gaps = np.maximum(objectives - global_minimum(np.array([2.0, 1.0]), width, weight).objective, 1e-300)
    slope, rate = Decay(times=0.02 * np.arange(4000.0), gaps=gaps).slope(0.1), 2.0 * float(values[slowest])
    statement = "slope of the log gap against −2 times the smallest nonzero eigenvalue of the numerical Hessian"
    closed = 2.0 * rank_one_rate(2.0, width, weight)
    return [
        exactly("rank-2 decay slope", slope, -rate, RATE_TOLERANCE * rate, statement),
        below(
            "rank-1 rate at rank 2 (negative control)",
            abs(slope + closed) / closed,
            RATE_TOLERANCE,
            "relative distance of the slope at rank 2 from the closed rate, which is a rank-1 derivation",
            expected=Verdict.VIOLATED,
        ),
    ]


def _width_one_checks(sigma: float, weight: float) -> list[TheoryCheck]:
    """A single unit has no second mode: its rate is another one, and the dense Hessian decides."""
    root = math.sqrt(global_minimum(np.array([sigma]), 1, weight).path_norm)
    balanced = Factors(outer=np.array([[root]]), inner=np.array([[root]]))
    spectrum = np.asarray(np.linalg.eigvalsh(numerical_hessian(np.array([[sigma]]), balanced, weight)))
    found = float(spectrum[first_positive(spectrum)])
    statement = "smallest nonzero Hessian eigenvalue of a single unit against 4σ"
    return [exactly("hessian eigenvalue, f = 1", found, rank_one_rate(sigma, 1, weight), 1e-6, statement)]


def _keep_probability_checks(sigma: float, width: int, seed: int) -> list[TheoryCheck]:
    """Simulate the flow at several keep probabilities and widths; in original weights its rate is p ω."""
    fastest = 1.0 / (1.0 + math.sqrt(width))
    rates: dict[float, float] = {}
    checks = []
    for p in (fastest - 0.15, fastest, fastest + 0.15, 0.9):
        weight = penalty_weight(p, Noise.DROPOUT)
        slope, omega = flow_gaps(sigma, width, weight, seed).slope(), rank_one_rate(sigma, width, weight)
        rates[p] = -p * slope / 2.0
        statement = "slope of the flow's log gap over −2ω"
        checks.append(
            exactly(f"slope over -2 omega, p = {p:.2f}", -slope / (2.0 * omega), 1.0, RATE_TOLERANCE, statement)
        )
    others = max(rate for p, rate in rates.items() if p != fastest)
    wide = flow_gaps(sigma, 2 * width, 1.0, seed).slope() / flow_gaps(sigma, width, 1.0, seed).slope()
    expected = (width + 1.0) / (2.0 * width + 1.0)
    return [
        *checks,
        above("fastest p", rates[fastest], others, "simulated rate p ω at p = 1/(1 + √f) against the other p"),
        below("rate near p = 1", rates[0.9], 0.75 * rates[fastest], "the simulated rate falls as p approaches 1"),
        exactly(
            "rate over width", wide, expected, RATE_TOLERANCE, "simulated rate at twice the width over the rate, λ = 1"
        ),
    ]


def _wrong_lambda(decay: Decay, sigma: float, width: int, keep: float) -> TheoryCheck:
    swapped = rank_one_rate(sigma, width, penalty_weight(1.0 - keep, Noise.DROPOUT))
    distance = abs(decay.slope() + 2.0 * swapped) / (2.0 * swapped)
    statement = "relative distance of the slope from −2ω with the drop probability taken for the keep probability"
    return below("wrong lambda (negative control)", distance, RATE_TOLERANCE, statement, expected=Verdict.VIOLATED)


def _picture(decay: Decay, sigma: float, width: int, weight: float, path: Path) -> None:
    predicted = decay.gaps[0] * np.exp(-2.0 * rank_one_rate(sigma, width, weight) * decay.times)
    shown = slice(None, None, max(1, len(decay.times) // 500))
    floor = np.where(decay.gaps > 1e-15, decay.gaps, np.nan)
    grid = np.linspace(0.01, 0.99, 99)
    rates = [
        Curve(
            x=grid,
            y=[p * rank_one_rate(sigma, f, penalty_weight(p, Noise.DROPOUT)) for p in grid],
            label=f"f = {f}",
        )
        for f in (1, width, 4 * width)
    ]
    panels = [
        Panel(
            title="Gap along the flow",
            x_label="time",
            y_label="I − I*",
            curves=[
                Curve(x=decay.times[shown], y=floor[shown], label="measured"),
                Curve(x=decay.times[shown], y=predicted[shown], label="exp(−2ωt)", dashed=True),
            ],
            y_log=True,
        ),
        Panel(title="Rate in original weights", x_label="keep probability p", y_label="p ω", curves=rates),
    ]
    draw(panels, path)
