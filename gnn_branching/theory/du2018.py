"""Du, Zhai, Póczos, Singh (2018), "Gradient descent provably optimizes over-parameterized neural networks".

``f(x) = m^{-1/2} Σ_r a_r ReLU(w_rᵀx)`` with only ``W`` trained on ``½ Σ (f − y)²``. The limit kernel's least
eigenvalue λ0 sets the rate ``(1 − ηλ0/2)^k``; wider networks move less and flip fewer activation signs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

import numpy as np

from gnn_branching.contracts import FloatArray
from gnn_branching.diagnostics.advice.picture import Curve, Panel, draw
from gnn_branching.diagnostics.measures.finding import Verdict
from gnn_branching.theory.report import TheoryCheck, TheoryReport, above, below, exactly, write_report

CLAIM = "Gradient descent on a wide two-layer ReLU network converges linearly at the rate set by the limit kernel's λ0."
PARALLEL = 1e-6
"""A least eigenvalue below this counts as zero: two inputs are parallel."""
KERNEL_EVERY = 10
"""Steps between measurements of the kernel along a run."""
DIVERGED = 1e6
"""A loss this many times its start counts as divergence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What an earlier run of this project measured at one width."""

    kernel_gap: float
    flipped_share: float
    drift: float


REFERENCES: Mapping[int, Reference] = {
    500: Reference(kernel_gap=0.133, flipped_share=0.041, drift=1.10),
    5000: Reference(kernel_gap=0.032, flipped_share=0.013, drift=0.39),
    20000: Reference(kernel_gap=0.017, flipped_share=0.006, drift=0.18),
}
REFERENCE_TOLERANCE = 0.3
"""Allowed relative distance from a reference run: other seeds differ by up to a fifth."""


class Fault(StrEnum):
    """Deliberate faults; the report must fail under each."""

    NONE = "none"
    DUPLICATED_INPUT = "duplicated-input"
    STEP_BEYOND_CEILING = "step-beyond-ceiling"


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """Sizes of the reproduction.

    Args:
        seed: Root of every draw.
        fault: Deliberate fault.
        n_samples: Inputs on the unit sphere.
        n_dimensions: Their dimension.
        widths: Hidden widths, ascending.
        learning_rate: η.
        n_steps: Steps of gradient descent.
        kernel_n_samples: Inputs, and dimension, of the check of ``‖H(0) − H∞‖ ≤ λ0/4``.
        kernel_widths: A width that must fail that check and one that must pass it.
    """

    seed: int = 0
    fault: Fault = Fault.NONE
    n_samples: int = 100
    n_dimensions: int = 50
    widths: tuple[int, ...] = (500, 5000, 20000)
    learning_rate: float = 0.5
    n_steps: int = 100
    kernel_n_samples: int = 1000
    kernel_widths: tuple[int, int] = (1000, 4000)

    def run(self, out: Path) -> TheoryReport:
        """Reproduce the claim; write ``du2018.png`` and ``du2018.json`` into ``out``."""
        started = time.perf_counter()
        data = sphere_data(self.n_samples, self.n_dimensions, self.seed)
        if self.fault is Fault.DUPLICATED_INPUT:
            data = duplicate_first(data)
        limit = limit_kernel(data.inputs)
        lambda_0 = float(np.linalg.eigvalsh(limit)[0])
        rate = self.learning_rate
        if self.fault is Fault.STEP_BEYOND_CEILING:
            rate = 3.0 / float(np.linalg.eigvalsh(limit)[-1])
        runs = [descend(data, width, rate, self.n_steps, self.seed + 1) for width in self.widths]
        checks = [
            above(
                "lambda_0",
                lambda_0,
                PARALLEL,
                "least eigenvalue of the limit kernel: no two inputs are parallel",
                reference=0.182,
            ),
            *(check for run in runs for check in _rate_checks(run, limit, lambda_0, rate)),
            *_width_checks(runs),
            above(
                "widths that the proof covers",
                sum(_is_wide(run, limit, lambda_0) for run in runs),
                1.0,
                "widths with ‖H(0) − H∞‖₂ ≤ λ0/4, at which the rows above owe what they say",
            ),
            *self._kernel_checks(),
            *_negative_controls(data, self.n_steps, self.seed),
        ]
        _picture(runs, lambda_0, rate, out / "du2018.png")
        return write_report("du2018", CLAIM, checks, out, started)

    def _kernel_checks(self) -> list[TheoryCheck]:
        data = sphere_data(self.kernel_n_samples, self.kernel_n_samples, self.seed + 2)
        limit = limit_kernel(data.inputs)
        lambda_0 = float(np.linalg.eigvalsh(limit)[0])
        quarter = lambda_0 / 4.0
        statement = "‖H(0) − H∞‖₂ against λ0/4: the width condition of the proof"
        narrow, wide = (
            float(np.linalg.norm(start_kernel(data.inputs, width, self.seed + 3) - limit, 2))
            for width in self.kernel_widths
        )
        size = f"n=d={self.kernel_n_samples}"
        return [
            above(f"lambda_0 {size}", lambda_0, PARALLEL, "least eigenvalue of the limit kernel", reference=0.246),
            below(
                "kernel_gap_narrow (negative control)",
                narrow,
                quarter,
                statement,
                reference=0.074,
                expected=Verdict.VIOLATED,
            ),
            below("kernel_gap_wide", wide, quarter, statement, reference=0.037),
        ]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Data:
    """Inputs of unit norm, (n, d), and labels, (n,), float64."""

    inputs: FloatArray
    labels: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Descent:
    """One run of gradient descent.

    Args:
        width: Hidden units m.
        squared_residuals: ``‖u_k − y‖²`` for k = 0 … n_steps; stops early on divergence.
        start_kernel: ``H(0)``, (n, n).
        least_eigenvalue: Smallest ``λmin(H(k))`` of every ``KERNEL_EVERY``-th step and the last.
        flipped_share: Share of activation signs that differ from the start.
        drift: ``max_r ‖w_r − w_r(0)‖``.
    """

    width: int
    squared_residuals: FloatArray
    start_kernel: FloatArray
    least_eigenvalue: float
    flipped_share: float
    drift: float


def sphere_data(n_samples: int, n_dimensions: int, seed: int) -> Data:
    """Draw inputs uniformly from the unit sphere and standard normal labels."""
    rng = np.random.default_rng([seed, 0])
    inputs = rng.standard_normal((n_samples, n_dimensions))
    return Data(inputs=inputs / np.linalg.norm(inputs, axis=1, keepdims=True), labels=rng.standard_normal(n_samples))


def duplicate_first(data: Data) -> Data:
    """Return the data with input 1 replaced by input 0, its label kept: a contradiction."""
    inputs = data.inputs.copy()
    inputs[1] = inputs[0]
    return Data(inputs=inputs, labels=data.labels)


def limit_kernel(inputs: FloatArray) -> FloatArray:
    """Return ``H∞_ij = x_iᵀx_j (π − arccos x_iᵀx_j) / 2π`` (Du et al. 2018, equation of H∞), (n, n)."""
    cosines = np.clip(inputs @ inputs.T, -1.0, 1.0)
    np.fill_diagonal(cosines, 1.0)
    kernel: FloatArray = cosines * (math.pi - np.arccos(cosines)) / (2.0 * math.pi)
    return kernel


def start_kernel(inputs: FloatArray, width: int, seed: int) -> FloatArray:
    """Return the finite-width kernel ``H(0)`` at a fresh initialisation, (n, n)."""
    return _kernel(inputs, np.random.default_rng([seed, width]).standard_normal((width, inputs.shape[1])))


def _kernel(inputs: FloatArray, weights: FloatArray) -> FloatArray:
    active = (inputs @ weights.T >= 0.0).astype(np.float64)
    kernel: FloatArray = (inputs @ inputs.T) * (active @ active.T) / weights.shape[0]
    return kernel


def descend(data: Data, width: int, learning_rate: float, n_steps: int, seed: int) -> Descent:
    """Train ``W`` by full-batch gradient descent from ``N(0, I)`` with fixed random signs ``a``."""
    rng = np.random.default_rng([seed, width])
    start = rng.standard_normal((width, data.inputs.shape[1]))
    signs = rng.choice(np.array([-1.0, 1.0]), size=width) / math.sqrt(width)
    weights = start.copy()
    residuals, least = [], math.inf
    for step in range(n_steps + 1):
        hidden = data.inputs @ weights.T
        residual = np.maximum(hidden, 0.0) @ signs - data.labels
        residuals.append(float(residual @ residual))
        if step % KERNEL_EVERY == 0 or step == n_steps:
            least = min(least, float(np.linalg.eigvalsh(_kernel(data.inputs, weights))[0]))
        if step == n_steps or residuals[-1] > DIVERGED * residuals[0]:
            break
        weights -= learning_rate * ((hidden >= 0.0) * np.outer(residual, signs)).T @ data.inputs
    flipped = (data.inputs @ start.T >= 0.0) != (data.inputs @ weights.T >= 0.0)
    return Descent(
        width=width,
        squared_residuals=np.array(residuals),
        start_kernel=_kernel(data.inputs, start),
        least_eigenvalue=least,
        flipped_share=float(flipped.mean()),
        drift=float(np.linalg.norm(weights - start, axis=1).max()),
    )


def _rate_checks(run: Descent, limit: FloatArray, lambda_0: float, rate: float) -> list[TheoryCheck]:
    steps = np.arange(len(run.squared_residuals))
    bound = np.maximum(1.0 - rate * lambda_0 / 2.0, 0.0) ** steps * run.squared_residuals[0]
    separated = lambda_0 > PARALLEL
    stable = rate * float(np.linalg.eigvalsh(run.start_kernel)[-1]) <= 2.0
    wide = _is_wide(run, limit, lambda_0)
    # A network too narrow for the proof owes nothing; that it is too narrow is what such a row must say.
    expected = Verdict.HOLDS if wide else Verdict.NOT_APPLICABLE
    needs = "needs λ0 > 0, η ≤ 2/λmax and ‖H(0) − H∞‖₂ ≤ λ0/4"
    drift_bound = math.inf
    if separated:
        drift_bound = 4.0 * math.sqrt(len(limit) * run.squared_residuals[0]) / (math.sqrt(run.width) * lambda_0)
    return [
        below(
            f"rate m={run.width}",
            float((run.squared_residuals[1:] / bound[1:]).max()),
            1.0,
            f"largest ratio of ‖u−y‖² to (1 − ηλ0/2)^k ‖u0−y‖² for k > 0; {needs}",
            assumptions_met=separated and stable and wide,
            expected=expected,
            slack=1e-9,
        ),
        below(
            f"drift m={run.width}",
            run.drift,
            drift_bound,
            f"max ‖w_r − w_r(0)‖ against 4√n‖y − u0‖/(√m λ0); {needs}",
            assumptions_met=separated and stable and wide,
            expected=expected,
        ),
        above(
            f"lambda_min of H m={run.width}",
            run.least_eigenvalue,
            lambda_0 / 2.0,
            f"smallest λmin(H(k)) along the run against λ0/2; {needs}",
            assumptions_met=separated and stable and wide,
            expected=expected,
        ),
        *_reference_checks(run, limit),
    ]


def _is_wide(run: Descent, limit: FloatArray, lambda_0: float) -> bool:
    return float(np.linalg.norm(run.start_kernel - limit, 2)) <= lambda_0 / 4.0


def _reference_checks(run: Descent, limit: FloatArray) -> list[TheoryCheck]:
    if run.width not in REFERENCES:
        return []
    known = REFERENCES[run.width]
    gap = float(np.linalg.norm(run.start_kernel - limit, 2))
    triples = (
        ("kernel_gap", gap, known.kernel_gap),
        ("flips", run.flipped_share, known.flipped_share),
        ("max_drift", run.drift, known.drift),
    )
    statement = f"within {REFERENCE_TOLERANCE:.0%} of the reference run (n = 100, d = 50, η = 0.5, 100 steps)"
    return [
        exactly(f"{name} m={run.width}", value, reference, REFERENCE_TOLERANCE * reference, statement)
        for name, value, reference in triples
    ]


def _width_checks(runs: list[Descent]) -> list[TheoryCheck]:
    exponent = float(np.polyfit(np.log([r.width for r in runs]), np.log([r.drift for r in runs]), 1)[0])
    falling = all(a.flipped_share > b.flipped_share for a, b in pairwise(runs))
    faster = runs[0].squared_residuals[-1] > runs[-1].squared_residuals[-1]
    return [
        exactly("drift_exponent", exponent, -0.5, 0.1, "exponent of the drift in the width, log-log fit"),
        above("flips_fall_with_width", float(falling), 1.0, "share of flipped signs falls from each width to the next"),
        above("wider_is_faster", float(faster), 1.0, "the widest network ends at a lower loss than the narrowest"),
    ]


def _negative_controls(data: Data, n_steps: int, seed: int) -> list[TheoryCheck]:
    twin = duplicate_first(data)
    kernel = limit_kernel(twin.inputs)
    lambda_0, top = float(np.linalg.eigvalsh(kernel)[0]), float(np.linalg.eigvalsh(limit_kernel(data.inputs))[-1])
    floor = 0.5 * float(twin.labels[0] - twin.labels[1]) ** 2
    stuck = descend(twin, 2000, 0.5, 6 * n_steps, seed + 4)
    wild = descend(data, 2000, 3.0 / top, n_steps, seed + 4)
    growth = float(wild.squared_residuals.max() / wild.squared_residuals[0])
    return [
        above(
            "duplicate: lambda_0 (negative control)",
            lambda_0,
            PARALLEL,
            "an input given twice makes the limit kernel singular",
            expected=Verdict.VIOLATED,
        ),
        above(
            "duplicate: plateau",
            float(stuck.squared_residuals[-1]),
            floor,
            "‖u−y‖² stays above half the squared label gap",
            slack=1e-9 * floor,
        ),
        exactly(
            "duplicate: plateau_height",
            float(stuck.squared_residuals[-1]) / floor,
            1.0,
            0.1,
            "‖u−y‖² over half the squared label gap, after six times the steps",
        ),
        below(
            "eta = 3/lambda_max (negative control)",
            growth,
            1.0,
            "largest ‖u−y‖² over its start, with a step beyond 2/λmax",
            expected=Verdict.VIOLATED,
        ),
    ]


def _picture(runs: list[Descent], lambda_0: float, rate: float, path: Path) -> None:
    steps = np.arange(max(len(r.squared_residuals) for r in runs))
    first = runs[0].squared_residuals[0]
    loss = [Curve(x=np.arange(len(r.squared_residuals)), y=r.squared_residuals, label=f"m = {r.width}") for r in runs]
    loss.append(
        Curve(x=steps, y=first * (1.0 - rate * lambda_0 / 2.0) ** steps, label="bound (1 − ηλ0/2)^k", dashed=True)
    )
    widths = [r.width for r in runs]
    panels = [
        Panel(title="Training", x_label="step", y_label="‖u − y‖²", curves=loss, y_log=True),
        Panel(
            title="Wider moves less",
            x_label="width m",
            y_label="change from start to end",
            curves=[
                Curve(x=widths, y=[r.drift for r in runs], label="max drift of a unit", marked=True),
                Curve(x=widths, y=[r.flipped_share for r in runs], label="share of flipped signs", marked=True),
                Curve(
                    x=widths,
                    y=[runs[0].drift * math.sqrt(widths[0] / m) for m in widths],
                    label="slope −½",
                    dashed=True,
                ),
            ],
            x_log=True,
            y_log=True,
        ),
    ]
    draw(panels, path)
