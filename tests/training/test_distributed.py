"""Two gloo processes: equal weights on both, and those of one process on the same global batches."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed
from safetensors.torch import load_file, save_file
from torch import nn

from gnn_branching.config import TrainingConfig
from gnn_branching.dataset.synthetic import random_source
from gnn_branching.subproblem import View
from gnn_branching.training.loop import make_fabric, train
from gnn_branching.training.outputs import read_metrics
from gnn_branching.training.session import Session, TrainingJob

from .toys import gcnn, same_weights, weights

CONFIG = TrainingConfig(
    loss="tie-aware", n_epochs=2, n_batches_per_epoch=3, batch_size=8, valid_batch_size=4, n_threads=1, device="cpu"
)


def train_and_save(fabric, job: TrainingJob, folder: Path) -> None:  # type: ignore[no-untyped-def]
    """Train, and leave each process's weights in a file of its own."""
    session = Session(fabric, job)
    session.run()
    save_file(weights(session.network), folder / f"rank-{fabric.global_rank}.safetensors")


class Trainer:
    """What each process runs; an object, since Fabric would look into plain arguments."""

    def __init__(self, job: TrainingJob, folder: Path) -> None:
        self.job = job
        self.folder = folder

    def __call__(self, fabric) -> None:  # type: ignore[no-untyped-def]
        assert torch.distributed.get_backend() == "gloo"
        train_and_save(fabric, self.job, self.folder)


def make_job(network: nn.Module, config: TrainingConfig, folder: Path) -> TrainingJob:
    return TrainingJob(
        network=network,
        view=View(),
        train_source=random_source(24, seed=1),
        valid_source=random_source(11, seed=2),
        config=config,
        seed=0,
        run_folder=folder,
        callbacks=(),
    )


@pytest.mark.slow
def test_two_processes_agree_with_each_other_and_with_one(tmp_path: Path) -> None:
    two = replace(CONFIG, n_devices=2)
    make_fabric(two).launch(Trainer(make_job(gcnn(), two, tmp_path / "two"), tmp_path))
    first, second = (load_file(tmp_path / f"rank-{rank}.safetensors") for rank in range(2))
    assert same_weights(first, second)
    alone = Session(make_fabric(CONFIG), make_job(gcnn(), CONFIG, tmp_path / "one"))
    alone.run()
    for name, tensor in weights(alone.network).items():
        torch.testing.assert_close(first[name], tensor, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.slow
def test_train_brings_the_best_weights_home(tmp_path: Path) -> None:
    source, valid = random_source(24, seed=1), random_source(11, seed=2)
    networks, results = [], []
    for n_devices in (1, 2):
        network, folder = gcnn(), tmp_path / str(n_devices)
        config = replace(CONFIG, n_devices=n_devices)
        results.append(train(network, source, valid, config, seed=0, run_folder=folder, display="none"))
        networks.append(weights(network))
        assert [record.epoch for record in read_metrics(folder / "metrics.jsonl")] == [1, 2]
    assert results[0].best.acc_1 == results[1].best.acc_1
    assert results[0].best_valid_loss == pytest.approx(results[1].best_valid_loss, rel=1e-5)
    for name, tensor in networks[0].items():
        # Adam's first steps have the size of the learning rate, 1e-3, even where the gradient is rounding error.
        torch.testing.assert_close(networks[1][name], tensor, rtol=1e-4, atol=3e-4, msg=name)
