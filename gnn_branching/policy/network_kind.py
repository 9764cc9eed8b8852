"""A policy kind for any PyTorch network: trained by imitation, watched, saved as safetensors, run by PyTorch."""

from __future__ import annotations

import copy
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import save as pack_tensors

from gnn_branching.config import ExperimentConfig, ModelConfig, to_mapping
from gnn_branching.contracts import FEATURE_SCHEMA, InputError
from gnn_branching.durable import write_json
from gnn_branching.feature_schema import GRAPH, same_columns
from gnn_branching.libraries import require
from gnn_branching.policy.card import NORMALISATION, WEIGHTS_FILE, read_card, read_weights
from gnn_branching.policy.kind import FitRequest, FittedPolicy, LoadedPolicy

if TYPE_CHECKING:
    from torch import nn

N_PROBE_SAMPLES = 32
"""Samples on which convergence is watched while training."""
N_TIMED_STEPS = 8
"""Steps of the trial that tells how long a pass takes, after as many that warm up."""
WATCHING_SHARE = 0.1
"""Of a training's time, for watching it and writing checkpoints."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkKind:
    """Policies that are PyTorch networks.

    Args:
        name: As ``model.kind`` says it.
        build: Returns a network before training from ``[model]``. Its ``forward`` takes a batch's ``row_features,
            indptr, indices, edge_values, variable_features, candidates`` (and ``search_features``, if ``model.search``
            is not ``none``) and returns one logit per candidate
            (:class:`gnn_branching.model.network.GraphBatch` gives the shapes). It sees the graph that ``model.graph``
            names.
    """

    name: str
    build: Callable[[ModelConfig], nn.Module]

    def reads(self, model: ModelConfig) -> str:
        """Return the feature layout that a network reads: the graph, and the search's features if it sees them."""
        graph_alone = model.search == "none" and same_columns(model.schema, FEATURE_SCHEMA, *GRAPH)
        return FEATURE_SCHEMA if graph_alone else model.schema

    @property
    def weights_file(self) -> str:
        """Name of the file with the weights."""
        return WEIGHTS_FILE

    def require_libraries(self) -> None:
        """Refuse if PyTorch, or what trains with it, is missing."""
        require("train")

    def initial(self, config: ModelConfig, seed: int) -> nn.Module:
        """Return a network before training; its weights depend on the configuration and the experiment's seed alone."""
        from gnn_branching.model.network import initially

        return initially(self.build, config, seed)

    def fit(self, request: FitRequest) -> FittedPolicy:
        """Train, or go on with a training that was interrupted."""
        from gnn_branching.dataset.source import near_candidates, seen_as
        from gnn_branching.diagnostics.advice.headline import headline
        from gnn_branching.diagnostics.tracking.early_stop import PlStarRule
        from gnn_branching.diagnostics.tracking.tracker import ConvergenceTracker, probe_samples, read_probes
        from gnn_branching.subproblem import View
        from gnn_branching.training.loop import is_first_process, train
        from gnn_branching.training.outputs import read_metrics

        config = request.config
        view = View.of(config.model)
        network = self.initial(config.model, config.seed)
        measured: dict[str, float] = {}
        if request.measure_rate:
            config, measured = _with_measured_rate(request, network)
        if request.seconds is not None:
            config = _with_passes_for(request.seconds, request, config, network)
        write_json(request.folder.config, to_mapping(config))
        rule = PlStarRule(epsilon=config.training.stop_epsilon) if config.training.stop == "pl-star" else None
        probed, valid = (
            probe_samples(near_candidates(seen_as(source, view), network), N_PROBE_SAMPLES)
            for source in (request.train, request.valid)
        )
        tracker = ConvergenceTracker(probed, config.training.loss, valid_samples=valid, stop_rule=rule)
        result = train(
            network,
            request.train,
            request.valid,
            config.training,
            seed=config.seed,
            run_folder=request.folder.path,
            view=view,
            callbacks=(tracker,),
        )
        found = headline(
            read_metrics(request.folder.metrics), read_probes(request.folder.convergence), config.model.hidden_size
        )
        if found is not None and is_first_process():
            print(found, file=sys.stderr)
        gain = {"gain_of_twice_the_samples": found.gain.value} if found is not None else {}
        figures = {
            "best_epoch": float(result.best_epoch),
            "n_epochs": float(result.last.epoch),
            "stopped_early": float(result.stopped_early),
            "learning_rate": config.training.learning_rate,
            "valid_loss": result.best_valid_loss,
            "valid_acc_1": result.best.acc_1,
            "valid_acc_5": result.best.acc_5,
            "train_seconds": result.wall_seconds,
            "n_train_samples": float(len(request.train)),
            **gain,
            **measured,
        }
        told = {} if found is None else {"limited_by": str(found.limit), "advice": found.advice, "record": found.record}
        return replace(
            pack_network(network, config), figures=figures, headline=told, is_first_process=is_first_process()
        )

    def load(self, folder: Path, name: str, device: str) -> LoadedPolicy:
        """Load a policy to be run by PyTorch."""
        require("train")
        from gnn_branching.policy.graph import GraphPolicy
        from gnn_branching.policy.torch_runtime import TorchNetwork

        return GraphPolicy(
            folder, name, device, read_card(folder), TorchNetwork(self.load_network(folder), device).logits
        )

    def load_network(self, folder: Path) -> nn.Module:
        """Load a policy folder as a PyTorch network in evaluation mode, to train further, convert or examine.

        Raises:
            InputError: If the folder is not a whole policy of this kind.
        """
        require("train")
        import torch

        card = read_card(folder)
        if card.kind != self.name:
            raise InputError(f"{folder} holds a {card.kind}, not a {self.name}; load it with load_policy")
        network = self.build(card.architecture)
        weights = read_weights(folder, card)
        try:
            network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in weights.items()})
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{folder}: weights do not fit the card's architecture: {reason}") from None
        return network.eval()


def pack_network(network: nn.Module, config: ExperimentConfig) -> FittedPolicy:
    """Return a trained network, on any device and of any precision, as float32 weights ready to be written.

    Raises:
        InputError: If it was trained on something else than its card would say.
    """
    architecture: ModelConfig = getattr(network, "config", config.model)
    from gnn_branching.subproblem import View

    trained, said = getattr(network, "trained_view", None), View.of(architecture)
    if trained not in (None, said):
        raise InputError(
            f"the network was trained on {trained}, and its card would say {said}; "
            "give the configuration that it was trained with, or train it again"
        )
    tensors = {name: value.detach().float().cpu().contiguous().numpy() for name, value in network.state_dict().items()}
    return FittedPolicy(
        weights=pack_tensors(tensors),
        architecture=architecture,
        normalisation=NORMALISATION,
        n_parameters=sum(parameter.numel() for parameter in network.parameters()),
        config=config,
        figures={},
    )


def _with_measured_rate(request: FitRequest, network: nn.Module) -> tuple[ExperimentConfig, dict[str, float]]:
    """Return the configuration with the measured learning rate, and the figures of the measurement."""
    from gnn_branching.dataset.source import seen_as
    from gnn_branching.diagnostics.rates.stored_rate import stored_or_measured_rate
    from gnn_branching.subproblem import View

    print("measuring a learning rate (once; it is kept in the run folder)", file=sys.stderr)
    config = request.config
    train, valid = (seen_as(source, View.of(config.model)) for source in (request.train, request.valid))
    found = stored_or_measured_rate(request.folder.path, network, train, valid, config.training, seed=config.seed)
    print(f"learning rate {found.rate:.3g}, after {found.n_steps} steps and {found.seconds:.0f} s", file=sys.stderr)
    figures = {"learning_rate_steps": float(found.n_steps), "learning_rate_seconds": found.seconds}
    return replace(config, training=replace(config.training, learning_rate=found.rate)), figures


def _with_passes_for(
    seconds: float, request: FitRequest, config: ExperimentConfig, network: nn.Module
) -> ExperimentConfig:
    """Return the configuration with no more passes than there is time for; decided once, and kept in the run folder."""
    from gnn_branching.subproblem import View
    from gnn_branching.training.loop import train

    kept = request.folder.passes
    if not kept.is_file():
        trial = replace(config.training, n_epochs=2, n_batches_per_epoch=N_TIMED_STEPS, stop="patience")
        with tempfile.TemporaryDirectory() as folder:
            epoch = train(
                copy.deepcopy(network),
                request.train,
                request.valid,
                trial,
                seed=config.seed,
                run_folder=Path(folder),
                view=View.of(config.model),
                display="none",
            ).last
        n_batches = config.training.n_batches_per_epoch or -(-len(request.train) // config.training.batch_size)
        step_seconds = epoch.train_seconds / N_TIMED_STEPS
        pass_seconds = (n_batches * step_seconds + epoch.valid_seconds) * (1 + WATCHING_SHARE)
        write_json(kept, {"n_epochs": max(1, min(int(seconds / pass_seconds), config.training.n_epochs))})
    n_epochs = int(json.loads(kept.read_text())["n_epochs"])
    if n_epochs < config.training.n_epochs:
        print(f"{n_epochs} passes of {config.training.n_epochs}: the budget allows no more", file=sys.stderr)
    return replace(config, training=replace(config.training, n_epochs=n_epochs))
