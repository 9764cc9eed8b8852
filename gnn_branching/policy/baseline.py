"""What the published baselines (Gasse et al. 2019, section 5.1) share: their kind, and a fitted one at work."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save as pack_tensors

from gnn_branching.config import ExperimentConfig, ModelConfig, to_mapping
from gnn_branching.contracts import BranchingState, FloatArray, InputError
from gnn_branching.durable import write_json
from gnn_branching.feature_schema import KHALIL_SCHEMA, N_KHALIL_FEATURES
from gnn_branching.libraries import imported
from gnn_branching.policy.candidate_table import CandidateTable, candidate_table, normalised
from gnn_branching.policy.card import WEIGHTS_FILE, PolicyCard, read_card, read_weights
from gnn_branching.policy.folder import FolderPolicy
from gnn_branching.policy.kind import FitRequest, FittedPolicy, LoadedPolicy

PER_TREE_NODE = "each column stretched to [0, 1] over the candidates of a tree node"

Arrays = dict[str, NDArray[Any]]
"""Arrays of a forest or a linear ranker, by name."""
Predictor = Callable[[FloatArray], FloatArray]
"""Maps transformed features, (n_candidates, n_features), to scores."""


class Baseline(ABC):
    """A policy kind that ranks candidates by their own features.

    Attributes:
        name: As ``model.kind`` and the card say it.
        library: Module that fits it.
    """

    name: ClassVar[str]
    library: ClassVar[str]
    weights_file = WEIGHTS_FILE

    @abstractmethod
    def fit_table(self, table: CandidateTable, *, seed: int, n_threads: int) -> Arrays | str:
        """Fit to features as :meth:`fit_features` gives them; return arrays by name, or text."""

    @abstractmethod
    def predictor(self, folder: Path, card: PolicyCard) -> Predictor:
        """Read what was fitted from a policy folder.

        Raises:
            InputError: If the file is not one of this kind.
        """

    def reads(self, model: ModelConfig) -> str:
        """Return the feature layout that it reads, whatever the shape of the network."""
        return KHALIL_SCHEMA

    def transform(self, features: FloatArray) -> FloatArray:
        """Return what it reads of one tree node's candidates, in training and at work."""
        return normalised(features)

    def fit_features(self, features: FloatArray) -> FloatArray:
        """Return what a table holds of one tree node's candidates; :meth:`transform`, where that fits into memory."""
        return self.transform(features)

    def require_libraries(self) -> None:
        """Import what fits it, so that its absence is known before anything else is done.

        Raises:
            InputError: If the library is not installed, or does not load.
        """
        imported("baselines", self.library)

    def fit(self, request: FitRequest) -> FittedPolicy:
        """Fit to random tree nodes of the training samples, as many as ``N_CANDIDATES_MOST`` candidates allow."""
        self.require_libraries()
        config, n_samples = request.config, len(request.train)
        write_json(request.folder.config, to_mapping(config))
        print(f"fitting {self.name} on {n_samples} samples or fewer", file=sys.stderr)
        clock = time.perf_counter()
        table = candidate_table(request.train, self.fit_features, seed=config.seed)
        fitted = self.fit_table(table, seed=config.seed, n_threads=config.training.n_threads or -1)
        figures = {
            "train_seconds": time.perf_counter() - clock,
            "n_train_samples": float(n_samples),
            "n_fitted_samples": float(len(table.n_candidates)),
        }
        return self.pack(fitted, config, figures)

    def pack(self, fitted: Arrays | str, config: ExperimentConfig, figures: dict[str, float]) -> FittedPolicy:
        """Return what was fitted, ready to be written."""
        if isinstance(fitted, str):
            weights, n_parameters = fitted.encode(), fitted.count("\nTree=")
        else:
            weights = pack_tensors({name: np.ascontiguousarray(array) for name, array in fitted.items()})
            n_parameters = sum(array.size for array in fitted.values())
        return FittedPolicy(
            weights=weights,
            architecture=ModelConfig(kind=self.name),
            normalisation=PER_TREE_NODE,
            n_parameters=n_parameters,
            config=config,
            figures=figures,
        )

    def load(self, folder: Path, name: str, device: str) -> LoadedPolicy:
        """Load a policy of this kind; it runs on the CPU, whatever the device."""
        return BaselinePolicy(folder, name, self)

    def read_arrays(self, folder: Path, card: PolicyCard, names: tuple[str, ...]) -> Mapping[str, NDArray[Any]]:
        """Read arrays by name from a policy folder.

        Raises:
            InputError: If one is missing.
        """
        arrays = read_weights(folder, card)
        lacking = [name for name in names if name not in arrays]
        if lacking:
            raise InputError(f"{folder}: the weights lack {', '.join(lacking)}; train the policy again")
        return arrays


class BaselinePolicy(FolderPolicy):
    """A fitted baseline as a :class:`~gnn_branching.contracts.Policy`; pickled as the path of its folder.

    Args:
        folder: The policy's folder.
        name: Name for tables.
        kind: What it is.

    Raises:
        InputError: If the folder is not a whole policy of that kind, or a library is needed and not installed.
    """

    def __init__(self, folder: Path, name: str, kind: Baseline) -> None:
        super().__init__(folder, name, read_card(folder))
        self._kind = kind
        if self.card.kind != kind.name:
            raise InputError(f"{folder} holds a {self.card.kind}, which is no {kind.name}; load it with load_policy")
        self._predict = kind.predictor(folder, self.card)

    def scores(self, state: BranchingState) -> FloatArray:
        """Return one score per candidate.

        Raises:
            InputError: If the state has no Khalil features.
        """
        if state.candidate_features is None:
            raise InputError(f"policy {self.name} reads {KHALIL_SCHEMA}, which this state lacks; ask for that schema")
        return self._predict(self._kind.transform(state.candidate_features))

    def warm_up(self) -> None:
        """Score two made-up candidates, so that nothing is loaded or compiled at the first decision."""
        self._predict(self._kind.transform(np.eye(2, N_KHALIL_FEATURES)))

    def __reduce__(self) -> tuple[type[BaselinePolicy], tuple[Path, str, Baseline]]:
        return type(self), (self.folder, self.name, self._kind)
