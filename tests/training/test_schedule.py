"""Learning rates against PyTorch's own one-cycle, and the published plateau."""

import pytest
import torch

from gnn_branching.config import TrainingConfig
from gnn_branching.training.progress import Progress
from gnn_branching.training.records import EpochRecord
from gnn_branching.training.schedule import learning_rate, make_optimizer, one_cycle

from .toys import FractionNetwork


@pytest.mark.parametrize("n_steps", [10, 37, 400])
def test_one_cycle_equals_pytorch(n_steps: int) -> None:
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=1.0)
    reference = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=n_steps)
    for step in range(n_steps):
        assert one_cycle(step, n_steps, 4e-3) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        if step + 1 < n_steps:
            reference.step()


@pytest.mark.parametrize("n_steps", [1, 2, 3])
def test_one_cycle_of_few_steps_is_positive(n_steps: int) -> None:
    rates = [one_cycle(step, n_steps, 4e-3) for step in range(n_steps)]
    assert all(0 < rate <= 4e-3 for rate in rates)


def epoch(number: int, valid_loss: float, *, is_best: bool) -> EpochRecord:
    return EpochRecord(
        epoch=number,
        step=number,
        train_loss=1.0,
        valid_loss=valid_loss,
        acc_1=0.0,
        acc_3=0.0,
        acc_5=0.0,
        acc_10=0.0,
        learning_rate=1.0,
        gradient_norm=1.0,
        is_best=is_best,
        samples_per_second=1.0,
        train_seconds=1.0,
        valid_seconds=1.0,
        wall_seconds=1.0,
    )


def run(config: TrainingConfig, losses: list[float]) -> tuple[list[float], list[bool]]:
    progress, rates, stops = Progress(), [], []
    for number, loss in enumerate(losses, start=1):
        progress.add_epoch(epoch(number, loss, is_best=progress.improves(loss)), config)
        rates.append(learning_rate(config, step=0, n_steps=1, n_drops=progress.n_drops))
        stops.append(progress.stops_early(config))
    return rates, stops


def test_plateau_lowers_after_patience_and_stops_after_twice_that() -> None:
    config = TrainingConfig(schedule="plateau", learning_rate=1e-3, patience=2, stop_patience=4)
    rates, stops = run(config, [1.0, 0.5, 0.6, 0.5, 0.4, 0.4, 0.4, 0.4, 0.4])
    assert rates == pytest.approx([1e-3, 1e-3, 1e-3, 2e-4, 2e-4, 2e-4, 4e-5, 4e-5, 8e-6], rel=1e-12)
    assert stops == [False] * 8 + [True]


def test_one_cycle_never_stops_early() -> None:
    config = TrainingConfig(schedule="one-cycle", patience=1, stop_patience=1)
    assert not any(run(config, [1.0, 2.0, 3.0])[1])


def test_optimizers() -> None:
    network = FractionNetwork(1.0)
    assert isinstance(make_optimizer(network, TrainingConfig()), torch.optim.Adam)
    decayed = make_optimizer(network, TrainingConfig(optimizer="adamw", weight_decay=0.1))
    assert isinstance(decayed, torch.optim.AdamW)
    assert decayed.param_groups[0]["weight_decay"] == 0.1
