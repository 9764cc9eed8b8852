"""Convergence measured while a network trains, within a share of the training time.

``diagnostics/convergence.jsonl`` in the run folder gets one JSON object per probe: ``kind``, ``step``, ``epoch``,
``training_seconds``, ``probe_seconds`` and the measured ``values``. Training is not changed by it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from gnn_branching.contracts import Sample
from gnn_branching.dataset.data import BranchingData
from gnn_branching.dataset.source import SampleSource
from gnn_branching.diagnostics.measures.curvature import hessian_top
from gnn_branching.diagnostics.measures.imitation import imitation_probe, within_memory
from gnn_branching.diagnostics.measures.linearity import kernel_change
from gnn_branching.diagnostics.measures.noise import noise_scale
from gnn_branching.diagnostics.measures.polyak import local_ratio
from gnn_branching.diagnostics.measures.probe import flat_parameters
from gnn_branching.diagnostics.measures.tangent_kernel import kernel_spectrum, tangent_kernel
from gnn_branching.diagnostics.tracking.budget import SHARES, UNTRIED_CAUTION, ProbeBudget, ProbeKind
from gnn_branching.diagnostics.tracking.early_stop import PlStarRule
from gnn_branching.run_folder import RunFolder
from gnn_branching.training.records import Callback, EpochRecord, StepRecord, TrainingPlan, TrainingResult

DEFAULT_SHARE = 0.05
"""Most probe time over training time."""
PROBES_PER_EPOCH = 4
"""At most this many probes of a kind in an epoch, however cheap."""
SMALL_N_SAMPLES = 6
"""Kernel and sharpness are tracked on at most so many of the probe's samples."""
LEAST_N_SAMPLES = 8
"""Gradients are tracked on at least so many, if there are."""
WANTED_GRADIENTS, WANTED_SHARPNESSES = 12, 3
"""In a short training the probes shrink until the budget covers so many."""
FIRST_GUESS: Mapping[ProbeKind, float] = {
    ProbeKind.GRADIENT: 1.0,
    ProbeKind.NOISE: 2.0,
    ProbeKind.CURVATURE: 40.0,
    ProbeKind.KERNEL: 0.6,
}
"""Expected cost of a probe before its first, in gradients of its samples; of the kernel per output, in a sample's."""
N_LANCZOS = 6
"""Lanczos vectors of a tracked sharpness, which starts at the last one's vector."""
TRACKING_TOLERANCE = 1e-2
"""Relative accuracy of the tracked sharpness."""

ScalarWriter = Callable[[str, float, int], None]
"""Takes a name, a value and a step, as ``SummaryWriter.add_scalar`` does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRecord:
    """One probe; a line of ``convergence.jsonl``.

    Args:
        kind: What was measured.
        step: Optimizer steps done.
        epoch: Epoch it fell into, from 1.
        training_seconds: Wall time of this process's training so far, probes left out.
        probe_seconds: Wall time of this probe.
        values: Measured numbers by name; never NaN or infinite.
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
        samples: Fixed probe samples; see :func:`probe_samples`.
        loss: Name of the training loss.
        share: Most probe time over training time.
        on_scalar: Takes every measured number; writes TensorBoard events beside the training's own if None.
        stop_rule: Decides in :attr:`stop_reason`; never if None.
        clock: Monotonic seconds, by which the share is kept.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        loss: str,
        *,
        share: float = DEFAULT_SHARE,
        on_scalar: ScalarWriter | None = None,
        stop_rule: PlStarRule | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._samples, self._loss, self._share = tuple(samples), loss, share
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
        return self._budget.overhead

    def on_start(self, network: nn.Module, plan: TrainingPlan) -> None:
        """Freeze the probe, and remember the weights at the very start."""
        self._folder = RunFolder(path=plan.run_folder).diagnostics
        self._folder.mkdir(parents=True, exist_ok=True)
        self._path = RunFolder(path=plan.run_folder).convergence
        self._records = [r for r in read_probes(self._path) if r.step <= plan.first_step]
        self._path.write_text("".join(_line(record) for record in self._records), encoding="utf-8")
        n_large, n_small = probe_sizes(plan, len(self._samples), self._share)
        self._probe = imitation_probe(network, probe_samples(self._samples, n_large), self._loss)
        self._small_probe = imitation_probe(
            network, within_memory(probe_samples(self._samples, n_small), network), self._loss
        )
        self._initial = _remember_initial(self._folder / "initial.safetensors", network, plan.first_step)
        self._every = max(1, plan.n_batches_per_epoch // PROBES_PER_EPOCH)
        self._due = dict.fromkeys(ProbeKind, plan.first_step + self._every)
        self._first_step = plan.first_step
        self._top: Tensor | None = None
        self._first_kernel: Tensor | None = None
        self._n_batches_per_epoch = plan.n_batches_per_epoch
        for past in plan.history if self._stop_rule is not None else ():
            self._ask_stop_rule(past.step, past.valid_loss)
        if self._on_scalar is None:
            self._open_events(plan)
        self._budget = ProbeBudget(self._share, self._clock)

    def on_step(self, network: nn.Module, batch: BranchingData, record: StepRecord) -> None:
        """Run the probes that are due and affordable."""
        for kind in ProbeKind:
            if record.step >= self._due[kind] and self._budget.affords(kind, self._guess(kind, batch, record)):
                self._due[kind] = record.step + self._every
                self._run(kind, network, step=record.step, epoch=record.epoch)

    def on_epoch(self, network: nn.Module, record: EpochRecord) -> None:
        """Ask the stop rule, which sees the gradient at the end of every epoch, whatever the budget says."""
        if self._stop_rule is None:
            return
        if not self._epoch_ends(record.step) or self._epoch_ends(record.step)[-1].step < record.step:
            self._run(ProbeKind.GRADIENT, network, step=record.step, epoch=record.epoch)
        self._ask_stop_rule(record.step, record.valid_loss)

    def on_end(self, network: nn.Module, result: TrainingResult) -> None:
        """Write the measured overhead beside the probes."""
        summary = {
            "overhead": self._budget.overhead,
            "probe_seconds": self._budget.spent_seconds,
            "training_seconds": self._budget.training_seconds,
            "n_probes": len(self._records),
        }
        (self._folder / "overhead.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")

    def close(self) -> None:
        """Close the event file."""
        self._close()

    def _guess(self, kind: ProbeKind, batch: BranchingData, record: StepRecord) -> float:
        """Guess the cost of a probe that was never tried from the gradient probe's, or from a training step's."""
        step_seconds = self._budget.training_seconds / (record.step - self._first_step)
        gradient = UNTRIED_CAUTION * step_seconds * self._probe.n_samples / batch.n_samples
        gradient = self._budget.last_seconds(ProbeKind.GRADIENT) or gradient
        each = FIRST_GUESS[kind] * gradient / self._probe.n_samples
        if kind is ProbeKind.KERNEL:
            return each * self._small_probe.n_outputs
        probe = self._small_probe if kind is ProbeKind.CURVATURE else self._probe
        return each * probe.n_samples

    def _run(self, kind: ProbeKind, network: nn.Module, *, step: int, epoch: int) -> None:
        measure = {
            ProbeKind.GRADIENT: self._gradient,
            ProbeKind.NOISE: self._noise,
            ProbeKind.CURVATURE: self._curvature,
            ProbeKind.KERNEL: self._kernel,
        }
        with self._budget.charge(kind):
            values = measure[kind](flat_parameters(network))
        line = ProbeRecord(
            kind=kind,
            step=step,
            epoch=epoch,
            training_seconds=self._budget.training_seconds,
            probe_seconds=self._budget.last_seconds(kind) or 0.0,
            values={name: value for name, value in values.items() if abs(value) < float("inf")},
        )
        self._records.append(line)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line(line))
        if self._on_scalar is not None:
            for name, value in line.values.items():
                self._on_scalar(f"convergence/{name}", value, step)

    def _gradient(self, parameters: Tensor) -> dict[str, float]:
        ratio = local_ratio(self._probe, parameters)
        return {
            "probe_loss": ratio.loss,
            "probe_excess_loss": ratio.excess,
            "gradient_norm": ratio.gradient_norm,
            "mu": ratio.mu,
            "distance": float((parameters - self._initial).norm()),
        }

    def _noise(self, parameters: Tensor) -> dict[str, float]:
        scale = noise_scale(self._probe, parameters)
        return {"noise_scale": scale.value, "noise_scale_low": scale.low, "noise_scale_high": scale.high}

    def _curvature(self, parameters: Tensor) -> dict[str, float]:
        top = hessian_top(
            self._small_probe,
            parameters,
            start=self._top,
            tolerance=TRACKING_TOLERANCE,
            n_vectors=N_LANCZOS,
            exact=False,
            may_repeat=False,  # the budget does not allow for it
        )
        self._top = top.vector
        figures = {"hessian_residual": top.residual}
        return figures | ({"hessian_lambda_max": top.value} if top.is_reliable else {})

    def _kernel(self, parameters: Tensor) -> dict[str, float]:
        kernel = tangent_kernel(self._small_probe, parameters)
        self._first_kernel = kernel if self._first_kernel is None else self._first_kernel
        spectrum = kernel_spectrum(self._small_probe, parameters, kernel)
        return {
            "kernel_lambda_max": spectrum.lambda_max,
            "kernel_lambda_min_positive": spectrum.lambda_min_positive,
            "kernel_effective_rank": spectrum.effective_rank,
            "kernel_null_residual_share": spectrum.null_residual_share,
            "kernel_low_residual_share": spectrum.low_residual_share,
            "kernel_change_since_first_probe": kernel_change(self._first_kernel, kernel),
        }

    def _ask_stop_rule(self, step: int, valid_loss: float) -> None:
        assert self._stop_rule is not None
        self._stop_reason = self._stop_rule.reason(self._epoch_ends(step), valid_loss)

    def _epoch_ends(self, last_step: int) -> list[ProbeRecord]:
        """Return the gradient probes at ends of epochs: those in between depend on how fast the machine is."""
        every = self._n_batches_per_epoch
        records = (record for record in self._records if record.kind == ProbeKind.GRADIENT)
        return [record for record in records if record.step % every == 0 and record.step <= last_step]

    def _open_events(self, plan: TrainingPlan) -> None:
        from torch.utils.tensorboard import SummaryWriter  # takes a second to import

        folder = RunFolder(path=plan.run_folder).tensorboard / "convergence"
        writer = SummaryWriter(log_dir=str(folder), purge_step=plan.first_step + 1)
        self._on_scalar, self._close = writer.add_scalar, writer.close


def probe_sizes(plan: TrainingPlan, n_samples: int, share: float) -> tuple[int, int]:
    """Return on how many samples gradients, and kernel and sharpness, are tracked; fewer in a short training.

    Both follow from the plan alone, so that a training that goes on keeps its probes.
    """
    # Sample gradients that the budget buys: an epoch goes through the training samples about once.
    bought = share * plan.n_epochs * plan.n_train / UNTRIED_CAUTION
    large = SHARES[ProbeKind.GRADIENT] * bought / WANTED_GRADIENTS
    small = SHARES[ProbeKind.CURVATURE] * bought / (WANTED_SHARPNESSES * FIRST_GUESS[ProbeKind.CURVATURE])
    n_large = min(n_samples, max(LEAST_N_SAMPLES, int(large)))
    return n_large, min(n_samples, SMALL_N_SAMPLES, max(1, int(small)))


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
