"""What PL* becomes for the cross-entropy over candidates (this project's derivations, on linear models).

Part of the reproduction of Liu, Zhu, Belkin (2020), who treat the square loss.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from gnn_branching.contracts import FloatArray
from gnn_branching.diagnostics.measures.curvature import gauss_newton_bound, gauss_newton_top
from gnn_branching.diagnostics.measures.finding import Verdict
from gnn_branching.diagnostics.measures.polyak import LocalRatio, local_ratio
from gnn_branching.diagnostics.measures.probe import LossKind, Probe, log_softmax, make_probe
from gnn_branching.diagnostics.measures.products import gradient, outputs_of
from gnn_branching.diagnostics.measures.tangent_kernel import Spectrum, kernel_spectrum, tangent_kernel
from gnn_branching.theory.report import TheoryCheck, above, below

GROUPS = (3, 5, 2, 4, 6)
"""Candidates of the five toy samples."""
N_FEATURES = 24
"""Features per candidate: more than candidates, so that the kernel has full rank."""
STEP = 0.05
"""Euler step of the gradient flow."""
CONVERGED = 1e-12
"""Excess loss below which rounding decides."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Flow:
    """A gradient flow of the mean cross-entropy.

    Args:
        losses: Excess loss per recorded step, (n_records,).
        times: Flow time of each.
        ratios: Loss and gradient at each.
        least_probability: Smallest candidate probability at each.
        spectrum: Of the projected tangent kernel, which is constant for a linear model.
    """

    losses: FloatArray
    times: FloatArray
    ratios: tuple[LocalRatio, ...]
    least_probability: FloatArray
    spectrum: Spectrum


def linear_problem(seed: int, *, soft: bool) -> Probe:
    """Return a linear-in-parameters probe with ragged candidates and one-hot or soft targets."""
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.tensor(GROUPS)
    features = torch.randn(int(sizes.sum()), N_FEATURES, generator=generator, dtype=torch.float64)
    network = nn.Linear(N_FEATURES, 1, bias=False).double()
    with torch.no_grad():
        network.weight.copy_(0.3 * torch.randn(1, N_FEATURES, generator=generator, dtype=torch.float64))
    draws = torch.randn(len(features), generator=generator, dtype=torch.float64)
    if soft:
        targets = log_softmax(draws, sizes).exp()
    else:
        targets = torch.cat(
            [nn.functional.one_hot(d.argmax(), len(d)).double() for d in torch.split(draws, list(GROUPS))]
        )
    return make_probe(network, [lambda module: module(features).flatten()], targets, sizes, LossKind.CROSS_ENTROPY)


def flow(probe: Probe, n_steps: int) -> Flow:
    """Follow the gradient flow by Euler steps, recording every fiftieth."""
    point = probe.parameters()
    spectrum = kernel_spectrum(probe, point, tangent_kernel(probe, point))
    ratios, least = [], []
    for step in range(n_steps):
        if step % 50 == 0:
            ratios.append(local_ratio(probe, point))
            least.append(float(log_softmax(outputs_of(probe, point), probe.group_sizes).exp().min()))
        point = point - STEP * gradient(probe, point)
    return Flow(
        losses=np.array([r.excess for r in ratios]),
        times=STEP * 50.0 * np.arange(len(ratios), dtype=np.float64),
        ratios=tuple(ratios),
        least_probability=np.array(least),
        spectrum=spectrum,
    )


def imitation_checks(seed: int, n_steps: int) -> list[TheoryCheck]:
    """Check the cross-entropy's rate, its null directions, the Gauss-Newton bound, and that plain PL* fails."""
    probe = linear_problem(seed, soft=False)
    hard, soft = flow(probe, n_steps), flow(linear_problem(seed, soft=True), n_steps)
    spectrum, n = hard.spectrum, len(GROUPS)
    top = gauss_newton_top(probe, probe.parameters()).value
    plain = float(min(r.mu for r in hard.ratios))
    statement = "smallest local ratio over the one at the start: near zero loss ‖p − y‖² is like L², so plain PL* fails"
    return [
        below(
            "softmax nulls beyond one a sample",
            spectrum.n_excess_null,
            0.0,
            "null directions of K⊥ beyond one per sample",
        ),
        above("softmax nulls", len(spectrum.eigenvalues) - spectrum.rank, n, "at least one null direction per sample"),
        TheoryCheck(finding=gauss_newton_bound(probe, top, spectrum.lambda_max)),
        _rate_check(hard),
        _soft_check(soft),
        above(
            "soft targets: infimum",
            soft.ratios[-1].loss,
            soft.ratios[-1].floor,
            "the loss stays above the entropy of the targets",
            slack=CONVERGED,
        ),
        above("plain PL* (negative control)", plain / hard.ratios[0].mu, 0.5, statement, expected=Verdict.VIOLATED),
    ]


def _rate_check(run: Flow) -> TheoryCheck:
    first = float(run.losses[0])
    most = len(GROUPS) * float(run.losses.max())
    share = ((1.0 - math.exp(-most)) / most) ** 2
    bound = first / (1.0 + run.spectrum.lambda_min_positive * share * first * run.times / len(GROUPS))
    statement = "largest ratio of the mean loss to L0 / (1 + λmin⁺(K⊥) c L0 t / n) along the flow, t > 0"
    return below("cross-entropy rate", float((run.losses[1:] / bound[1:]).max()), 1.0, statement, slack=1e-9)


def _soft_check(run: Flow) -> TheoryCheck:
    open_ = run.losses > CONVERGED
    slopes = np.array([r.gradient_norm**2 for r in run.ratios])[open_]
    bound = (run.spectrum.lambda_min_positive * run.least_probability / len(GROUPS) * run.losses)[open_]
    statement = "least ratio of ‖∇L‖² to (λmin⁺(K⊥) p_min / n) · mean KL along the flow"
    return above("soft-target inequality", float((slopes / bound).min()), 1.0, statement)
