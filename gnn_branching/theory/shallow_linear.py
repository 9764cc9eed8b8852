"""Shallow linear networks under dropout: objective, minimum, gradient flow, curvature; derived for this project."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from gnn_branching.contracts import FloatArray

NULL_SHARE = 1e-4
"""An eigenvalue below this share of the largest counts as zero."""


class Noise(StrEnum):
    """What is dropped."""

    DROPOUT = "dropout"
    DROPCONNECT = "dropconnect"


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
    For ``½ I`` halve it. A single unit has the mode ``4t(f + λ) = 4σ`` alone.
    """
    return 4.0 * sigma if width == 1 else 4.0 * weight * sigma / (width + weight)


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
