"""A training to be killed: prints a line per step; run as ``python -m tests.training.killable FOLDER``."""

import sys
from pathlib import Path

from torch import nn

from gnn_branching.config import TrainingConfig
from gnn_branching.dataset.data import BranchingData
from gnn_branching.dataset.synthetic import random_source
from gnn_branching.training.loop import train
from gnn_branching.training.records import Callback, StepRecord

from .toys import gcnn

CONFIG = TrainingConfig(
    loss="tie-aware",
    schedule="one-cycle",
    learning_rate=1e-2,
    n_epochs=5,
    n_batches_per_epoch=8,
    batch_size=8,
    n_threads=1,
    checkpoint_every_n_batches=3,
)
N_STEPS = 40


class PrintSteps(Callback):
    def on_step(self, network: nn.Module, batch: BranchingData, record: StepRecord) -> None:
        print(record.step, flush=True)


def main(folder: Path) -> None:
    source, valid = random_source(32, seed=1), random_source(8, seed=2)
    train(
        gcnn(dropout=0.2), source, valid, CONFIG, seed=3, run_folder=folder, callbacks=(PrintSteps(),), display="none"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
