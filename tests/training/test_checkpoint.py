"""A checkpoint gives back everything, is whole or absent, and belongs to one training."""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from gnn_branching.config import TrainingConfig
from gnn_branching.contracts import InputError
from gnn_branching.dataset.data import to_data
from gnn_branching.dataset.synthetic import random_sample
from gnn_branching.training.checkpoint import CheckpointFolder
from gnn_branching.training.progress import Progress, fingerprint
from gnn_branching.training.schedule import make_optimizer
from gnn_branching.training.validation import forward

from .test_schedule import epoch
from .toys import gcnn, same_weights, weights


def folder(path: Path) -> CheckpointFolder:
    return CheckpointFolder(path=path, keep_last=2)


def step(network: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    forward(network, to_data(random_sample(1))).square().sum().backward()
    optimizer.step()


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_optimizer_goes_on_as_if_nothing_had_been(tmp_path: Path, kind: str) -> None:
    config = TrainingConfig(optimizer=kind, weight_decay=0.01)  # type: ignore[arg-type]
    network = gcnn(1)
    optimizer = make_optimizer(network, config)
    step(network, optimizer)
    folder(tmp_path).save_step(network, optimizer, Progress(step=1), {})
    step(network, optimizer)
    other = gcnn(2)
    other_optimizer = make_optimizer(other, config)
    assert folder(tmp_path).load_last(other, other_optimizer, {}) == Progress(step=1)
    step(other, other_optimizer)
    assert same_weights(weights(network), weights(other))


def test_progress_survives_bit_for_bit() -> None:
    progress = Progress(step=7, loss_sum=0.1 + 0.2, n_drops=3, history=[epoch(1, 1 / 3, is_best=True)])
    assert Progress.from_json(progress.to_json()) == progress


def test_no_checkpoint(tmp_path: Path) -> None:
    network = gcnn()
    before = weights(network)
    assert folder(tmp_path).load_last(network, make_optimizer(network, TrainingConfig()), {}) is None
    assert same_weights(before, weights(network))


def test_keeps_the_last(tmp_path: Path) -> None:
    network = gcnn()
    optimizer = make_optimizer(network, TrainingConfig())
    for number in (9, 10, 100):
        folder(tmp_path).save_step(network, optimizer, Progress(step=number), {})
    folder(tmp_path).save_best(network, epoch=1, valid_loss=0.5)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "best.safetensors",
        "step-000000010.safetensors",
        "step-000000100.safetensors",
    ]


def test_best_holds_the_network_alone(tmp_path: Path) -> None:
    network, other = gcnn(1), gcnn(2)
    folder(tmp_path).save_best(network, epoch=3, valid_loss=0.1)
    with safe_open(tmp_path / "best.safetensors", framework="pt") as stored:
        assert set(stored.keys()) == set(network.state_dict())
        assert stored.metadata()["epoch"] == "3"
    folder(tmp_path).load_best(other)
    assert same_weights(weights(network), weights(other))


def test_rubbish_of_a_killed_process_goes(tmp_path: Path) -> None:
    rubbish = tmp_path / ".step-000000001.safetensors.123.partial"
    rubbish.write_bytes(b"half")
    network = gcnn()
    assert folder(tmp_path).load_last(network, make_optimizer(network, TrainingConfig()), {}) is None
    assert not rubbish.exists()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    network = gcnn()
    optimizer = make_optimizer(network, TrainingConfig())
    folder(tmp_path).save_step(network, optimizer, Progress(step=1), {})
    path = folder(tmp_path).steps()[0]
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"step-000000001\.safetensors cannot be read .* delete it"):
        folder(tmp_path).load_last(network, optimizer, {})


def test_another_training_is_refused(tmp_path: Path) -> None:
    network = gcnn()
    optimizer = make_optimizer(network, TrainingConfig())
    folder(tmp_path).save_step(network, optimizer, Progress(), {"seed": 1})
    with pytest.raises(InputError, match=r"holds a training with seed = 1, not 2; use the same settings"):
        folder(tmp_path).load_last(network, optimizer, {"seed": 2})


def test_fingerprint_knows_what_the_weights_depend_on() -> None:
    def of(config: TrainingConfig, hidden_size: int = 8) -> dict[str, object]:
        return fingerprint(config, gcnn(hidden_size=hidden_size), seed=0, n_train=3, n_valid=2)

    base = of(TrainingConfig())
    assert of(TrainingConfig(keep_last=7, n_threads=1, n_epochs=3)) == base
    assert of(TrainingConfig(batch_size=7)) != base
    assert of(TrainingConfig(), hidden_size=9) != base
    cycle = TrainingConfig(schedule="one-cycle", n_epochs=3)
    assert of(cycle) != of(TrainingConfig(schedule="one-cycle", n_epochs=4))
