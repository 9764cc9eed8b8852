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

from gnn_branching.contracts import FloatArray
from gnn_branching.diagnostics.advice.picture import Curve, Panel, draw
from gnn_branching.diagnostics.measures.finding import Verdict
from gnn_branching.theory.report import TheoryCheck, TheoryReport, above, below, exactly, write_report

CLAIM = (
    "Dropout on a shallow linear network converges at a rate that falls like 1/width and vanishes as p approaches 1."
)
RATE_TOLERANCE = 0.01
"""Allowed relative distance of a fitted slope from its closed form."""

REFERENCE_SIZE, REFERENCE_SLOPE = (4, 1.0), -0.7745
"""Width and singular value of an earlier run with p = 0.7, and the slope it fitted."""
NULL_SHARE = 1e-4
"""An eigenvalue below this share of the largest counts as zero."""


class Fault(StrEnum):
    """Deliberate faults; the report must fail under each."""

    NONE = "none"
    WRONG_LAMBDA = "wrong-lambda"


class Noise(StrEnum):
    """What is dropped."""

    DROPOUT = "dropout"
    DROPCONNECT = "dropconnect"


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
            *_keep_probability_checks(self.sigma, self.width),
            *_negative_controls(decay, self.sigma, self.width, p),
        ]
        _picture(decay, self.sigma, self.width, weight, out / "senen-cerda2020.png")
        return write_report("senen-cerda2020", CLAIM, checks, out, started)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Factors:
    """The two weight matrices: ``outer`` W2, (n_out, f), and ``inner`` W1, (f, n_in)."""

    outer: FloatArray
    inner: FloatArray

    @property
    def penalty(self) -> float:
        """``R = Σ_i ‖W2[:, i]‖² ‖W1[i, :]‖²``."""
        return float(np.sum(np.sum(self.outer**2, axis=0) * np.sum(self.inner**2, axis=1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Minimum:
    """Global minimum of the rescaled objective.

    Args:
        values: Singular values of ``W2 W1``, descending, (rank,).
        objective: ``I*``.
        path_norm: The common ``‖W2[:, i]‖ ‖W1[i, :]‖`` of an equalised minimiser.
    """

    values: tuple[float, ...]
    objective: float
    path_norm: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decay:
    """Gap ``I − I*`` along a gradient flow: times and gaps, (n_points,), float64."""

    times: FloatArray
    gaps: FloatArray

    def slope(self, past_transient: float = 1e-4) -> float:
        """Return the slope of the log gap from a share of its start, past the transient, to 1e-11 of it."""
        relative = self.gaps / self.gaps[0]
        window = (relative < past_transient) & (relative > 1e-11)
        return float(np.polyfit(self.times[window], np.log(self.gaps[window]), 1)[0])


def penalty_weight(keep_probability: float, noise: Noise) -> float:
    """Return λ of the rescaled objective for a KEEP probability."""
    kept = keep_probability if noise is Noise.DROPOUT else keep_probability**2
    return (1.0 - kept) / kept


def noisy_objective(target: FloatArray, factors: Factors, keep_probability: float, noise: Noise) -> float:
    """Return the closed-form expected loss ``E‖Y − noisy product‖²`` in original coordinates."""
    p = keep_probability if noise is Noise.DROPOUT else keep_probability**2
    spread = p - p * p
    return float(np.sum((target - p * factors.outer @ factors.inner) ** 2)) + spread * factors.penalty


def sampled_objective(
    target: FloatArray, factors: Factors, keep_probability: float, noise: Noise, n_draws: int, seed: int
) -> tuple[float, float]:
    """Return the Monte-Carlo mean of the noisy loss and its standard error."""
    rng = np.random.default_rng([seed, 0])
    n_out, width = factors.outer.shape
    losses = []
    for _ in range(10):
        draws = n_draws // 10
        if noise is Noise.DROPOUT:
            outer = factors.outer * (rng.random((draws, 1, width)) < keep_probability)
            product = outer @ factors.inner
        else:
            outer = factors.outer * (rng.random((draws, n_out, width)) < keep_probability)
            product = outer @ (factors.inner * (rng.random((draws, *factors.inner.shape)) < keep_probability))
        losses.append(np.sum((target - product) ** 2, axis=(1, 2)))
    sample = np.concatenate(losses)
    return float(sample.mean()), float(sample.std(ddof=1) / math.sqrt(len(sample)))


def global_minimum(singular_values: FloatArray, width: int, weight: float) -> Minimum:
    """Return the global minimum of ``‖Y − W2 W1‖² + λ R`` at hidden width f.

    ``s_i = max(σ_i − α, 0)`` with ``α = λ Σ_{i≤ρ} σ_i / (f + λρ)``, ρ the largest r with ``σ_r > α_r``.
    """
    sigma = np.sort(singular_values)[::-1][:width]
    counts = np.arange(1, len(sigma) + 1)
    thresholds = weight * np.cumsum(sigma) / (width + weight * counts)
    active = np.nonzero(sigma > thresholds)[0]
    threshold = float(thresholds[active[-1]]) if len(active) else 0.0
    kept = np.maximum(sigma - threshold, 0.0)
    rest = float(np.sum(np.sort(singular_values)[::-1][width:] ** 2))
    objective = float(np.sum((sigma - kept) ** 2)) + rest + weight / width * float(kept.sum()) ** 2
    return Minimum(values=tuple(kept.tolist()), objective=objective, path_norm=float(kept.sum()) / width)


def rank_one_rate(sigma: float, width: int, weight: float) -> float:
    """Return ω = 4λσ/(f + λ), the smallest nonzero Hessian eigenvalue of ``I`` at a balanced minimiser.

    Rank-1 derivation: with ``t = σ/(f + λ)`` the common path value, the Hessian is ``[[A, A], [A, A]]``,
    ``A = 2t(11ᵀ + λ Id)``, so its eigenvalues are ``4t(f + λ)``, ``4tλ`` (f − 1 times) and 0 (f times).
    For ``½ I`` halve it.
    """
    return 4.0 * weight * sigma / (width + weight)


def rescaled_objective(target: FloatArray, factors: Factors, weight: float) -> float:
    """Return ``‖Y − W2 W1‖² + λ R``."""
    return float(np.sum((target - factors.outer @ factors.inner) ** 2)) + weight * factors.penalty


def descend(target: FloatArray, start: Factors, weight: float, step: float, n_steps: int) -> tuple[Factors, FloatArray]:
    """Follow ``Ẇ = −∇I`` by Heun's method; return the end and the objective per step, (n_steps,)."""
    outer, inner = start.outer, start.inner
    values = np.empty(n_steps)
    for index in range(n_steps):
        values[index] = rescaled_objective(target, Factors(outer=outer, inner=inner), weight)
        first = _slope(target, outer, inner, weight)
        second = _slope(target, outer - step * first.outer, inner - step * first.inner, weight)
        outer = outer - 0.5 * step * (first.outer + second.outer)
        inner = inner - 0.5 * step * (first.inner + second.inner)
    return Factors(outer=outer, inner=inner), values


def _slope(target: FloatArray, outer: FloatArray, inner: FloatArray, weight: float) -> Factors:
    residual = outer @ inner - target
    by_outer = 2.0 * residual @ inner.T + 2.0 * weight * outer * np.sum(inner**2, axis=1)
    by_inner = 2.0 * outer.T @ residual + 2.0 * weight * inner * np.sum(outer**2, axis=0)[:, None]
    return Factors(outer=by_outer, inner=by_inner)


def flow_gaps(sigma: float, width: int, weight: float, seed: int) -> Decay:
    """Follow the flow for a scalar (rank-1) target from near the balanced minimiser and record the gap.

    The flow conserves ``u_i² − v_i²`` of each unit, so a balanced start ends in the balanced minimiser.
    """
    minimum = global_minimum(np.array([sigma]), width, weight)
    rng = np.random.default_rng([seed, 1])
    scale = math.sqrt(minimum.path_norm)
    signs = rng.choice(np.array([-1.0, 1.0]), size=width)
    near = signs * scale + 0.05 * rng.standard_normal(width)
    start = Factors(outer=near[None, :], inner=near[:, None])
    step = 0.02 / sigma
    n_steps = int(32.0 / (2.0 * rank_one_rate(sigma, width, weight) * step))
    _, values = descend(np.array([[sigma]]), start, weight, step, n_steps)
    return Decay(times=step * np.arange(n_steps, dtype=np.float64), gaps=np.maximum(values - minimum.objective, 1e-300))


def numerical_hessian(target: FloatArray, factors: Factors, weight: float) -> FloatArray:
    """Return the Hessian at ``factors``, outer weights first, by central differences of the exact gradient."""
    n_outer, point = factors.outer.size, np.concatenate([factors.outer.ravel(), factors.inner.ravel()])
    step, rows = 1e-5, []
    for index in range(len(point)):
        shift = np.zeros_like(point)
        shift[index] = step
        ends = []
        for moved in (point + shift, point - shift):
            outer = moved[:n_outer].reshape(factors.outer.shape)
            inner = moved[n_outer:].reshape(factors.inner.shape)
            slope = _slope(target, outer, inner, weight)
            ends.append(np.concatenate([slope.outer.ravel(), slope.inner.ravel()]))
        rows.append((ends[0] - ends[1]) / (2.0 * step))
    hessian = np.array(rows)
    symmetric: FloatArray = 0.5 * (hessian + hessian.T)
    return symmetric


def first_positive(spectrum: FloatArray) -> int:
    """Return the index of the smallest eigenvalue, in ascending order, that is more than an error of differences."""
    return int(np.argmax(spectrum > NULL_SHARE * spectrum[-1]))


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
    return [exactly("rank-2 decay slope", slope, -rate, RATE_TOLERANCE * rate, statement)]


def _keep_probability_checks(sigma: float, width: int) -> list[TheoryCheck]:
    grid = np.linspace(0.001, 0.999, 9981)
    rates = np.array([p * rank_one_rate(sigma, width, penalty_weight(p, Noise.DROPOUT)) for p in grid])
    closed = 4.0 * grid * (1.0 - grid) * sigma / (grid * width + 1.0 - grid)
    wide = rank_one_rate(sigma, 100 * width, 1.0) / rank_one_rate(sigma, 200 * width, 1.0)
    return [
        below("rate in p", float(np.abs(rates - closed).max()), 1e-12, "p ω against 4p(1−p)σ/(pf + 1 − p)"),
        exactly(
            "fastest p", float(grid[rates.argmax()]), 1.0 / (1.0 + math.sqrt(width)), 2e-4, "argmax against 1/(1 + √f)"
        ),
        below("rate at p = 0.999", float(rates[-1] / rates.max()), 0.05, "the rate vanishes as p approaches 1"),
        exactly("rate over width", wide, 2.0, 0.02, "doubling a large width halves the rate"),
    ]


def _negative_controls(decay: Decay, sigma: float, width: int, keep: float) -> list[TheoryCheck]:
    swapped = rank_one_rate(sigma, width, penalty_weight(1.0 - keep, Noise.DROPOUT))
    distance = abs(decay.slope() + 2.0 * swapped) / (2.0 * swapped)
    statement = "relative distance of the slope from −2ω with the drop probability taken for the keep probability"
    two_values = global_minimum(np.array([2.0, 1.0]), width, penalty_weight(keep, Noise.DROPOUT))
    return [
        below("wrong lambda (negative control)", distance, RATE_TOLERANCE, statement, expected=Verdict.VIOLATED),
        above(
            "rank-1 rate at rank 2 (negative control)",
            math.nan,
            float(sum(v > 0 for v in two_values.values)),
            "the closed rate is asked for only when one singular value is kept",
            assumptions_met=sum(v > 0 for v in two_values.values) == 1,
            expected=Verdict.NOT_APPLICABLE,
        ),
    ]


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
