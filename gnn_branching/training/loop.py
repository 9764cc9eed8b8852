"""Train a network by imitation: the public entry."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import nn

from gnn_branching.config import ModelConfig, TrainingConfig
from gnn_branching.contracts import InputError
from gnn_branching.dataset.loader import training_batches
from gnn_branching.dataset.source import KeptSource, SampleSource, near_candidates, seen_as
from gnn_branching.provenance import available_cores
from gnn_branching.seeding import derive_seed
from gnn_branching.subproblem import View
from gnn_branching.training.display import DisplayKind, make_display
from gnn_branching.training.outputs import MetricsFile, TensorBoardEvents
from gnn_branching.training.progress import Progress
from gnn_branching.training.records import Callback, TrainingResult
from gnn_branching.training.session import TrainingJob, run_session


def train(
    network: nn.Module,
    train_source: SampleSource,
    valid_source: SampleSource,
    config: TrainingConfig,
    *,
    seed: int,
    run_folder: Path,
    view: View | None = None,
    callbacks: Sequence[Callback] = (),
    display: DisplayKind = "auto",
    prenorm_fitted: bool = False,
) -> TrainingResult:
    """Train a network, and leave it on the CPU, in evaluation mode, with its best weights.

    A training that was interrupted, however, goes on from its last checkpoint when called again with the same
    arguments, and ends with the same weights as if it had not been (bit for bit on a CPU with the same number of
    threads). One that is finished returns at once.

    Args:
        network: Takes a batch's ``row_features, indptr, indices, edge_values, variable_features, candidates``. If it
            has ``n_rounds``, nothing that is more rounds of messages away from a candidate may matter to its scores:
            such rows and variables are left out of the batches.
        train_source: Training samples.
        valid_source: Validation samples, from other instances.
        config: How to train.
        seed: Root of every random stream here; the network's own initialisation is the caller's.
        run_folder: Gets ``checkpoints/``, ``metrics.jsonl`` and ``tensorboard/``.
        view: What the network sees of a tree node; None asks the network's own ``config``, and without one it is the
            whole LP alone. Samples of whole tree nodes are turned into it here, and the network keeps it as
            ``trained_view``: its card must say the same.
        callbacks: Further listeners; picklable if ``config.n_devices`` > 1, like network and sources.
        display: What to show on standard error.
        prenorm_fitted: Whether the network comes with prenorm layers fitted, as for fine-tuning.

    Raises:
        InputError: If a setting is impossible here, or the folder holds another training.
        DivergedError: If the loss or a gradient is no number any more.
    """
    _check(config, train_source, valid_source)
    view = view_of(network, view)
    seen, seen_valid = seen_as(train_source, view), seen_as(valid_source, view)
    object.__setattr__(network, "trained_view", view)
    listeners = (make_display(display), MetricsFile(), TensorBoardEvents(), *callbacks)
    job = TrainingJob(
        network=network,
        view=view,
        train_source=KeptSource(near_candidates(seen, network)),
        valid_source=KeptSource(near_candidates(seen_valid, network)),
        config=config,
        seed=seed,
        run_folder=run_folder,
        callbacks=listeners,
    )
    with torch.random.fork_rng(), _threads(_n_threads(config)):
        if not prenorm_fitted and not job.checkpoints.steps():
            fit_prenorm(network, KeptSource(seen), config, seed)
        fabric = make_fabric(config)
        if launched_from_outside() or config.n_devices == 1:
            fabric.launch()
            outcome = run_session(job, fabric)
        else:
            outcome = fabric.launch(partial(run_session, job))
    network.cpu().eval()
    job.checkpoints.load_best(network)
    return job.result(Progress.from_json(outcome))


def view_of(network: nn.Module, wanted: View | None = None) -> View:
    """Return what a network is to see: what its own configuration says, else what is wanted.

    Raises:
        InputError: If they are not the same.
    """
    config = getattr(network, "config", None)
    said = View.of(config) if isinstance(config, ModelConfig) else None
    if said is not None and wanted not in (None, said):
        raise InputError(f"the network's configuration says that it sees {said}, and it is to be trained on {wanted}")
    return said or wanted or View()


def make_fabric(config: TrainingConfig) -> Fabric:
    """Return the Fabric of a configuration: this process alone, or one of several with gradients averaged.

    On one machine the processes are spawned; started by ``torchrun`` or SLURM, this process is one of them.

    Raises:
        InputError: If there is no GPU where one is asked for.
    """
    has_gpu = torch.cuda.is_available()
    if config.device == "cuda" and not has_gpu:
        raise InputError('training.device = "cuda", but PyTorch sees no GPU here; use "cpu" or "auto"')
    accelerator = "cuda" if has_gpu and config.device != "cpu" else "cpu"
    if config.precision == "bf16-mixed" and accelerator == "cpu":
        raise InputError('training.precision = "bf16-mixed" needs a GPU; use "32-true"')
    n_processes = config.n_devices * config.n_machines
    several = "ddp" if launched_from_outside() else "ddp_spawn"
    return Fabric(
        accelerator=accelerator,
        devices=config.n_devices,
        num_nodes=config.n_machines,
        strategy=several if n_processes > 1 else "auto",
        precision=config.precision,
    )


def launched_from_outside() -> bool:
    """Whether ``torchrun`` or SLURM started this process as one of several."""
    return "TORCHELASTIC_RUN_ID" in os.environ or int(os.environ.get("SLURM_NTASKS", "1")) > 1


def is_first_process() -> bool:
    """Whether this process is the first, or only, one; the others share the training, and write no policy."""
    rank = os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0"))
    return not launched_from_outside() or int(rank) == 0


def _check(config: TrainingConfig, train_source: SampleSource, valid_source: SampleSource) -> None:
    for name, source in (("training", train_source), ("validation", valid_source)):
        if len(source) == 0:
            raise InputError(f"0 {name} samples; collect at least 1")
    n_processes = config.n_devices * config.n_machines
    if config.batch_size % n_processes:
        raise InputError(
            f"training.batch_size = {config.batch_size} does not divide by {n_processes} processes; use a multiple"
        )
    if config.n_machines > 1 and not launched_from_outside():
        raise InputError(f"training.n_machines = {config.n_machines} needs torchrun or SLURM to start every process")


def fit_prenorm(network: nn.Module, source: SampleSource, config: TrainingConfig, seed: int) -> None:
    """Fit and freeze the prenorm layers, if there are any, on ``config.n_prenorm_samples`` random samples."""
    fit = getattr(network, "fit_prenorm", None)
    if fit is None:
        return
    n_samples = min(config.n_prenorm_samples or len(source), len(source))
    batch_size = min(config.batch_size, n_samples)
    order_seed, n_batches = derive_seed(seed, "prenorm-order"), -(-n_samples // batch_size)
    fit(training_batches(source, batch_size=batch_size, seed=order_seed, n_batches=n_batches))


def _n_threads(config: TrainingConfig) -> int:
    return config.n_threads or max(1, available_cores() // config.n_devices)


@contextmanager
def _threads(n_threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
