"""Convergence measured while a network trains, within a share of the training time.

``diagnostics/convergence.jsonl`` in the run folder gets one JSON object per probe: ``kind``, ``step``, ``epoch``,
``training_seconds``, ``probe_seconds`` and the measured ``values``. Points are evenly spaced over the training, and
each holds all that is tracked; ``diagnostics/overhead.json`` says what they will cost and what they did. Training is
not changed by it.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from gnn_branching.contracts import Sample
from gnn_branching.dataset.data import BranchingData
from gnn_branching.dataset.source import SampleSource
from gnn_branching.diagnostics.measures.glance import WarmStart
from gnn_branching.diagnostics.measures.imitation import PROBED_LOSSES, candidate_targets, imitation_probe
from gnn_branching.diagnostics.measures.linearity import kernel_change
from gnn_branching.diagnostics.measures.polyak import local_ratio
from gnn_branching.diagnostics.measures.probe import Probe, flat_parameters
from gnn_branching.diagnostics.tracking.adam import inverse_diagonal, stability
from gnn_branching.diagnostics.tracking.early_stop import PlStarRule
from gnn_branching.diagnostics.tracking.schedule import (
    FREE_SECONDS,
    LEAST_SAMPLES,
    TrackingPlan,
    plan_again,
    plan_tracking,
    typical_seconds,
)
from gnn_branching.diagnostics.tracking.watched import Watched, glance_values
from gnn_branching.run_folder import RunFolder
from gnn_branching.training.records import Callback, EpochRecord, StepRecord, TrainingPlan, TrainingResult

DEFAULT_SHARE = 0.05
"""Most probe time over training time."""
N_TIMED_STEPS = 3
"""Steps that are timed, after a first one that compiles, before the cost of tracking is known."""
N_TIMED_POINTS = 2
"""Times that the start is measured before there is a plan: the faster counts."""
OVERDRAFT = 1.5
"""A point is left out while a typical one, times their number, took more than this many times what points may: it was
told from a slow step."""
TRACKED_RESIDUAL = 0.3
"""Residual up to which a leading eigenvalue of a Hessian is told. It is a lower bound: where curvature changes fast, as
Adam's does in its first steps, a warm start may hold on to what was the largest before."""
OVERHEAD_FILE = "overhead.json"

ScalarWriter = Callable[[str, float, int], None]
"""Takes a name, a value and a step, as ``SummaryWriter.add_scalar`` does."""


class ProbeKind(StrEnum):
    """What is measured when."""

    POINT = "point"
    EPOCH_END = "epoch-end"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRecord:
    """One probe; a line of ``convergence.jsonl``.

    Args:
        kind: What was measured.
        step: Optimizer steps done.
        epoch: Epoch it fell into, from 1.
        training_seconds: What this process's training took so far by the tracker's clock, probes left out.
        probe_seconds: What this probe took.
        values: Measured numbers by name; never NaN or infinite. What could not be measured reliably is missing.
    """

    kind: str
    step: int
    epoch: int
    training_seconds: float
    probe_seconds: float
    values: Mapping[str, float]


class ConvergenceTracker(Callback):
    """Probes a training within a share of its time.

    Args:
        samples: Probe samples, of which as many are used as the share pays for; see :func:`probe_samples`.
        loss: Name of the training loss.
        valid_samples: Validation samples, of which as many are used; none by default.
        share: Most probe time over training time, unless it is below ``FREE_SECONDS`` in all.
        on_scalar: Takes every measured number; writes TensorBoard events beside the training's own if None.
        stop_rule: Decides in :attr:`stop_reason`; it sees all samples at the end of every epoch. Never if None.
        clock: Monotonic seconds, by which the share is kept. CPU seconds of the training's thread by default: where
            other work shares the machine, wall time stretches steps and points by chance, and not alike.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        loss: str,
        *,
        valid_samples: Sequence[Sample] = (),
        share: float = DEFAULT_SHARE,
        on_scalar: ScalarWriter | None = None,
        stop_rule: PlStarRule | None = None,
        clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._samples, self._loss, self._share = tuple(samples), loss, share
        self._valid_samples = tuple(valid_samples)
        self._on_scalar, self._stop_rule, self._clock = on_scalar, stop_rule, clock
        self._stop_reason = ""
        self._close: Callable[[], None] = _nothing

    @property
    def stop_reason(self) -> str:
        """Why training should stop; empty while it should not."""
        return self._stop_reason

    @property
    def overhead(self) -> float:
        """Probe time over training time in this process so far."""
        return self._spent / max(self._training_seconds, 1e-9)

    @property
    def _training_seconds(self) -> float:
        return self._clock() - self._began - self._spent

    @property
    def _is_overdrawn(self) -> bool:
        """Whether points took too long; by what is typical of them, which a stalled machine does not move."""
        taken = len(self._point_seconds) * typical_seconds(self._point_seconds)
        return taken > OVERDRAFT * max(FREE_SECONDS, self._share * self._training_seconds)

    def on_start(self, network: nn.Module, plan: TrainingPlan) -> None:
        """Remember the weights at the very start, and what an interrupted training tracked."""
        folder = RunFolder(path=plan.run_folder)
        self._folder, self._path = folder.diagnostics, folder.convergence
        self._folder.mkdir(parents=True, exist_ok=True)
        self._records = [r for r in read_probes(self._path) if r.step <= plan.first_step]
        self._path.write_text("".join(_line(record) for record in self._records), encoding="utf-8")
        self._initial = _remember_initial(folder.initial_weights, network, plan.first_step)
        self._training = plan
        self._tracking = _planned_before(self._folder) if plan.first_step else None
        self._entropy = mean_target_entropy(self._samples, self._loss)
        self._start: WarmStart | None = None
        self._watched: Watched | None = None
        self._stop_probe = imitation_probe(network, self._samples, self._loss) if self._stop_rule else None
        self._before: Tensor | None = None
        self._step_times: list[float] = []
        self._point_seconds = [self._tracking.point_seconds] if self._tracking is not None else []
        for past in plan.history if self._stop_rule is not None else ():
            self._ask_stop_rule(past.step, past.valid_loss)
        if self._on_scalar is None:
            self._open_events(plan)
        self._began, self._spent = self._clock(), 0.0

    def on_step(self, network: nn.Module, batch: BranchingData, record: StepRecord) -> None:
        """Run the point that is due, once a few steps were timed."""
        n_steps = self._training.n_epochs * self._training.n_batches_per_epoch
        if self._tracking is None:
            self._step_times.append(self._clock())
            if len(self._step_times) <= N_TIMED_STEPS and record.step < n_steps:
                self._before = flat_parameters(network)
                return
            self._charged(lambda: self._make_plan(network, record), record, ProbeKind.POINT, step=0)
        assert self._tracking is not None
        if self._tracking.is_due(record.step) and not self._is_overdrawn:
            self._charged(lambda: self._point(network, record), record, ProbeKind.POINT)
            self._point_seconds.append(self._records[-1].probe_seconds)
            self._plan_again(record)
        arrived = self._clock()
        self._before = flat_parameters(network) if self._tracking.is_due(record.step + 1) else None
        self._spent += self._clock() - arrived

    def on_epoch(self, network: nn.Module, record: EpochRecord) -> None:
        """Ask the stop rule, which sees the gradient at the end of every epoch, whatever the share says."""
        probe = self._stop_probe
        if probe is None:
            return
        step = StepRecord(step=record.step, epoch=record.epoch, loss=0.0, gradient_norm=0.0, learning_rate=0.0)
        self._charged(lambda: _gradient(probe, flat_parameters(network)), step, ProbeKind.EPOCH_END)
        self._ask_stop_rule(record.step, record.valid_loss)

    def on_end(self, network: nn.Module, result: TrainingResult) -> None:
        """Write the measured overhead beside the expected."""
        measured = {
            "overhead": self.overhead,
            "probe_seconds": self._spent,
            "training_seconds": self._training_seconds,
            "n_probes": len(self._records),
        }
        self._write_overhead(measured)

    def close(self) -> None:
        """Close the event file."""
        self._close()

    def _make_plan(self, network: nn.Module, record: StepRecord) -> dict[str, float]:
        """Measure the start on few samples, time that, and plan the rest."""
        gaps = [after - before for before, after in zip(self._step_times, self._step_times[1:], strict=False)]
        plan = self._training
        step_seconds = statistics.median(gaps) if gaps else self._training_seconds / record.step
        self._watch(network, min(LEAST_SAMPLES, len(self._samples)))
        assert self._watched is not None
        seconds = []
        for _ in range(N_TIMED_POINTS):
            before = self._clock()
            values = self._values(self._initial, record)
            seconds.append(self._clock() - before)
        self._tracking = plan_tracking(
            n_steps=plan.n_epochs * plan.n_batches_per_epoch,
            n_batches_per_epoch=plan.n_batches_per_epoch,
            step_seconds=step_seconds,
            sample_seconds=min(seconds) / self._watched.own.n_samples,
            start_seconds=(1 + N_TIMED_POINTS) * min(seconds),
            share=self._share,
            n_available=len(self._samples),
        )
        self._point_seconds = [self._tracking.point_seconds]
        self._write_overhead({})
        if self._tracking.n_samples == self._watched.own.n_samples:
            return values
        self._watch(network, self._tracking.n_samples)
        return self._values(self._initial, record)

    def _plan_again(self, record: StepRecord) -> None:
        """Bring points closer together if they are cheaper than told; a training that goes on finds the new plan."""
        assert self._tracking is not None
        plan = plan_again(
            self._tracking,
            point_seconds=self._point_seconds,
            step_seconds=self._training_seconds / max(record.step - self._training.first_step, 1),
            n_batches_per_epoch=self._training.n_batches_per_epoch,
            share=self._share,
        )
        if plan is not self._tracking:
            self._tracking = plan
            self._write_overhead({})

    def _point(self, network: nn.Module, record: StepRecord) -> dict[str, float]:
        assert self._tracking is not None
        if self._watched is None:
            self._watch(network, self._tracking.n_samples)
        return self._values(flat_parameters(network), record, self._before)

    def _watch(self, network: nn.Module, n_samples: int) -> None:
        """Choose the samples to look at, and remember what they looked like at the start."""
        samples, valid = (probe_samples(s, n_samples) for s in (self._samples, self._valid_samples))
        own, whole = (imitation_probe(network, samples, self._loss, together=flag) for flag in (False, True))
        held_out = imitation_probe(network, valid, self._loss, together=True) if valid else None
        self._watched = Watched(own=own, whole=whole, held_out=held_out)
        first = self._watched.glance(self._initial)
        self._first_kernel, self._start = first.kernel, first.next_start

    def _values(self, weights: Tensor, record: StepRecord, before: Tensor | None = None) -> dict[str, float]:
        watched = self._watched
        assert watched is not None
        seen = watched.glance(weights, start=self._start, inverse_diagonal=inverse_diagonal(self._training.optimizer))
        self._start = seen.next_start
        values = {
            **glance_values(seen),
            **watched.held_out_values(weights, seen.gradient),
            "target_entropy": self._entropy,
            "distance": float((weights - self._initial).norm()),
            "kernel_change": kernel_change(self._first_kernel, seen.kernel) if len(seen.kernel) else float("nan"),
            "learning_rate": record.learning_rate,
            **watched.layer_values(weights, self._initial, before, seen),
        }
        if seen.hessian.residual <= TRACKED_RESIDUAL:
            values["hessian_lambda_max"] = seen.hessian.value
        if seen.preconditioned is not None and seen.preconditioned.residual <= TRACKED_RESIDUAL:
            values["preconditioned_lambda_max"] = seen.preconditioned.value
            values["preconditioned_residual"] = seen.preconditioned.residual
            values["stability"] = stability(record.learning_rate, seen.preconditioned.value)
        return values

    def _charged(
        self, measure: Callable[[], Mapping[str, float]], record: StepRecord, kind: ProbeKind, step: int | None = None
    ) -> None:
        """Measure, charge the time, and write the line."""
        before = self._clock()
        values = measure()
        seconds = self._clock() - before
        self._spent += seconds
        line = ProbeRecord(
            kind=kind,
            step=record.step if step is None else step,
            epoch=record.epoch,
            training_seconds=self._training_seconds,
            probe_seconds=seconds,
            values={name: value for name, value in values.items() if abs(value) < float("inf")},
        )
        self._records.append(line)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line(line))
        if self._on_scalar is not None:
            for name, value in line.values.items():
                self._on_scalar(f"convergence/{name}", value, line.step)

    def _write_overhead(self, measured: Mapping[str, float]) -> None:
        plan = self._tracking
        planned = {"plan": asdict(plan), "expected_share": plan.expected_share} if plan is not None else {}
        text = json.dumps({**planned, **measured}, indent=1) + "\n"
        (self._folder / OVERHEAD_FILE).write_text(text, encoding="utf-8")

    def _ask_stop_rule(self, step: int, valid_loss: float) -> None:
        assert self._stop_rule is not None
        ends = [r for r in self._records if r.kind == ProbeKind.EPOCH_END and r.step <= step]
        self._stop_reason = self._stop_rule.reason(ends, valid_loss)

    def _open_events(self, plan: TrainingPlan) -> None:
        from torch.utils.tensorboard import SummaryWriter  # takes a second to import

        folder = RunFolder(path=plan.run_folder).tensorboard / "convergence"
        writer = SummaryWriter(log_dir=str(folder), purge_step=plan.first_step + 1)
        self._on_scalar, self._close = writer.add_scalar, writer.close


def _gradient(probe: Probe, weights: Tensor) -> dict[str, float]:
    ratio = local_ratio(probe, weights)
    return {
        "probe_loss": ratio.loss,
        "probe_excess_loss": ratio.excess,
        "gradient_norm": ratio.gradient_norm,
        "mu": ratio.mu,
    }


def mean_target_entropy(samples: Sequence[Sample], loss: str) -> float:
    """Return the mean entropy of the targets: the floor of the loss, on more samples than a point has.

    NaN for losses that are no cross-entropy.
    """
    if loss not in PROBED_LOSSES:
        return float("nan")
    targets = (candidate_targets(torch.from_numpy(sample.scores), loss) for sample in samples)
    return sum(float(-torch.special.xlogy(t, t).sum()) for t in targets) / len(samples)


def _planned_before(folder: Path) -> TrackingPlan | None:
    """Return the plan of the training that goes on; None if it was interrupted before there was one."""
    try:
        return TrackingPlan(**json.loads((folder / OVERHEAD_FILE).read_text(encoding="utf-8"))["plan"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _nothing() -> None:
    """Close what was never opened; a named function, as processes that share a training pickle its listeners."""


def probe_samples(source: SampleSource, n_samples: int) -> list[Sample]:
    """Return evenly spaced samples of a source, at most ``n_samples``: the same ones whenever asked."""
    count = min(n_samples, len(source))
    return [source[index * len(source) // count] for index in range(count)]


def read_probes(path: Path) -> list[ProbeRecord]:
    """Read a ``convergence.jsonl``; empty if there is none. A last line cut off by an interruption is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [ProbeRecord(**json.loads(line)) for line in lines]


def _line(record: ProbeRecord) -> str:
    return json.dumps(asdict(record)) + "\n"


def _remember_initial(path: Path, network: nn.Module, first_step: int) -> Tensor:
    """Write the start's parameters at the first step, read them back after an interruption."""
    if first_step > 0 and path.exists():
        return load_file(path)["parameters"]
    parameters = flat_parameters(network)
    save_file({"parameters": parameters}, path)
    return parameters


def initial_parameters(run_folder: Path) -> Tensor | None:
    """Return the parameters a tracked training started from, float64, flat; None if it was not tracked."""
    path = RunFolder(path=run_folder).initial_weights
    return load_file(path)["parameters"].to(torch.float64) if path.exists() else None
