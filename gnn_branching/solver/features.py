"""Features of the current tree node, read by Ecole from a live PySCIPOpt model."""

from __future__ import annotations

from math import isfinite

import ecole
import numpy as np
import pyscipopt

from gnn_branching.contracts import (
    FEATURE_SCHEMA,
    KHALIL_SCHEMA,
    N_KHALIL_FEATURES,
    VARIABLE_FEATURES,
    BranchingState,
    FloatArray,
    InputError,
)
from gnn_branching.solver.candidates import Candidates, HandoverError

UNKNOWN_INCUMBENT_VALUE = 0.0
"""Stands for the incumbent's value, and the average incumbent's, while there is none (Ecole gives NaN)."""

_SOLUTION_VALUE = VARIABLE_FEATURES.index("solution_value")
_INCUMBENT = slice(VARIABLE_FEATURES.index("incumbent_value"), VARIABLE_FEATURES.index("average_incumbent_value") + 1)


class FeatureExtractor:
    """Read the bipartite graph of the current LP with Ecole's ``NodeBipartite``.

    Ecole's cache is not used: it keeps the rows of the root, and reads beyond them once cuts or restarts change the LP
    (Ecole 0.8 and ecole-fork 0.10, ``node-bipartite.cpp``).

    Args:
        schema: ``FEATURE_SCHEMA``, or ``KHALIL_SCHEMA`` to add the features of Khalil et al. 2016.

    Raises:
        InputError: If the schema is another one.
    """

    def __init__(self, schema: str = FEATURE_SCHEMA) -> None:
        if schema not in (FEATURE_SCHEMA, KHALIL_SCHEMA):
            raise InputError(f"features {schema!r} are unknown; allowed: {FEATURE_SCHEMA}, {KHALIL_SCHEMA}")
        self._bipartite = ecole.observation.NodeBipartite()
        self._khalil = ecole.observation.Khalil2016(pseudo_candidates=True) if schema == KHALIL_SCHEMA else None

    def extract(self, model: pyscipopt.Model, candidates: Candidates) -> BranchingState:
        """Return the state of the current tree node.

        Args:
            model: A model inside a branching callback, its LP solved.
            candidates: The candidates of this tree node.

        Returns:
            The state, with all values finite; its arrays are fresh.

        Raises:
            HandoverError: If the LP's positions are no variable indices, or a feature is not finite.
        """
        live = ecole.scip.Model.from_pyscipopt(model)
        observation = self._bipartite.extract(live, False)
        if observation is None:
            raise HandoverError("no-observation")
        variable_features = observation.variable_features
        incumbent = variable_features[:, _INCUMBENT]
        if np.isnan(incumbent[0]).any():
            np.nan_to_num(incumbent, copy=False, nan=UNKNOWN_INCUMBENT_VALUE, posinf=np.inf, neginf=-np.inf)
        if not np.array_equal(variable_features[candidates.indices, _SOLUTION_VALUE], candidates.lp_values):
            raise HandoverError("index-mismatch")
        row_features, edges = observation.row_features, observation.edge_features
        edge_values = edges.values
        # A sum is finite only if no term is NaN or infinite: three passes, no temporaries.
        if not isfinite(float(variable_features.sum() + row_features.sum() + edge_values.sum())):
            raise HandoverError("feature-not-finite")
        return BranchingState(
            row_features=row_features,
            variable_features=variable_features,
            edge_indices=edges.indices.view(np.int64),
            edge_values=edge_values,
            candidates=candidates.indices,
            candidate_features=self._candidate_features(live, candidates),
        )

    def note_root(self, model: pyscipopt.Model) -> None:
        """Let Ecole compute the static Khalil features, which it does at the root only; call this at depth 0."""
        if self._khalil is not None:
            self._khalil.extract(ecole.scip.Model.from_pyscipopt(model), False)

    def _candidate_features(self, live: ecole.scip.Model, candidates: Candidates) -> FloatArray | None:
        if self._khalil is None:
            return None
        features = self._khalil.extract(live, False).features[candidates.indices]
        if features.shape[1] != N_KHALIL_FEATURES or not np.isfinite(features).all():
            raise HandoverError("khalil-feature-not-finite")
        return np.asarray(features, dtype=np.float64)
