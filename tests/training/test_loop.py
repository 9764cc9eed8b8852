"""The loop learns, repeats itself exactly, goes on where it was interrupted, and says what it does."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from gnn_branching.config import TrainingConfig
from gnn_branching.contracts import InputError
from gnn_branching.dataset.data import BranchingData
from gnn_branching.dataset.loader import ordered_batches
from gnn_branching.dataset.source import MemorySource
from gnn_branching.dataset.synthetic import random_source
from gnn_branching.training.display import LiveDisplay
from gnn_branching.training.loop import train
from gnn_branching.training.losses import LOSSES, get_loss
from gnn_branching.training.metrics import TOP
from gnn_branching.training.outputs import read_metrics
from gnn_branching.training.records import Callback, EpochRecord, StepRecord, TrainingPlan, TrainingResult
from gnn_branching.training.session import DivergedError
from gnn_branching.training.validation import validate

from .toys import gcnn, same_weights, weights

TRAIN, VALID = random_source(24, seed=1), random_source(10, seed=2)
SHORT = TrainingConfig(
    loss="tie-aware", n_epochs=3, n_batches_per_epoch=4, batch_size=8, n_threads=1, checkpoint_every_n_batches=1
)


def run(folder: Path, config: TrainingConfig = SHORT, *, dropout: float = 0.0, seed: int = 0, **options: object):  # type: ignore[no-untyped-def]
    network = gcnn(dropout=dropout)
    result = train(network, TRAIN, VALID, config, seed=seed, run_folder=folder, display="none", **options)  # type: ignore[arg-type]
    return network, result


class StopError(Exception):
    """An interruption."""


class StopAfter(Callback):
    def __init__(self, step: int) -> None:
        self.step = step
        self.closed = False

    def on_step(self, network: nn.Module, batch: BranchingData, record: StepRecord) -> None:
        if record.step == self.step:
            raise StopError

    def close(self) -> None:
        self.closed = True


def test_overfits_few_samples(tmp_path: Path) -> None:
    source = random_source(32, seed=5)
    config = TrainingConfig(
        loss="tie-aware",
        schedule="one-cycle",
        learning_rate=1e-2,
        n_epochs=40,
        n_batches_per_epoch=4,
        batch_size=8,
        n_threads=1,
    )
    network = gcnn(hidden_size=32)
    result = train(network, source, source, config, seed=0, run_folder=tmp_path, display="none")
    assert result.best.acc_1 > 0.95


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_learns(tmp_path: Path, loss: str) -> None:
    config = replace(SHORT, loss=loss, schedule="one-cycle", learning_rate=1e-2, n_epochs=8)  # type: ignore[arg-type]
    before = validate(gcnn(), ordered_batches(TRAIN, batch_size=8), get_loss(loss))
    network, _ = run(tmp_path, config)
    after = validate(network, ordered_batches(TRAIN, batch_size=8), get_loss(loss))
    assert after.loss < before.loss
    assert after.accuracy.acc_1 > before.accuracy.acc_1


def test_same_seed_same_weights(tmp_path: Path) -> None:
    first, _ = run(tmp_path / "1", dropout=0.3)
    torch.manual_seed(99)
    second, _ = run(tmp_path / "2", dropout=0.3)
    other, _ = run(tmp_path / "3", dropout=0.3, seed=1)
    assert same_weights(weights(first), weights(second))
    assert not same_weights(weights(first), weights(other))


@pytest.mark.parametrize("step", [1, 4, 5, 11])
def test_interrupted_and_resumed_equals_uninterrupted(tmp_path: Path, step: int) -> None:
    whole, result = run(tmp_path / "whole", dropout=0.3)
    listener = StopAfter(step)
    with pytest.raises(StopError):
        run(tmp_path / "parts", dropout=0.3, callbacks=(listener,))
    assert listener.closed
    torch.manual_seed(99)
    parts, resumed = run(tmp_path / "parts", dropout=0.3)
    assert same_weights(weights(whole), weights(parts))
    assert resumed.best_valid_loss == result.best_valid_loss
    assert [r.train_loss for r in read_metrics(tmp_path / "parts/metrics.jsonl")] == [
        r.train_loss for r in read_metrics(tmp_path / "whole/metrics.jsonl")
    ]


def test_checkpoint_interval_does_not_change_the_weights(tmp_path: Path) -> None:
    often, _ = run(tmp_path / "often")
    rarely, _ = run(tmp_path / "rarely", replace(SHORT, checkpoint_every_n_batches=0))
    assert same_weights(weights(often), weights(rarely))


def test_a_finished_training_returns_at_once(tmp_path: Path) -> None:
    first, result = run(tmp_path)

    class NoStep(Callback):
        def on_step(self, network: nn.Module, batch: BranchingData, record: StepRecord) -> None:
            raise AssertionError("trained again")

    again, repeated = run(tmp_path, callbacks=(NoStep(),))
    assert repeated == result
    assert same_weights(weights(first), weights(again))


def test_plateau_training_can_be_prolonged(tmp_path: Path) -> None:
    run(tmp_path / "a", replace(SHORT, n_epochs=1))
    longer, _ = run(tmp_path / "a")
    whole, _ = run(tmp_path / "b")
    assert same_weights(weights(longer), weights(whole))


def test_other_settings_are_refused(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(InputError, match=r"holds a training with learning_rate = 0\.001, not 0\.002"):
        run(tmp_path, replace(SHORT, learning_rate=2e-3))


def test_network_holds_the_best_weights_in_evaluation_mode(tmp_path: Path) -> None:
    network, result = run(tmp_path, replace(SHORT, learning_rate=0.05, n_epochs=6))
    validation = validate(network, ordered_batches(VALID, batch_size=128), get_loss("tie-aware"))
    assert validation.loss == pytest.approx(result.best.valid_loss, rel=1e-6)
    assert not network.training
    assert result.best.valid_loss == min(r.valid_loss for r in read_metrics(tmp_path / "metrics.jsonl"))


def test_prenorm_is_fitted_once(tmp_path: Path) -> None:
    network, _ = run(tmp_path / "a")
    assert not torch.equal(network.edge_norm.scale, torch.ones(1))
    kept, _ = run(tmp_path / "b", prenorm_fitted=True)
    assert torch.equal(kept.edge_norm.scale, torch.ones(1))


def test_metrics_file(tmp_path: Path) -> None:
    _, result = run(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    wanted = {"train_loss", "valid_loss", "learning_rate", "samples_per_second", "wall_seconds"}
    assert wanted | {f"acc_{k}" for k in TOP} <= set(lines[0])
    assert read_metrics(tmp_path / "metrics.jsonl")[-1] == result.last
    with pytest.raises(InputError, match="does not exist; give the folder of a training"):
        read_metrics(tmp_path / "none.jsonl")
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1}\n')
    with pytest.raises(InputError, match="no epoch of this version"):
        read_metrics(tmp_path / "metrics.jsonl")


def test_tensorboard_events(tmp_path: Path) -> None:
    with pytest.raises(StopError):
        run(tmp_path, callbacks=(StopAfter(6),))
    _, result = run(tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("step/loss")] == list(range(1, 13))
    assert events.Scalars("epoch/acc_1")[-1].value == pytest.approx(result.last.acc_1, rel=1e-6)


class Listener(Callback):
    def __init__(self) -> None:
        self.calls: list[str] = []
        self.gradients: list[bool] = []

    def on_start(self, network: nn.Module, plan: TrainingPlan) -> None:
        self.calls.append(f"start {plan.first_step} of {plan.n_epochs * plan.n_batches_per_epoch}")

    def on_step(self, network: nn.Module, batch: BranchingData, record: StepRecord) -> None:
        torch.rand(3)
        network.eval()
        self.calls.append(f"step {record.step}")
        self.gradients.append(all(p.grad is not None for p in network.parameters()))

    def on_epoch(self, network: nn.Module, record: EpochRecord) -> None:
        self.calls.append(f"epoch {record.epoch}")

    def on_end(self, network: nn.Module, result: TrainingResult) -> None:
        self.calls.append("end")

    def close(self) -> None:
        self.calls.append("close")


def test_callbacks_hear_everything_and_change_nothing(tmp_path: Path) -> None:
    listener = Listener()
    config = replace(SHORT, n_epochs=2, n_batches_per_epoch=2)
    heard, _ = run(tmp_path / "a", config, dropout=0.3, callbacks=(listener,))
    alone, _ = run(tmp_path / "b", config, dropout=0.3)
    assert listener.calls == [
        *("start 0 of 4", "step 1", "step 2", "epoch 1", "step 3", "step 4", "epoch 2", "end", "close")
    ]
    assert all(listener.gradients)
    assert same_weights(weights(heard), weights(alone))


def test_gradients_are_clipped(tmp_path: Path) -> None:
    class Norms(Callback):
        def __init__(self) -> None:
            self.pairs: list[tuple[float, float]] = []

        def on_step(self, network: nn.Module, batch: BranchingData, record: StepRecord) -> None:
            norm = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None]).norm()
            self.pairs.append((record.gradient_norm, float(norm)))

    norms = Norms()
    run(tmp_path, replace(SHORT, gradient_clip_norm=0.01, n_epochs=1), callbacks=(norms,))
    assert all(before > 0.01 for before, _ in norms.pairs)
    assert all(after == pytest.approx(0.01, rel=1e-3) for _, after in norms.pairs)


def test_divergence_is_named(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"at step \d+; lower training.learning_rate \(now 1e\+30\)"):
        run(tmp_path, replace(SHORT, learning_rate=1e30))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 9, "n_devices": 2}, "training.batch_size = 9 does not divide by 2 processes"),
        ({"device": "cuda"}, 'training.device = "cuda", but PyTorch sees no GPU'),
        ({"precision": "bf16-mixed", "device": "cpu"}, "needs a GPU"),
        ({"n_machines": 2}, "needs torchrun or SLURM"),
    ],
)
def test_impossible_settings(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    if changes.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(InputError, match=message):
        run(tmp_path, replace(SHORT, **changes))  # type: ignore[arg-type]


def test_empty_sources(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0 validation samples"):
        train(gcnn(), TRAIN, MemorySource([]), SHORT, seed=0, run_folder=tmp_path, display="none")


def test_plain_display(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(gcnn(), TRAIN, VALID, SHORT, seed=0, run_folder=tmp_path, display="auto")
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == ""
    assert lines[1].startswith("epoch 1/3: train ")
    for title in ("valid", "acc@1", "acc@3", "acc@5", "acc@10", "rate", "samples/s", "left"):
        assert title in lines[1]
    assert lines[-1].startswith("done after epoch 3")


def test_live_display(tmp_path: Path) -> None:
    screen = io.StringIO()
    display = LiveDisplay(Console(file=screen, force_terminal=True, width=120))
    run(tmp_path, callbacks=(display,))
    text = screen.getvalue()
    assert "acc@10" in text
    assert "done after epoch 3" in text
    assert "epoch 4/3" not in text
