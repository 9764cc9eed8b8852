"""From samples to a policy folder and its figures: the graph network, or a published baseline."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from gnn_branching.cli.experiment import RunFolder
from gnn_branching.cli.output import write_json
from gnn_branching.config import ExperimentConfig, to_mapping

if TYPE_CHECKING:
    from gnn_branching.dataset.selection import SelectedSamples
    from gnn_branching.dataset.source import SampleSource
    from gnn_branching.model.network import BipartiteGCNN

N_PROBE_SAMPLES = 32
"""Samples on which convergence is watched while training."""


def fit_network(
    config: ExperimentConfig, folder: RunFolder, samples: SelectedSamples, *, measure_rate: bool = False
) -> dict[str, float]:
    """Train the graph network or go on with it, save the policy, and return its figures.

    Args:
        config: What to train, and how.
        folder: Gets checkpoints, logs, configuration and policy.
        samples: On what.
        measure_rate: Whether to measure the learning rate, or take the one measured before, instead of the
            configuration's.
    """
    from gnn_branching.dataset.source import GraphSource
    from gnn_branching.diagnostics.early_stop import PlStarRule
    from gnn_branching.diagnostics.tracker import ConvergenceTracker, probe_samples
    from gnn_branching.model.network import initial_network
    from gnn_branching.policy.save import save_policy
    from gnn_branching.training.loop import is_first_process, train

    network = initial_network(config.model, config.seed)
    train_source, valid_source = (GraphSource(source, config.model.graph) for source in (samples.train, samples.valid))
    measured: dict[str, float] = {}
    if measure_rate:
        config, measured = _with_measured_rate(config, folder, train_source, valid_source, network)
    write_json(folder.config, to_mapping(config))
    rule = PlStarRule(epsilon=config.training.stop_epsilon) if config.training.stop == "pl-star" else None
    probed = probe_samples(train_source, N_PROBE_SAMPLES)
    tracker = ConvergenceTracker(probed, config.training.loss, stop_rule=rule)
    result = train(
        network,
        train_source,
        valid_source,
        config.training,
        seed=config.seed,
        run_folder=folder.path,
        callbacks=(tracker,),
    )
    figures = {
        "best_epoch": float(result.best_epoch),
        "n_epochs": float(result.last.epoch),
        "stopped_early": float(result.stopped_early),
        "learning_rate": config.training.learning_rate,
        "valid_loss": result.best_valid_loss,
        "valid_acc_1": result.best.acc_1,
        "valid_acc_5": result.best.acc_5,
        "train_seconds": result.wall_seconds,
        "n_train_samples": float(len(samples.train)),
        **measured,
    }
    if not is_first_process():
        return figures
    save_policy(folder.policy, network, config=to_mapping(config), metrics=figures, trained_on=samples.trained_on)
    figures |= _accuracy(folder, samples.test, "test")
    save_policy(folder.policy, network, config=to_mapping(config), metrics=figures, trained_on=samples.trained_on)
    return figures


def fit_baseline_policy(config: ExperimentConfig, folder: RunFolder, samples: SelectedSamples) -> dict[str, float]:
    """Fit the baseline that ``config.model.kind`` names, save the policy, and return its figures."""
    from gnn_branching.policy.baselines import TRANSFORMS
    from gnn_branching.policy.save import save_baseline
    from gnn_branching.training.baselines import fit_baseline

    write_json(folder.config, to_mapping(config))
    kind, n_threads = config.model.kind, config.training.n_threads or -1
    print(f"fitting {kind!s} on {len(samples.train)} samples or fewer", file=sys.stderr)
    clock = time.perf_counter()
    fitted, n_fitted = fit_baseline(kind, samples.train, TRANSFORMS[kind], seed=config.seed, n_threads=n_threads)
    figures = {
        "train_seconds": time.perf_counter() - clock,
        "n_train_samples": float(len(samples.train)),
        "n_fitted_samples": float(n_fitted),
    }
    save_baseline(folder.policy, fitted, config=to_mapping(config), metrics=figures, trained_on=samples.trained_on)
    figures |= _accuracy(folder, samples.valid, "valid") | _accuracy(folder, samples.test, "test")
    save_baseline(folder.policy, fitted, config=to_mapping(config), metrics=figures, trained_on=samples.trained_on)
    return figures


def _with_measured_rate(
    config: ExperimentConfig, folder: RunFolder, train: SampleSource, valid: SampleSource, network: BipartiteGCNN
) -> tuple[ExperimentConfig, dict[str, float]]:
    """Return the configuration with the measured learning rate, and the figures of the measurement."""
    from gnn_branching.diagnostics.stored_rate import stored_or_measured_rate

    print("measuring a learning rate (once; it is kept in the run folder)", file=sys.stderr)
    training = config.training
    found = stored_or_measured_rate(folder.path, network, train, valid, training, seed=config.seed)
    print(f"learning rate {found.rate:.3g}, after {found.n_steps} steps and {found.seconds:.0f} s", file=sys.stderr)
    figures = {"learning_rate_steps": float(found.n_steps), "learning_rate_seconds": found.seconds}
    return replace(config, training=replace(training, learning_rate=found.rate)), figures


def _accuracy(folder: RunFolder, source: SampleSource, split: str) -> dict[str, float]:
    """Measure the policy as it was saved, not as it was trained."""
    from gnn_branching.policy import load_policy
    from gnn_branching.training.metrics import policy_accuracy

    accuracy = policy_accuracy(load_policy(folder.policy), source)
    return {f"{split}_{name}": getattr(accuracy, name) for name in ("acc_1", "acc_3", "acc_5", "acc_10")}
