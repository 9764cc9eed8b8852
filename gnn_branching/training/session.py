"""One process of a training, from its start or last checkpoint to its end."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from math import isfinite
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from gnn_branching.config import TrainingConfig
from gnn_branching.contracts import InputError
from gnn_branching.dataset.data import BranchingData
from gnn_branching.dataset.loader import BatchStream, FixedOrder, Share, ShuffledOrder
from gnn_branching.dataset.source import SampleSource
from gnn_branching.run_folder import RunFolder
from gnn_branching.seeding import derive_seed
from gnn_branching.subproblem import View
from gnn_branching.training.checkpoint import CheckpointFolder
from gnn_branching.training.losses import get_loss
from gnn_branching.training.progress import Progress, fingerprint
from gnn_branching.training.records import Callback, EpochRecord, StepRecord, TrainingPlan, TrainingResult
from gnn_branching.training.schedule import learning_rate, make_optimizer, set_learning_rate
from gnn_branching.training.validation import Validation, forward, validate


class DivergedError(InputError):
    """The loss or a gradient stopped being a number."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingJob:
    """All that a process needs to take part in a training.

    Args:
        network: Maps a batch's tensors to logits; prenorm already fitted.
        view: What it sees of a tree node; the samples are seen so already.
        train_source: Training samples.
        valid_source: Validation samples.
        config: How to train.
        seed: Root of shuffling and dropout.
        run_folder: Where everything goes.
        callbacks: Listeners; only those of the first process are called.
    """

    network: nn.Module
    view: View
    train_source: SampleSource
    valid_source: SampleSource
    config: TrainingConfig
    seed: int
    run_folder: Path
    callbacks: Sequence[Callback]

    @property
    def checkpoints(self) -> CheckpointFolder:
        """Where the checkpoints are."""
        return CheckpointFolder(path=RunFolder(path=self.run_folder).checkpoints, keep_last=self.config.keep_last)

    @property
    def fingerprint(self) -> dict[str, object]:
        """What the weights depend on."""
        n_train, n_valid = len(self.train_source), len(self.valid_source)
        found = fingerprint(self.config, self.network, seed=self.seed, n_train=n_train, n_valid=n_valid)
        return {**found, "view": list(astuple(self.view))}

    @property
    def order(self) -> ShuffledOrder:
        """The training stream."""
        return ShuffledOrder(len(self.train_source), self.config.batch_size, derive_seed(self.seed, "train-order"))

    @property
    def n_batches_per_epoch(self) -> int:
        """Optimizer steps per epoch."""
        return self.config.n_batches_per_epoch or self.order.n_batches_per_pass

    def result(self, progress: Progress) -> TrainingResult:
        """Return how a finished training ended."""
        assert progress.best is not None
        return TrainingResult(
            best=progress.best,
            last=progress.history[-1],
            stopped_early=progress.step < self.config.n_epochs * self.n_batches_per_epoch,
            stop_reason=progress.stop_reason if self.config.stop == "pl-star" else "",
            best_weights=self.checkpoints.best,
            n_steps=progress.step,
            wall_seconds=progress.wall_seconds,
        )


class Session:
    """Trains in one process of however many.

    Every random number is a function of the seed, the step and the rank: a resumed training needs no generator's state.

    Args:
        fabric: Device, precision and the other processes.
        job: What to do.
    """

    def __init__(self, fabric: Fabric, job: TrainingJob) -> None:
        self._fabric = fabric
        self._job = job
        self._config = job.config
        self._share = Share(rank=fabric.global_rank, n_processes=fabric.world_size)
        self._loss = get_loss(job.config.loss)
        self._order = job.order
        self._n_batches = job.n_batches_per_epoch
        self._n_steps = job.config.n_epochs * self._n_batches
        # A copy: processes that Fabric spawns receive the weights in shared memory.
        self.network = copy.deepcopy(job.network).to(fabric.device)
        self._optimizer = make_optimizer(self.network, job.config)
        self._fingerprint = job.fingerprint
        loaded = job.checkpoints.load_last(self.network, self._optimizer, self._fingerprint)
        self._progress = loaded or Progress()
        self._wrapped, self._wrapped_optimizer = fabric.setup(self.network, self._optimizer)
        self._callbacks = tuple(job.callbacks) if fabric.is_global_zero else ()
        self._clock = time.perf_counter()

    def run(self) -> Progress:
        """Train to the end, and return how far it came."""
        try:
            for callback in self._callbacks:
                callback.on_start(self.network, self._plan())
            while self._progress.step < self._n_steps and not self._progress.stops_early(self._config):
                self._run_epoch()
            for callback in self._callbacks:
                callback.on_end(self.network, self._job.result(self._progress))
        finally:
            for callback in self._callbacks:
                callback.close()
        return self._progress

    def _run_epoch(self) -> None:
        progress, start = self._progress, self._progress.step
        stop = (start // self._n_batches + 1) * self._n_batches
        every = self._config.checkpoint_every_n_batches
        clock = time.perf_counter()
        for batch in self._stream(self._job.train_source, self._order, start, stop):
            self._step(batch)
            if every and progress.step % every == 0 and progress.step < stop:
                self._save()
        train_seconds = time.perf_counter() - clock
        validation = self._validate()
        speed = (stop - start) * self._config.batch_size / train_seconds
        valid_seconds = time.perf_counter() - clock - train_seconds
        self._close_epoch(validation, train_seconds, valid_seconds, speed)

    def _step(self, batch: BranchingData) -> None:
        progress, fabric = self._progress, self._fabric
        torch.manual_seed(derive_seed(self._job.seed, "train-step", progress.step, fabric.global_rank))
        rate = self._rate(progress.step)
        set_learning_rate(self._optimizer, rate)
        self._wrapped.train()
        batch = batch.to(fabric.device, non_blocking=True)
        self._wrapped_optimizer.zero_grad()
        loss = self._loss(forward(self._wrapped, batch), batch).mean()
        fabric.backward(loss)
        limit = self._config.gradient_clip_norm or float("inf")
        norm = float(torch.nn.utils.clip_grad_norm_(self.network.parameters(), limit))
        mean_loss = float(self._reduce(loss.detach(), "mean"))
        if not (isfinite(mean_loss) and isfinite(norm)):
            raise DivergedError(
                f"loss {mean_loss}, gradient norm {norm} at step {progress.step}; "
                f"lower training.learning_rate (now {rate:g}) or set training.gradient_clip_norm = 1.0"
            )
        self._wrapped_optimizer.step()
        progress.step += 1
        progress.loss_sum += mean_loss
        progress.gradient_norm_sum += norm
        epoch = (progress.step - 1) // self._n_batches + 1
        record = StepRecord(step=progress.step, epoch=epoch, loss=mean_loss, gradient_norm=norm, learning_rate=rate)
        for callback in self._callbacks:
            callback.on_step(self.network, batch, record)

    def _validate(self) -> Validation:
        order = FixedOrder(len(self._job.valid_source), self._config.valid_batch_size)
        return validate(
            self._wrapped,
            self._stream(self._job.valid_source, order, 0, order.n_batches),
            self._loss,
            device=self._fabric.device,
            sum_over_processes=lambda totals: self._reduce(totals, "sum"),
        )

    def _close_epoch(
        self, validation: Validation, train_seconds: float, valid_seconds: float, samples_per_second: float
    ) -> None:
        progress = self._progress
        self._count_time()
        record = EpochRecord(
            epoch=progress.step // self._n_batches,
            step=progress.step,
            train_loss=progress.loss_sum / self._n_batches,
            valid_loss=validation.loss,
            **asdict(validation.accuracy),
            learning_rate=self._rate(progress.step - 1),
            gradient_norm=progress.gradient_norm_sum / self._n_batches,
            is_best=progress.improves(validation.loss),
            samples_per_second=samples_per_second,
            train_seconds=train_seconds,
            valid_seconds=valid_seconds,
            wall_seconds=progress.wall_seconds,
        )
        progress.add_epoch(record, self._config)
        if record.is_best and self._fabric.is_global_zero:
            self._job.checkpoints.save_best(self.network, epoch=record.epoch, valid_loss=record.valid_loss)
        for callback in self._callbacks:
            callback.on_epoch(self.network, record)
        progress.stop_reason = self._stop_reason()
        self._save()

    def _stop_reason(self) -> str:
        """Return the first listener's reason to stop, the same in every process."""
        reasons = [callback.stop_reason for callback in self._callbacks if callback.stop_reason]
        reason: str = self._fabric.broadcast(reasons[0] if reasons else "")
        return reason

    def _reduce(self, tensor: Tensor, operation: str) -> Tensor:
        reduced = self._fabric.all_reduce(tensor, reduce_op=operation)
        assert isinstance(reduced, Tensor)
        return reduced

    def _save(self) -> None:
        self._count_time()
        if self._fabric.is_global_zero:
            self._job.checkpoints.save_step(self.network, self._optimizer, self._progress, self._fingerprint)

    def _count_time(self) -> None:
        now = time.perf_counter()
        self._progress.wall_seconds += now - self._clock
        self._clock = now

    def _rate(self, step: int) -> float:
        return learning_rate(self._config, step=step, n_steps=self._n_steps, n_drops=self._progress.n_drops)

    def _stream(self, source: SampleSource, order: ShuffledOrder | FixedOrder, start: int, stop: int) -> BatchStream:
        return BatchStream(
            source,
            order,
            start=start,
            stop=stop,
            share=self._share,
            n_workers=self._config.n_loader_workers,
            pin_memory=self._fabric.device.type == "cuda",
        )

    def _plan(self) -> TrainingPlan:
        return TrainingPlan(
            run_folder=self._job.run_folder,
            n_epochs=self._config.n_epochs,
            n_batches_per_epoch=self._n_batches,
            n_train=len(self._job.train_source),
            n_valid=len(self._job.valid_source),
            n_parameters=sum(parameter.numel() for parameter in self.network.parameters()),
            first_epoch=self._progress.step // self._n_batches + 1,
            first_step=self._progress.step,
            history=tuple(self._progress.history),
            optimizer=self._optimizer,
        )


def run_session(job: TrainingJob, fabric: Fabric) -> str:
    """Take part in a training, and return its final progress as JSON: Fabric passes no frozen records on."""
    return Session(fabric, job).run().to_json()
