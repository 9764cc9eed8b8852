"""Monotonic linear interpolation and the geometry of the path of outputs (Lucas et al. 2021).

Normalisation shifts and scales are buffers: they stay frozen at every α. Logits are centred per sample for the
cross-entropy, because a constant moves no probability.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gnn_branching.contracts import FloatArray
from gnn_branching.diagnostics.measures.finding import Finding, at_most
from gnn_branching.diagnostics.measures.probe import LossKind, Probe
from gnn_branching.diagnostics.measures.products import outputs_of
from gnn_branching.diagnostics.measures.tangent_kernel import project

STILL = 1e-12
"""A tangent shorter than this share of the longest has no direction and is skipped."""
MONOTONE_TOLERANCE = 1e-9
"""Rise, relative to the loss at the start, that still counts as rounding."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Interpolation:
    """Losses and outputs along ``w(α) = (1 − α) w0 + α w_T``.

    Args:
        alphas: (n_points,), from 0 to 1.
        losses: (n_points,).
        outputs: (n_points, n_outputs), centred per sample for the cross-entropy.
        group_sizes: Outputs per sample, (n_samples,).
        distance: ``‖w_T − w_0‖``.
        distance_without_biases: The same without parameters of one dimension: biases alone can make plateaus.
    """

    alphas: FloatArray
    losses: FloatArray
    outputs: FloatArray
    group_sizes: tuple[int, ...]
    distance: float
    distance_without_biases: float

    @property
    def rise(self) -> float:
        """Δ: the largest rise of the loss above any earlier value; 0 iff interpolation is monotone."""
        return largest_rise(self.losses)

    def sample_gauss_lengths(self) -> FloatArray:
        """Gauss length of each sample's own path of outputs, radians, (n_samples,); for smooth activations."""
        return np.array([gauss_length(finite_tangents(part, self.alphas)) for part in self._samples()])

    def sample_turnings(self) -> FloatArray:
        """Polygonal turning of each sample's own path, radians, (n_samples,); for piecewise linear activations."""
        return np.array([gauss_length(np.diff(part, axis=0)) for part in self._samples()])

    def _samples(self) -> list[FloatArray]:
        return np.split(self.outputs, np.cumsum(self.group_sizes)[:-1], axis=1)


def interpolate(probe: Probe, start: Tensor, end: Tensor, *, n_points: int = 50) -> Interpolation:
    """Evaluate the probe on ``n_points`` evenly spaced points of the segment between two parameter vectors."""
    alphas = np.linspace(0.0, 1.0, n_points)
    losses, paths = [], []
    for alpha in alphas:
        outputs = outputs_of(probe, torch.lerp(start, end, float(alpha)))
        losses.append(float(probe.loss(outputs)))
        centred = project(outputs, probe.group_sizes) if probe.loss_kind is LossKind.CROSS_ENTROPY else outputs
        paths.append(centred.numpy())
    return Interpolation(
        alphas=alphas,
        losses=np.array(losses),
        outputs=np.array(paths),
        group_sizes=tuple(probe.group_sizes.tolist()),
        distance=float((end - start).norm()),
        distance_without_biases=float((end - start)[_is_matrix(probe)].norm()),
    )


def _is_matrix(probe: Probe) -> Tensor:
    """Flag the entries of the flat parameter vector that belong to a matrix."""
    trainable = [p for p in probe.network.parameters() if p.requires_grad]
    return torch.cat([torch.full((p.numel(),), p.dim() > 1) for p in trainable])


def largest_rise(losses: FloatArray) -> float:
    """Return ``max_i (L_i − min_{j ≤ i} L_j)`` over all points, the last included."""
    return float(np.max(losses - np.minimum.accumulate(losses)))


def finite_tangents(path: FloatArray, alphas: FloatArray) -> FloatArray:
    """Return second-order finite-difference tangents of a path, (n_points, dimension)."""
    tangents: FloatArray = np.gradient(path, alphas, axis=0, edge_order=2)
    return tangents


def gauss_length(tangents: FloatArray) -> float:
    """Return the length of the curve of unit tangents on the sphere, radians.

    The angles between successive tangents are added; the sum grows towards the integral of ``‖d(unit tangent)/dα‖``
    as the grid is refined. Given the segments of a polygon, it is the polygon's turning.

    Args:
        tangents: (n_points, dimension); vanishing ones have no direction and are skipped.
    """
    lengths = np.linalg.norm(tangents, axis=1)
    moving = lengths > STILL * max(float(lengths.max()), np.finfo(np.float64).tiny)
    units = tangents[moving] / lengths[moving, None]
    chords = np.linalg.norm(np.diff(units, axis=0), axis=1)
    return float(np.sum(2.0 * np.arcsin(np.clip(chords / 2.0, 0.0, 1.0))))


def monotone(path: Interpolation) -> Finding:
    """Check Δ-MLI with Δ = 0 up to rounding: an anomaly flag, not a guarantee."""
    return at_most(
        "interpolation_rise",
        path.rise,
        0.0,
        f"largest rise of the loss on the segment, over {len(path.alphas)} points, normalisation frozen",
        slack=MONOTONE_TOLERANCE * abs(float(path.losses[0])),
    )


def decreasing_distance(path: FloatArray, length: float) -> Finding:
    """Check that ``‖z(α) − z(1)‖`` falls, which a Gauss length below π/2 of the whole path implies.

    Args:
        path: (n_points, dimension), outputs along the segment.
        length: Gauss length of that path, radians.
    """
    distances = np.linalg.norm(path - path[-1], axis=1)
    return at_most(
        "distance_to_end_rise",
        largest_rise(distances),
        0.0,
        "largest rise of ‖z(α) − z(1)‖; a Gauss length below π/2 implies there is none (square loss only)",
        assumptions_met=length < math.pi / 2.0,
        slack=MONOTONE_TOLERANCE * float(distances[0]),
    )
