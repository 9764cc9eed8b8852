"""Many measures of one point at once, from passes that they share: what a training can afford every now and then.

One forward pass carries two backward passes: along each sample's residual, whose gradients give loss, local PL ratio
and noise scale, and along each sample's centred target, a direction that stays the same while the network trains. The
tangent kernel among these orthonormal directions is ``V K⊥ Vᵀ``: its eigenvalues lie between the smallest and the
largest of ``K⊥`` on logits that add up to 0 in each sample (Cauchy's interlacing). Leading eigenvalues come from few
products each, started where the last glance ended (:class:`WarmStart`), and carry their residual.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gnn_branching.diagnostics.measures.curvature import TopEigenpair, warm_top
from gnn_branching.diagnostics.measures.linearity import target_alignment
from gnn_branching.diagnostics.measures.noise import NoiseScale, noise_scale_of
from gnn_branching.diagnostics.measures.polyak import LocalRatio, target_entropy
from gnn_branching.diagnostics.measures.probe import LossKind, Probe
from gnn_branching.diagnostics.measures.products import DIFFERENCE_STEP, outputs_of, pullback, pulled_by_block
from gnn_branching.diagnostics.measures.tangent_kernel import Spectrum, project, spectrum_of

FIRST_PRODUCTS, NEXT_PRODUCTS, NEXT_KERNEL_PRODUCTS = 6, 3, 2
"""Products per leading eigenvalue of the first glance, and of those that start where another ended; kernels change
less."""
TINY = 1e-300


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WarmStart:
    """Leading vectors of the last glance.

    Args:
        hessian: Of the Hessian, (n_parameters,).
        preconditioned: Of the preconditioned Hessian; None if there was no preconditioner.
        kernel: Of the tangent kernel, (n_outputs,).
    """

    hessian: Tensor
    preconditioned: Tensor | None
    kernel: Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Glance:
    """What was measured at one point, on the probe.

    Args:
        ratio: Loss, gradient norm, local PL ratio; exact.
        gradient: Of the loss, (n_parameters,); exact.
        noise: Noise scale; exact, NaN with one sample.
        kernel: ``V K⊥ Vᵀ`` among the samples' centred targets, (n_directions, n_directions); exact.
        kernel_diagonal: Of ``Jᵀ Vᵀ V J``, (n_parameters,): its sum over all parameters is the trace of ``kernel``, its
            sum over a layer's the trace of that layer's part of it; exact.
        spectrum: Of ``kernel``.
        alignment: Of ``kernel`` with the targets: at least that of ``K⊥``, whose norm is larger.
        kernel_top: Largest eigenvalue of ``K⊥``, with its residual.
        hessian: Largest of the Hessian, with its residual.
        preconditioned: Largest of ``D^½ H D^½``; None without a preconditioner.
        next_start: Where the next glance may start.
    """

    ratio: LocalRatio
    gradient: Tensor
    noise: NoiseScale
    kernel: Tensor
    kernel_diagonal: Tensor
    spectrum: Spectrum
    alignment: float
    kernel_top: TopEigenpair
    hessian: TopEigenpair
    preconditioned: TopEigenpair | None
    next_start: WarmStart


def glance(
    probe: Probe,
    parameters: Tensor,
    *,
    start: WarmStart | None = None,
    inverse_diagonal: Tensor | None = None,
    n_products: int | None = None,
    whole: Probe | None = None,
) -> Glance:
    """Measure a point.

    Args:
        probe: The network on its batch.
        parameters: Where to measure, float64, flat.
        start: What the last glance left; from scratch if None.
        inverse_diagonal: ``D``, positive; for Adam ``1/(√v + ε)``. Without it the preconditioned Hessian is left out.
        n_products: Products per leading eigenvalue; by default more without a start.
        whole: The same probe as a single block, for what needs no sample's own gradient: fewer, larger passes.
    """
    whole = probe if whole is None else whole
    directions = _target_directions(probe)
    used = directions.any(dim=1)
    used = used if bool(used.any()) else ~used  # without a preference anywhere the kernel is 0, not empty
    pulled = pulled_by_block(probe, parameters, lambda outputs: _cotangents(probe, outputs, directions))
    own, kernel_rows = pulled.rows[: probe.n_samples], pulled.rows[probe.n_samples :]
    slope = probe.loss_scale * own.sum(dim=0)
    kernel = (kernel_rows @ kernel_rows.T)[used][:, used]
    weights = (directions * probe.targets).sum(dim=1)[used]
    products = n_products or (NEXT_PRODUCTS if start is not None else FIRST_PRODUCTS)
    reach = DIFFERENCE_STEP * (1.0 + float(parameters.norm()))

    def pulled_and_pushed(vector: Tensor) -> Tensor:
        back = pullback(whole, parameters, _centred(probe, vector)[None])[0]
        step = reach / max(float(back.norm()), TINY)
        return _centred(probe, (outputs_of(whole, parameters + step * back) - pulled.outputs) / step)

    def curved(vector: Tensor) -> Tensor:
        step = reach / max(float(vector.norm()), TINY)
        ahead = pulled_by_block(whole, parameters + step * vector, lambda outputs: whole.residual(outputs)[None])
        return (probe.loss_scale * ahead.rows[0] - slope) / step

    size = len(parameters)
    kernel_start = start.kernel if start is not None else _fixed(probe.n_outputs)
    n_kernel = min(products, NEXT_KERNEL_PRODUCTS) if start is not None else products
    top = warm_top(pulled_and_pushed, kernel_start, n_kernel)
    hessian = warm_top(curved, start.hessian if start is not None else _fixed(size), products, slope)
    preconditioned = None
    if inverse_diagonal is not None:
        root = inverse_diagonal.sqrt()
        known = start.preconditioned if start is not None else None
        preconditioned = warm_top(
            lambda v: root * curved(root * v),
            known if known is not None else _fixed(size),
            products if known is not None else max(products, FIRST_PRODUCTS),
            root * slope,
        )
    return Glance(
        ratio=LocalRatio(
            loss=float(probe.loss(pulled.outputs)), floor=target_entropy(probe), gradient_norm=float(slope.norm())
        ),
        gradient=slope,
        noise=noise_scale_of((own @ own.T).numpy()) if probe.n_samples > 1 else _no_noise(),
        kernel=kernel,
        kernel_diagonal=kernel_rows.square().sum(dim=0),
        spectrum=spectrum_of(kernel, weights),
        alignment=target_alignment(kernel, weights) if bool(kernel.any()) else math.nan,
        kernel_top=top,
        hessian=hessian,
        preconditioned=preconditioned,
        next_start=WarmStart(
            hessian=hessian.vector,
            preconditioned=preconditioned.vector if preconditioned is not None else None,
            kernel=top.vector,
        ),
    )


def _target_directions(probe: Probe) -> Tensor:
    """Return each sample's centred target as a unit vector, (n_samples, n_outputs); zero where nothing is preferred."""
    centred = _centred(probe, probe.targets)
    spread = _by_sample(probe, centred)
    norms = spread.norm(dim=1, keepdim=True)
    return torch.where(norms > 1e-12, spread / norms.clamp_min(1e-12), torch.zeros_like(spread))


def _cotangents(probe: Probe, outputs: Tensor, directions: Tensor) -> Tensor:
    return torch.cat([_by_sample(probe, probe.residual(outputs)), directions])


def _by_sample(probe: Probe, values: Tensor) -> Tensor:
    """Spread a flat vector over rows, one a sample, (n_samples, n_outputs)."""
    rows = values.new_zeros(probe.n_samples, probe.n_outputs)
    rows[probe.sample_index, torch.arange(probe.n_outputs)] = values
    return rows


def _centred(probe: Probe, values: Tensor) -> Tensor:
    return project(values, probe.group_sizes) if probe.loss_kind is LossKind.CROSS_ENTROPY else values


def _fixed(size: int) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def _no_noise() -> NoiseScale:
    nan = math.nan
    return NoiseScale(value=nan, low=nan, high=nan, covariance_trace=nan, squared_gradient=nan, n_samples=1)
