"""Everything that is measured on one run: its start, its best weights, and the way between."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from gnn_branching.diagnostics.measures.curvature import (
    FEW_VECTORS,
    RESIDUAL_TOLERANCE,
    TopEigenpair,
    gauss_newton_bound,
    gauss_newton_from_kernel,
    hessian_top,
    hessian_trace,
)
from gnn_branching.diagnostics.measures.dropout import DropoutGap, dropout_gap
from gnn_branching.diagnostics.measures.finding import Finding, at_most
from gnn_branching.diagnostics.measures.interpolation import Interpolation, interpolate, monotone
from gnn_branching.diagnostics.measures.irreducible import IrreducibleLoss
from gnn_branching.diagnostics.measures.linearity import Linearity, linearity
from gnn_branching.diagnostics.measures.noise import NoiseScale, noise_scale_of
from gnn_branching.diagnostics.measures.polyak import LocalRatio, local_ratio, pl_ball, sandwich
from gnn_branching.diagnostics.measures.probe import Probe
from gnn_branching.diagnostics.measures.tangent_kernel import (
    Spectrum,
    kernel_spectrum,
    sample_kernel,
    spectrum_of,
    tangent_kernel,
)

REPORT_TOLERANCE = 1e-3
"""Relative accuracy of the report's largest eigenvalues."""
N_TRACE_VECTORS = 8
"""Random sign vectors behind the trace of the Hessian."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moment:
    """What is measured at one set of weights.

    Args:
        ratio: Loss, gradient, local PL ratio.
        spectrum: Of the tangent kernel.
        hessian: Largest Hessian eigenvalue (almost everywhere; kinks left out), with its residual.
        gauss_newton_lambda_max: Largest eigenvalue of the Gauss-Newton matrix.
    """

    ratio: LocalRatio
    spectrum: Spectrum
    hessian: TopEigenpair
    gauss_newton_lambda_max: float

    @property
    def hessian_lambda_max(self) -> float:
        """The sharpness."""
        return self.hessian.value


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measurement:
    """All measurements of one run on one probe.

    Args:
        start: At the initial weights.
        end: At the trained weights.
        noise: Gradient noise scale at the end.
        sample_spectrum: Of the inner products of the samples' loss gradients at the end.
        trace: ``tr H`` at the end.
        linearity: Lazy or feature learning.
        path: The segment between both.
        dropout: Effective dropout regulariser; None if none was asked for.
        findings: Every comparison with a bound.
    """

    start: Moment
    end: Moment
    noise: NoiseScale
    sample_spectrum: Spectrum
    trace: float
    linearity: Linearity
    path: Interpolation
    dropout: DropoutGap | None
    findings: tuple[Finding, ...]


class DropoutPlace(Protocol):
    """Where and how often units are dropped."""

    @property
    def modules(self) -> tuple[str, ...]:
        """Names of the modules whose inputs are dropped."""
        ...

    @property
    def drop_probability(self) -> float:
        """PyTorch's convention: the probability of dropping."""
        ...


def measure(
    probe: Probe,
    start: Tensor,
    end: Tensor,
    floor: IrreducibleLoss | None = None,
    dropout: DropoutPlace | None = None,
    *,
    n_points: int = 50,
    exact: bool = False,
) -> Measurement:
    """Measure a run.

    Args:
        probe: The network on its probe samples.
        start: Initial weights, flat.
        end: Trained weights, flat.
        floor: Irreducible loss, for its finding.
        dropout: Where the effective regulariser is measured; not at all if None.
        n_points: Points of the interpolation.
        exact: Hessian products by double backward rather than differences of gradients.
    """
    kernels = [tangent_kernel(probe, weights) for weights in (start, end)]
    moments = [_moment(probe, w, k, exact=exact) for w, k in zip((start, end), kernels, strict=True)]
    path = interpolate(probe, start, end, n_points=n_points)
    moved = linearity(probe, start, end, *kernels)
    trace, _ = hessian_trace(probe, end, n_vectors=N_TRACE_VECTORS, seed=0, exact=exact)
    gap = dropout_gap(probe, end, dropout.modules, dropout.drop_probability) if dropout is not None else None
    products = sample_kernel(probe, end)
    labelled = zip(("start", "end"), moments, strict=True)
    findings = [finding for label, moment in labelled for finding in _moment_findings(probe, label, moment)]
    findings += [moved.finding(), monotone(path), _ball(moments, path)]
    if floor is not None:
        findings.append(floor.finding(moments[1].ratio.loss))
    if gap is not None:
        findings.append(gap.finding())
    return Measurement(
        start=moments[0],
        end=moments[1],
        noise=noise_scale_of(products.numpy()) if probe.n_samples > 1 else _no_noise(),
        sample_spectrum=spectrum_of(products, torch.ones(probe.n_samples, dtype=products.dtype)),
        trace=trace,
        linearity=moved,
        path=path,
        dropout=gap,
        findings=tuple(findings),
    )


def _moment(probe: Probe, parameters: Tensor, kernel: Tensor, *, exact: bool) -> Moment:
    return Moment(
        ratio=local_ratio(probe, parameters),
        spectrum=kernel_spectrum(probe, parameters, kernel),
        hessian=hessian_top(probe, parameters, tolerance=REPORT_TOLERANCE, n_vectors=FEW_VECTORS, exact=exact),
        gauss_newton_lambda_max=gauss_newton_from_kernel(probe, parameters, kernel),
    )


def _moment_findings(probe: Probe, label: str, moment: Moment) -> list[Finding]:
    bound = gauss_newton_bound(probe, moment.gauss_newton_lambda_max, moment.spectrum.lambda_max)
    residual = at_most(
        "hessian_residual",
        moment.hessian.residual,
        RESIDUAL_TOLERANCE,
        "‖Hv − λv‖/|λ| of the sharpness by an exact product; above the bound nothing is advised from it",
    )
    found = (*sandwich(probe, moment.ratio, moment.spectrum), bound, residual)
    return [replace(finding, name=f"{label}_{finding.name}") for finding in found]


def _ball(moments: list[Moment], path: Interpolation) -> Finding:
    """The ball needs μ and β along the path and steps of 1/β: with Adam and two ends it stays not applicable."""
    smoothness = max(m.hessian_lambda_max for m in moments)
    mu = min(m.ratio.mu for m in moments)
    return pl_ball(moments[0].ratio.excess, smoothness, mu, path.distance, path_checked=False)


def _no_noise() -> NoiseScale:
    nan = math.nan
    return NoiseScale(value=nan, low=nan, high=nan, covariance_trace=nan, squared_gradient=nan, n_samples=1)
