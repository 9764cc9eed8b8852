"""The PL* story of a training in one figure: what the inequality promised, and what happened."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from gnn_branching.contracts import FloatArray
from gnn_branching.diagnostics.advice.picture import Curve, Panel
from gnn_branching.diagnostics.tracking.adam import LIMIT
from gnn_branching.diagnostics.tracking.tracker import ProbeKind, ProbeRecord

LOSS, KERNEL = "Loss above its floor", "Tangent kernel and local PL ratio"
"""Panels whose axis leaves room below."""


def series(points: Sequence[ProbeRecord], name: str) -> FloatArray:
    """Return a tracked number over the points, NaN where it was not measured."""
    return np.array([point.values.get(name, math.nan) for point in points], dtype=np.float64)


def promised(points: Sequence[ProbeRecord]) -> FloatArray:
    """Return the excess loss that PL* promises gradient descent with steps 1/β at each point.

    ``L_t ≤ (1 − μ/β)^t L_0`` with the smallest local ratio μ and the largest sharpness β seen so far: a promise
    only if both held in between, and to gradient descent, not to the optimizer that was used.
    """
    if not points:
        return np.zeros(0)
    mu = np.fmin.accumulate(series(points, "mu"))
    beta = np.fmax.accumulate(series(points, "hessian_lambda_max"))
    steps = np.diff([point.step for point in points], prepend=points[0].step)
    rates = np.nan_to_num(np.log1p(-np.clip(mu / beta, 0.0, 1.0 - 1e-12)))  # unmeasured: no promise, factor 1
    bound: FloatArray = series(points, "probe_excess_loss")[0] * np.exp(np.cumsum(steps * rates))
    return bound


def ball_radius(points: Sequence[ProbeRecord]) -> FloatArray:
    """Return the radius ``2 √(2 β L_0) / μ`` of the ball that PL* needs, by the μ and β seen so far."""
    mu = np.fmin.accumulate(series(points, "mu"))
    beta = np.fmax.accumulate(series(points, "hessian_lambda_max"))
    radius: FloatArray = 2.0 * np.sqrt(2.0 * beta * series(points, "probe_excess_loss")[:1]) / mu
    return radius


class Epoch(Protocol):
    """Where an epoch ended, and its mean training loss."""

    @property
    def step(self) -> int:
        """Optimizer steps so far."""
        ...

    @property
    def train_loss(self) -> float:
        """Mean over the epoch's batches."""
        ...


def story_panels(probes: Sequence[ProbeRecord], history: Sequence[Epoch] = ()) -> list[Panel]:
    """Return loss, ball, kernel and stability over the steps.

    Args:
        probes: What was tracked.
        history: Epochs; the probe may be a few samples, and they are all.
    """
    points = [probe for probe in probes if probe.kind == ProbeKind.POINT]
    steps = [point.step for point in points]

    def curve(name: str, label: str) -> Curve:
        return Curve(x=steps, y=series(points, name), label=label, marked=True)

    def bound(values: FloatArray, label: str) -> Curve:
        return Curve(x=steps, y=values, label=label, dashed=True)

    rates = series(points, "learning_rate")
    with np.errstate(divide="ignore", invalid="ignore"):
        ceiling, radius, promise = LIMIT / rates, ball_radius(points), promised(points)
    floor = points[-1].values.get("target_entropy", 0.0) if points else 0.0
    losses = [epoch.train_loss - floor for epoch in history]
    epochs = [Curve(x=[epoch.step for epoch in history], y=losses, label="training loss, by epoch")] if history else []
    rows = [
        (
            LOSS,
            "nats",
            [
                *epochs,
                curve("probe_excess_loss", "the probe's few samples"),
                curve("valid_probe_excess_loss", "as many validation samples"),
                bound(promise, "promised to gradient descent by the running μ/β"),
            ],
        ),
        (
            "Distance from the start, and the ball of PL*",
            "‖w − w₀‖",
            [curve("distance", "distance"), bound(radius, "radius 2√(2βL₀)/μ")],
        ),
        (
            KERNEL,
            "",
            [
                curve("kernel_lambda_max", "λmax"),
                curve("kernel_lambda_min_positive", "λmin⁺ among the targets"),
                curve("mu", "μ"),
                curve("valid_mu", "μ of validation samples"),
                curve("kernel_change", "change since the start"),
            ],
        ),
        (
            "Edge of stability",
            "curvature",
            [
                curve("preconditioned_lambda_max", "λmax(H) as Adam sees it"),
                curve("hessian_lambda_max", "λmax(H)"),
                bound(ceiling, f"Adam's limit {LIMIT:.0f}/rate"),
            ],
        ),
    ]
    return [
        Panel(
            title=title,
            x_label="step",
            y_label=label,
            curves=curves,
            y_log=bool(points),
            y_limits=_around(curves) if title in (LOSS, KERNEL) else None,
        )
        for title, label, curves in rows
    ]


def _around(curves: Sequence[Curve]) -> tuple[float, float] | None:
    """Return a logarithmic axis' ends around what was measured, with a decade below for promises and the legend."""
    values = np.concatenate([np.asarray(curve.y, dtype=np.float64) for curve in curves if not curve.dashed])
    values = values[np.isfinite(values) & (values > 0)]
    return (float(values.min()) / 10.0, float(values.max()) * 2.0) if len(values) else None


LAYER_FIGURES = {
    "move/": "‖w − w₀‖ / ‖w‖",
    "update/": "‖Δw‖ / ‖w‖ of a step",
    "layer_gradient/": "Gradient norm",
    "layer_kernel_trace/": "Trace of the tangent kernel",
    "dead/": "Share of ReLU units that never fire",
}
"""What is tracked layer by layer: the prefix of its name, and what it is."""


def by_layer(values: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Return a point's numbers layer by layer, each by its prefix in ``LAYER_FIGURES`` without the slash."""
    layers: dict[str, dict[str, float]] = {}
    for name, value in values.items():
        prefix, slash, layer = name.partition("/")
        if f"{prefix}{slash}" in LAYER_FIGURES:
            layers.setdefault(layer, {})[prefix] = value
    return layers


def layer_panels(probes: Sequence[ProbeRecord]) -> list[Panel]:
    """Return a panel for each of ``LAYER_FIGURES``, with a curve for each layer, in the same order everywhere."""
    points = [probe for probe in probes if probe.kind == ProbeKind.POINT]
    steps = [point.step for point in points]
    layers = sorted({layer for point in points for layer in by_layer(point.values)})
    return [
        Panel(
            title=title,
            x_label="step",
            y_label="share" if prefix == "dead/" else "",
            curves=[Curve(x=steps, y=series(points, f"{prefix}{layer}"), label=layer) for layer in layers],
            y_log=bool(points) and prefix != "dead/",
        )
        for prefix, title in LAYER_FIGURES.items()
    ]
