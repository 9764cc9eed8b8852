"""Liu, Zhu, Belkin (2020), "Loss landscapes and optimization in over-parameterized non-linear systems".

Square loss ``½ ‖F(w) − y‖²`` with tangent kernel ``K = J Jᵀ``: if ``λmin(K) ≥ μ`` the loss is μ-PL*, gradient descent
with step 1/β contracts by ``1 − μ/β`` and stays in a ball of radius ``2√(2βL0)/μ``; with smooth activations and
``1/√m`` scaling the Hessian of an output vanishes as the width m grows. Relative to the change of the output it does
so whatever the scaling. The cross-entropy's part is in ``imitation_loss``,
that of stochastic gradients in ``minibatch``.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from gnn_branching.contracts import FloatArray
from gnn_branching.diagnostics.advice.picture import Curve, Panel, draw
from gnn_branching.diagnostics.measures.finding import Finding, Verdict
from gnn_branching.diagnostics.measures.polyak import descent_step, local_ratio, pl_ball, sandwich, segment_smoothness
from gnn_branching.diagnostics.measures.probe import LossKind, Probe, make_probe
from gnn_branching.diagnostics.measures.products import gradient, jacobian_product, outputs_of
from gnn_branching.diagnostics.measures.tangent_kernel import kernel_spectrum, tangent_kernel
from gnn_branching.theory.imitation_loss import imitation_checks
from gnn_branching.theory.minibatch import minibatch_checks
from gnn_branching.theory.report import TheoryCheck, TheoryReport, above, below, exactly, write_report

CLAIM = "A well-conditioned tangent kernel makes the loss PL*, and gradient descent converges linearly inside a ball."
N_INPUTS = 4
"""Input dimension of the small networks."""
SINGULAR = 1e-8
"""λmin(K) below this share of λmax(K) counts as zero."""


class Fault(StrEnum):
    """Deliberate faults; the report must fail under each."""

    NONE = "none"
    UNSCALED_WIDTH = "unscaled-width"
    STEP_BEYOND_CEILING = "step-beyond-ceiling"
    DUPLICATED_INPUT = "duplicated-input"


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """Sizes of the reproduction.

    Args:
        seed: Root of every draw.
        fault: Deliberate fault.
        n_cases: Random networks of the sandwich.
        width: Hidden width of the trained network.
        n_samples: Its training samples.
        n_steps: Its steps of gradient descent.
        widths: Widths of the transition to linearity.
        n_flow_steps: Euler steps of the cross-entropy's gradient flows.
    """

    seed: int = 0
    fault: Fault = Fault.NONE
    n_cases: int = 1000
    width: int = 128
    n_samples: int = 8
    n_steps: int = 60
    widths: tuple[int, ...] = (64, 256, 1024, 4096)
    n_flow_steps: int = 6000

    def run(self, out: Path) -> TheoryReport:
        """Reproduce the claim; write ``liu2020.png`` and ``liu2020.json`` into ``out``."""
        started = time.perf_counter()
        duplicated = self.fault is Fault.DUPLICATED_INPUT
        probe, start = tanh_problem(self.width, self.n_samples, self.seed, duplicated=duplicated)
        factor = 3.0 if self.fault is Fault.STEP_BEYOND_CEILING else 0.8
        descent = descend(probe, start, factor, self.n_steps)
        linearity = [
            measure_linearity(m, self.seed, scaled=self.fault is not Fault.UNSCALED_WIDTH) for m in self.widths
        ]
        unscaled = [measure_linearity(m, self.seed, scaled=False) for m in self.widths]
        checks = [
            *_sandwich_checks(self.n_cases, self.seed),
            *_descent_checks(descent),
            *_linearity_checks(linearity, unscaled, self.widths),
            *_duplicate_checks(self.width, self.n_samples, self.seed),
            *imitation_checks(self.seed, self.n_flow_steps),
            *minibatch_checks(self.seed),
        ]
        _picture(descent, linearity, self.widths, out / "liu2020.png")
        return write_report("liu2020", CLAIM, checks, out, started)


class TanhNetwork(nn.Module):
    """``f(x) = m^{-1/2} Σ a_r tanh(w_rᵀ x / √d)`` with fixed signs a; only W is trained."""

    def __init__(self, width: int, n_inputs: int, generator: torch.Generator, *, scaled: bool = True) -> None:
        super().__init__()
        self.inner = nn.Parameter(torch.randn(width, n_inputs, generator=generator, dtype=torch.float64))
        signs = torch.randint(0, 2, (width,), generator=generator).double() * 2 - 1
        self.register_buffer("outer", signs / (math.sqrt(width) if scaled else 1.0))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return one output per row of ``inputs``."""
        hidden = torch.tanh(inputs @ self.inner.T / math.sqrt(inputs.shape[1]))
        return hidden @ self.get_buffer("outer")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Descent:
    """One run of gradient descent with everything the claim speaks of.

    Args:
        losses: Per step from 0, (n_steps + 1,).
        steps: One per-step finding.
        learning_rate: η.
        smoothness: β, the largest λmax(H) on any segment.
        mu: Smallest λmin(K) on the path.
        kernel_lambda_max: λmax(K) at the start.
        ball: Whether the run stayed in the ball.
    """

    losses: FloatArray
    steps: tuple[Finding, ...]
    learning_rate: float
    smoothness: float
    mu: float
    kernel_lambda_max: float
    ball: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Linearity:
    """Spectral norm of one output's Hessian, and the relative error of the linearised network."""

    hessian_norm: float
    relative_error: float


def tanh_problem(width: int, n_samples: int, seed: int, *, duplicated: bool = False) -> tuple[Probe, Tensor]:
    """Return a square-loss problem and its start; ``duplicated`` repeats input 0 under another label."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n_samples, N_INPUTS, generator=generator, dtype=torch.float64)
    labels = torch.randn(n_samples, generator=generator, dtype=torch.float64)
    if duplicated:
        inputs[1] = inputs[0]
    network = TanhNetwork(width, N_INPUTS, generator)
    sizes = torch.ones(n_samples, dtype=torch.long)
    probe = make_probe(network, [lambda module: module(inputs)], labels, sizes, LossKind.SQUARE)
    return probe, probe.parameters()


def descend(probe: Probe, start: Tensor, factor: float, n_steps: int) -> Descent:
    """Run gradient descent with η = ``factor``/λmax(H at the start), measuring μ and β all along."""
    rate = factor / segment_smoothness(probe, start, start, n_points=1)
    point, losses, steps, smoothness, mus = start, [], [], [], []
    top = math.nan
    for _ in range(n_steps):
        ratio = local_ratio(probe, point)
        spectrum = kernel_spectrum(probe, point, tangent_kernel(probe, point))
        top = spectrum.lambda_max if math.isnan(top) else top
        following = point - rate * gradient(probe, point)
        smoothness.append(segment_smoothness(probe, point, following, n_points=3))
        after = float(probe.loss(outputs_of(probe, following)))
        steps.append(descent_step(ratio, after, rate, smoothness[-1]))
        mus.append(spectrum.lambda_min)
        losses.append(ratio.loss)
        point = following
    losses.append(float(probe.loss(outputs_of(probe, point))))
    beta, mu = max(smoothness), min(mus)
    distance = float((point - start).norm())
    return Descent(
        losses=np.array(losses),
        steps=tuple(steps),
        learning_rate=rate,
        smoothness=beta,
        mu=mu,
        kernel_lambda_max=top,
        ball=pl_ball(losses[0], beta, mu, distance, path_checked=rate * beta <= 1.0),
    )


def measure_linearity(width: int, seed: int, *, scaled: bool, n_draws: int = 40) -> Linearity:
    """Measure how nonlinear random networks are on a ball of radius 1 around their start; medians over draws.

    The Hessian of one output is block diagonal, so its norm is ``max_r |a_r tanh''(h_r)| ‖x‖² / d`` exactly. The
    relative error is ``‖f(w) − f(w0) − J Δw‖ / ‖f(w) − f(w0)‖`` over random Δw of length 1.
    """
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(16, N_INPUTS, generator=generator, dtype=torch.float64)
    sizes, norms, errors = torch.ones(16, dtype=torch.long), [], []
    for _ in range(n_draws):
        network = TanhNetwork(width, N_INPUTS, generator, scaled=scaled)
        probe = make_probe(network, [lambda module: module(inputs)], torch.zeros(16), sizes, LossKind.SQUARE)
        start = probe.parameters()
        move = torch.randn(start.shape, generator=generator, dtype=torch.float64)
        move = move / move.norm()
        change = outputs_of(probe, start + move) - outputs_of(probe, start)
        errors.append(float((change - jacobian_product(probe, start, move)).norm() / change.norm()))
        hidden = torch.tanh(network.inner.detach() @ inputs[0] / math.sqrt(N_INPUTS))
        bend = (network.get_buffer("outer") * 2.0 * hidden * (1.0 - hidden**2)).abs().max()
        norms.append(float(bend * inputs[0].square().sum() / N_INPUTS))
    return Linearity(hessian_norm=float(np.median(norms)), relative_error=float(np.median(errors)))


def _sandwich_checks(n_cases: int, seed: int) -> list[TheoryCheck]:
    worst_low, worst_high = math.inf, -math.inf
    violated = 0
    for case in range(n_cases):
        probe, start = tanh_problem(2 + case % 7, 1 + case % 5, seed * n_cases + case)
        ratio = local_ratio(probe, start)
        spectrum = kernel_spectrum(probe, start, tangent_kernel(probe, start))
        low, high = sandwich(probe, ratio, spectrum)
        violated += (low.verdict is not Verdict.HOLDS) + (high.verdict is not Verdict.HOLDS)
        worst_low = min(worst_low, (ratio.mu - spectrum.lambda_min) / spectrum.lambda_max)
        worst_high = max(worst_high, (ratio.mu - spectrum.lambda_max) / spectrum.lambda_max)
    statement = f"violations of λmin(K) ≤ μ ≤ λmax(K) in {n_cases} random networks, relative tolerance 1e-6"
    return [
        below("sandwich violations", violated, 0.0, statement, reference=0.0),
        above("sandwich, lower margin", worst_low, -1e-6, "least (μ − λmin)/λmax"),
        below("sandwich, upper margin", worst_high, 1e-6, "largest (μ − λmax)/λmax"),
    ]


def _descent_checks(run: Descent) -> list[TheoryCheck]:
    ticks = np.arange(len(run.losses))
    stable = run.learning_rate * run.smoothness <= 1.0
    regular = run.mu > SINGULAR * run.kernel_lambda_max
    bound = max(0.0, 1.0 - run.learning_rate * run.mu) ** ticks * run.losses[0]
    held = sum(step.verdict is Verdict.HOLDS for step in run.steps)
    statement = "largest ratio of L_t to (1 − ημ)^t L_0 for t > 0; needs η ≤ 1/β and λmin(K) > 0 on the path"
    return [
        above("lambda_min of K over lambda_max", run.mu / run.kernel_lambda_max, SINGULAR, "smallest on the path"),
        above(
            "descent steps that hold", held, len(run.steps), "L⁺ ≤ (1 − ημ_loc) L on every step with η ≤ 1/β_segment"
        ),
        below(
            "linear rate",
            float((run.losses[1:] / bound[1:]).max()),
            1.0,
            statement,
            assumptions_met=stable and regular,
            slack=1e-9,
        ),
        TheoryCheck(finding=run.ball),
    ]


def _linearity_checks(runs: list[Linearity], unscaled: list[Linearity], widths: tuple[int, ...]) -> list[TheoryCheck]:
    def slope(values: list[float]) -> float:
        return float(np.polyfit(np.log(widths), np.log(values), 1)[0])

    removed = slope([r.hessian_norm for r in unscaled])
    return [
        exactly("hessian slope in width", slope([r.hessian_norm for r in runs]), -0.5, 0.1, "log-log, 1/√m scaling"),
        exactly(
            "linearisation slope in width", slope([r.relative_error for r in runs]), -0.5, 0.1, "log-log, Δw fixed"
        ),
        below(
            "unscaled: hessian slope (negative control)",
            removed,
            -0.4,
            "without the 1/√m scaling the Hessian of an output does not shrink",
            expected=Verdict.VIOLATED,
        ),
        exactly(
            "unscaled: linearisation slope",
            slope([r.relative_error for r in unscaled]),
            -0.5,
            0.1,
            "the relative error knows no output scale: it falls without the 1/√m scaling all the same",
        ),
    ]


def _duplicate_checks(width: int, n_samples: int, seed: int) -> list[TheoryCheck]:
    probe, start = tanh_problem(width, n_samples, seed, duplicated=True)
    spectrum = kernel_spectrum(probe, start, tangent_kernel(probe, start))
    residual = probe.residual(outputs_of(probe, start))
    floor = 0.5 * spectrum.null_residual_share * float(residual.square().sum())
    gap = float(probe.targets[0] - probe.targets[1]) ** 2 / 4.0
    return [
        exactly(
            "duplicate: floor of the linearised model",
            floor,
            gap,
            1e-9,
            "½‖P_null r‖² against a quarter of the squared gap",
        ),
        above(
            "duplicate: lambda_min (negative control)",
            spectrum.lambda_min,
            SINGULAR * spectrum.lambda_max,
            "an input given twice makes the tangent kernel singular",
            expected=Verdict.VIOLATED,
        ),
    ]


def _picture(run: Descent, linearity: list[Linearity], widths: tuple[int, ...], path: Path) -> None:
    ticks = np.arange(len(run.losses))
    bound = run.losses[0] * max(0.0, 1.0 - run.learning_rate * run.mu) ** ticks
    first = linearity[0].relative_error
    panels = [
        Panel(
            title="Gradient descent",
            x_label="step",
            y_label="loss",
            curves=[
                Curve(x=ticks, y=run.losses, label="measured"),
                Curve(x=ticks, y=bound, label="bound (1 − ημ)^t L0", dashed=True),
            ],
            y_log=True,
        ),
        Panel(
            title="Transition to linearity",
            x_label="width m",
            y_label="nonlinearity",
            curves=[
                Curve(x=widths, y=[r.hessian_norm for r in linearity], label="‖Hessian of f‖", marked=True),
                Curve(x=widths, y=[r.relative_error for r in linearity], label="linearisation error", marked=True),
                Curve(x=widths, y=[first * math.sqrt(widths[0] / m) for m in widths], label="slope −½", dashed=True),
            ],
            x_log=True,
            y_log=True,
        ),
    ]
    draw(panels, path)
