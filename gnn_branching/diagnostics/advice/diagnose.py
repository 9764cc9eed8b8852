"""The full report on a run: measurements, findings, advice and pictures, at any time, read-only."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from torch import Tensor

from gnn_branching.contracts import InputError, Sample
from gnn_branching.diagnostics.advice import recommendations as advise
from gnn_branching.diagnostics.advice.headline import Epoch, Headline, headline
from gnn_branching.diagnostics.advice.picture import Curve, Panel, draw
from gnn_branching.diagnostics.advice.story import LAYER_FIGURES, by_layer, layer_panels, series, story_panels
from gnn_branching.diagnostics.measures.finding import Finding, Verdict
from gnn_branching.diagnostics.measures.forecast import LEAST_EPOCHS, BackTest, back_test, forecast
from gnn_branching.diagnostics.measures.irreducible import IrreducibleLoss, candidate_colours, irreducible_loss
from gnn_branching.diagnostics.measures.measurement import DropoutPlace, Measurement, measure
from gnn_branching.diagnostics.measures.probe import Probe
from gnn_branching.diagnostics.rates.learning_rate import momentum_ceiling
from gnn_branching.diagnostics.tracking.early_stop import PlStarRule, stopping_epoch
from gnn_branching.diagnostics.tracking.tracker import ProbeKind, ProbeRecord

TARGET_SHARE = 0.9
"""The forecast aims at this share of the excess loss seen last."""
DEFAULT_EPSILON = 0.05
"""Excess loss, in nats, at which PL*_ε no longer asks for progress."""


class DiagnosableRun(Protocol):
    """What a report needs of a run, finished or not."""

    @property
    def name(self) -> str:
        """Short name for titles."""
        ...

    @property
    def history(self) -> Sequence[Epoch]:
        """The epochs so far; may be empty."""
        ...

    @property
    def probes(self) -> Sequence[ProbeRecord]:
        """What was tracked during training; may be empty."""
        ...

    @property
    def samples(self) -> Sequence[Sample]:
        """The probe's samples."""
        ...

    @property
    def probe(self) -> Probe:
        """The network on those samples."""
        ...

    @property
    def start(self) -> Tensor:
        """Initial weights, float64, flat."""
        ...

    @property
    def end(self) -> Tensor:
        """Trained (best) weights, float64, flat."""
        ...

    @property
    def n_train_samples(self) -> int:
        """Samples that the training has."""
        ...

    @property
    def n_epochs_planned(self) -> int:
        """Epochs after which the training ends, and its learning-rate schedule with it."""
        ...

    @property
    def width(self) -> float:
        """Width of the network's layers; infinite if unknown."""
        ...

    @property
    def n_rounds(self) -> int:
        """Message-passing rounds of the network."""
        ...

    @property
    def optimizer(self) -> str:
        """Name of the optimizer."""
        ...

    @property
    def dropout(self) -> DropoutPlace | None:
        """Where units are dropped; None if nowhere."""
        ...

    def ceiling(self) -> float:
        """Return the measured stability ceiling of the learning rate at the trained weights; NaN if unknown."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Diagnosis:
    """The report.

    Args:
        name: Of the run.
        headline: What limits the training; None before it has enough epochs.
        measurement: Everything measured.
        floor: Irreducible loss of the probe samples.
        past: Back-test of the epoch forecast on this run; None with too few epochs.
        layers: What was tracked last, layer by layer, as in ``LAYER_FIGURES``; empty without a point.
        advice: The recommendations.
        files: What was written.
    """

    name: str
    headline: Headline | None
    measurement: Measurement
    floor: IrreducibleLoss
    past: BackTest | None
    layers: Mapping[str, Mapping[str, float]]
    advice: tuple[advise.Advice, ...]
    files: tuple[Path, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every comparison with a bound."""
        return self.measurement.findings


def diagnose(run: DiagnosableRun, out: Path, *, epsilon: float = DEFAULT_EPSILON, exact: bool = False) -> Diagnosis:
    """Measure a run and write ``diagnosis.json``, ``diagnosis.md`` and pictures into ``out``.

    Args:
        run: The run.
        out: Folder; it is made if missing.
        epsilon: Excess loss, in nats, at which PL*_ε no longer asks for progress.
        exact: Hessian products by double backward rather than differences of gradients.

    Raises:
        InputError: If the run has no probe samples.
    """
    if not run.samples:
        raise InputError(f"run {run.name!r} has 0 probe samples; give at least 1 (--samples)")
    out.mkdir(parents=True, exist_ok=True)
    floor = probe_floor(run.probe, run.samples, run.n_rounds)
    found = measure(run.probe, run.start, run.end, floor, run.dropout, exact=exact)
    losses = [epoch.train_loss for epoch in run.history]
    past = back_test(losses, floor=floor.floor) if _forecastable(losses, floor.floor) else None
    recommendations = _advice(run, found, floor, losses, past, epsilon)
    diagnosis = Diagnosis(
        name=run.name,
        headline=headline(run.history, run.probes, run.width),
        measurement=found,
        floor=floor,
        past=past,
        layers=next((by_layer(p.values) for p in reversed(run.probes) if p.kind == ProbeKind.POINT), {}),
        advice=recommendations,
        files=tuple(out / name for name in ("diagnosis.json", "diagnosis.md", *PICTURES)),
    )
    _write(diagnosis, run, out)
    return diagnosis


def probe_floor(probe: Probe, samples: Sequence[Sample], n_rounds: int) -> IrreducibleLoss:
    """Return the irreducible loss of the probe's targets on its graphs."""
    targets = np.split(probe.targets.numpy(), np.cumsum(probe.group_sizes.numpy())[:-1])
    return irreducible_loss(targets, [candidate_colours(sample.state, n_rounds=n_rounds) for sample in samples])


def _forecastable(losses: Sequence[float], floor: float) -> bool:
    return len(losses) > LEAST_EPOCHS and min(losses) > floor


def _advice(
    run: DiagnosableRun,
    found: Measurement,
    floor: IrreducibleLoss,
    losses: Sequence[float],
    past: BackTest | None,
    epsilon: float,
) -> tuple[advise.Advice, ...]:
    end, valid_losses = found.end, [epoch.valid_loss for epoch in run.history]
    ends = [probe for probe in run.probes if probe.kind == ProbeKind.EPOCH_END]
    gradients = ends or [probe for probe in run.probes if "mu" in probe.values]
    sharpness = end.hessian.value if end.hessian.is_reliable else math.nan
    stopped = stopping_epoch(PlStarRule(epsilon=epsilon), gradients, valid_losses)
    items = [
        advise.irreducible_advice(floor, end.ratio),
        advise.early_stop_advice(end.ratio, epsilon, valid_losses, stopped),
        advise.batch_size_advice(found.noise, found.trace, sharpness, n_train_samples=run.n_train_samples),
        advise.regime_advice(found.linearity),
        advise.interpolation_advice(found.path),
    ]
    if run.history:
        ceiling = run.ceiling()
        ceiling = ceiling if math.isfinite(ceiling) else momentum_ceiling(sharpness)
        rate = run.history[-1].learning_rate
        items.append(advise.learning_rate_advice(sharpness, ceiling, rate, run.optimizer))
    if past is not None:
        target = floor.floor + TARGET_SHARE * (min(losses) - floor.floor)
        prediction = forecast(losses, target, floor=floor.floor)
        items.append(advise.epochs_advice(prediction, past, n_epochs_planned=run.n_epochs_planned))
    if found.dropout is not None and run.dropout is not None:
        items.append(advise.dropout_advice(found.dropout, end.ratio, run.dropout.drop_probability))
    return tuple(items)


PICTURES = ("pl-star.png", "training.png", "layers.png", "kernel.png", "interpolation.png")
"""Pictures of a report, the one to look at first first."""


def _write(diagnosis: Diagnosis, run: DiagnosableRun, out: Path) -> None:
    document = {
        "name": diagnosis.name,
        "headline": asdict(diagnosis.headline) if diagnosis.headline else None,
        "floor": asdict(diagnosis.floor),
        "numbers": numbers(diagnosis.measurement),
        "layers": diagnosis.layers,
        "back_test": asdict(diagnosis.past) if diagnosis.past else None,
        "findings": [asdict(finding) for finding in diagnosis.findings],
        "advice": [asdict(item) for item in diagnosis.advice],
    }
    (out / "diagnosis.json").write_text(json.dumps(_finite(document), indent=1) + "\n", encoding="utf-8")
    (out / "diagnosis.md").write_text(_markdown(diagnosis), encoding="utf-8")
    draw(story_panels(run.probes, run.history), out / "pl-star.png", n_columns=2)
    draw(layer_panels(run.probes), out / "layers.png", n_columns=3, has_common_legend=True)
    draw(_training_panels(run, diagnosis.floor.floor), out / "training.png")
    draw(_kernel_panels(diagnosis.measurement), out / "kernel.png")
    draw(_path_panels(diagnosis.measurement), out / "interpolation.png")


def numbers(found: Measurement) -> dict[str, float]:
    """Return the measured numbers by name, flat."""
    flat = {"hessian_trace_end": found.trace, "noise_scale_end": found.noise.value, "distance": found.path.distance}
    flat["distance_without_biases"] = found.path.distance_without_biases
    flat["sample_kernel_lambda_max_end"] = found.sample_spectrum.lambda_max
    flat["sample_kernel_effective_rank_end"] = found.sample_spectrum.effective_rank
    for label, moment in (("start", found.start), ("end", found.end)):
        flat |= {
            f"loss_{label}": moment.ratio.loss,
            f"mu_{label}": moment.ratio.mu,
            f"hessian_lambda_max_{label}": moment.hessian_lambda_max,
            f"hessian_residual_{label}": moment.hessian.residual,
            f"gauss_newton_lambda_max_{label}": moment.gauss_newton_lambda_max,
            f"kernel_lambda_max_{label}": moment.spectrum.lambda_max,
            f"kernel_lambda_min_positive_{label}": moment.spectrum.lambda_min_positive,
            f"kernel_condition_number_{label}": moment.spectrum.condition_number,
            f"kernel_effective_rank_{label}": moment.spectrum.effective_rank,
            f"null_residual_share_{label}": moment.spectrum.null_residual_share,
            f"low_residual_share_{label}": moment.spectrum.low_residual_share,
        }
    moved = found.linearity
    return flat | {
        "kernel_change": moved.kernel_change,
        "linearisation_error": moved.linearisation_error,
        "alignment_start": moved.start_alignment,
        "alignment_end": moved.end_alignment,
        "linearised_loss_end": moved.linearised_loss,
        "interpolation_rise": found.path.rise,
    }


def _markdown(diagnosis: Diagnosis) -> str:
    lines = [f"# Diagnosis of {diagnosis.name}", "", *_headline_lines(diagnosis.headline), "## Advice", ""]
    for item in diagnosis.advice:
        met = "" if item.assumptions_met else " (assumptions NOT met)"
        record = f" Record: {item.record}." if item.record else ""
        lines.append(f"- **{item.topic}**: {item.recommendation}. Measured: {item.measured}.")
        lines.append(f"  Rests on: {item.assumptions}{met}.{record}")
    lines += ["", "## Findings", "", "| finding | value | bound | verdict | what |", "|---|---|---|---|---|"]
    told = [f for f in diagnosis.findings if f.verdict is not Verdict.NOT_APPLICABLE]
    lines += [f"| {f.name} | {f.value:.4g} | {f.bound:.4g} | {f.verdict} | {f.statement} |" for f in told]
    silent = [f.name for f in diagnosis.findings if f.verdict is Verdict.NOT_APPLICABLE]
    lines += ["", f"Not applicable to this training: {', '.join(silent)}."] if silent else []
    lines += ["", "## Numbers", "", "| number | value |", "|---|---|"]
    lines += [f"| {name} | {value:.6g} |" for name, value in numbers(diagnosis.measurement).items()]
    lines += _layer_lines(diagnosis.layers)
    return "\n".join([*lines, "", *(f"![{name}]({name})" for name in PICTURES), ""])


def _headline_lines(found: Headline | None) -> list[str]:
    if found is None:
        return []
    told = f"**{found.claim.capitalize()}: {found.advice}** ({found.record})."
    return [told, "", *(f"- {line}" for line in found.evidence), ""]


def _layer_lines(layers: Mapping[str, Mapping[str, float]]) -> list[str]:
    if not layers:
        return []
    head = ["layer", *LAYER_FIGURES.values()]
    lines = ["", "## Layers, at the last point", "", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for layer, values in layers.items():
        known = [values.get(prefix.rstrip("/")) for prefix in LAYER_FIGURES]
        lines.append(f"| {layer} | " + " | ".join("" if x is None else f"{x:.3g}" for x in known) + " |")
    return lines


def _training_panels(run: DiagnosableRun, floor: float) -> list[Panel]:
    epochs = np.arange(1, len(run.history) + 1)
    losses = [
        Curve(x=epochs, y=[e.train_loss for e in run.history], label="training"),
        Curve(x=epochs, y=[e.valid_loss for e in run.history], label="validation"),
        Curve(x=[1, max(1, len(epochs))], y=[floor, floor], label="floor of the probe", dashed=True),
    ]
    points = [probe for probe in run.probes if probe.kind == ProbeKind.POINT]
    steps = [p.step for p in points]
    noise = Curve(x=steps, y=series(points, "noise_scale"), label="", marked=True)
    cosine = Curve(x=steps, y=series(points, "valid_gradient_cosine"), label="", marked=True)
    return [
        Panel(title="Loss", x_label="epoch", y_label="nats", curves=losses),
        Panel(title="Noise scale", x_label="step", y_label="samples", curves=[noise], y_log=bool(points)),
        Panel(title="Gradients of training and validation", x_label="step", y_label="cosine", curves=[cosine]),
    ]


def _kernel_panels(found: Measurement) -> list[Panel]:
    curves = [
        Curve(x=np.arange(1, m.spectrum.rank + 1), y=m.spectrum.eigenvalues[::-1][: m.spectrum.rank], label=label)
        for label, m in (("start", found.start), ("end", found.end))
    ]
    return [
        Panel(
            title="Tangent kernel, positive modes",
            x_label="mode",
            y_label="eigenvalue",
            curves=curves,
            x_log=True,
            y_log=True,
        )
    ]


def _path_panels(found: Measurement) -> list[Panel]:
    path = found.path
    turnings = np.sort(path.sample_turnings())
    shares = np.arange(1, len(turnings) + 1) / len(turnings)
    return [
        Panel(
            title="From initial (0) to trained weights (1)",
            x_label="α",
            y_label="loss on the probe, nats",
            curves=[Curve(x=path.alphas, y=path.losses, label="")],
        ),
        Panel(
            title="Turning of each sample's logits",
            x_label="radians",
            y_label="share of samples",
            curves=[Curve(x=turnings, y=shares, label="")],
        ),
    ]


def _finite(value: object) -> object:
    """Replace NaN and infinity by None: JSON knows neither."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value
