"""Features of the current tree node, read by Ecole from a live PySCIPOpt model."""

from __future__ import annotations

import ecole
import numba
import numpy as np
import pyscipopt

from gnn_branching.contracts import (
    FEATURE_SCHEMA,
    KHALIL_SCHEMA,
    N_KHALIL_FEATURES,
    VARIABLE_FEATURES,
    BranchingState,
    FloatArray,
    IndexArray,
    InputError,
)
from gnn_branching.solver.candidates import Candidates, HandoverError
from gnn_branching.solver.output import kept_log

UNKNOWN_INCUMBENT_VALUE = 0.0
"""Stands for the incumbent's value, and the average incumbent's, while there is none (Ecole gives NaN)."""

_SOLUTION_VALUE = VARIABLE_FEATURES.index("solution_value")
_INCUMBENT = VARIABLE_FEATURES.index("incumbent_value")
_AVERAGE_INCUMBENT = VARIABLE_FEATURES.index("average_incumbent_value")
PROBLEMS = ("", "index-mismatch", "feature-not-finite")
"""What may be wrong with the features of a tree node: reasons for handing over."""


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
        self._live: ecole.scip.Model | None = None
        self._bipartite = ecole.observation.NodeBipartite()
        self._khalil = ecole.observation.Khalil2016(pseudo_candidates=True) if schema == KHALIL_SCHEMA else None

    def watch(self, model: pyscipopt.Model) -> None:
        """Read no other model from now on, which saves a new view of it at each tree node.

        The view does not keep the model alive: extract only while the model lives, as its own plug-ins do.
        """
        with kept_log(model):
            self._live = ecole.scip.Model.from_pyscipopt(model)

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
        live = self._view(model)
        observation = self._bipartite.extract(live, False)
        if observation is None:
            raise HandoverError("no-observation")
        edges = observation.edge_features
        arrays = (observation.row_features, observation.variable_features, edges.values)
        problem = complete(*arrays, candidates.indices, candidates.lp_values)
        if problem:
            raise HandoverError(PROBLEMS[problem])
        return BranchingState(
            row_features=arrays[0],
            variable_features=arrays[1],
            edge_indices=edges.indices.view(np.int64),
            edge_values=arrays[2],
            candidates=candidates.indices,
            candidate_features=None if self._khalil is None else self._candidate_features(live, candidates),
        )

    def note_root(self, model: pyscipopt.Model) -> None:
        """Let Ecole compute the static Khalil features, which it does at the root only; call this at depth 0."""
        if self._khalil is not None:
            self._khalil.extract(self._view(model), False)

    def _view(self, model: pyscipopt.Model) -> ecole.scip.Model:
        return self._live if self._live is not None else ecole.scip.Model.from_pyscipopt(model)

    def _candidate_features(self, live: ecole.scip.Model, candidates: Candidates) -> FloatArray:
        assert self._khalil is not None
        features = self._khalil.extract(live, False).features[candidates.indices]
        if features.shape[1] != N_KHALIL_FEATURES or not np.isfinite(features).all():
            raise HandoverError("khalil-feature-not-finite")
        return np.asarray(features, dtype=np.float64)


# Compiled: after an LP solve the caches are cold, and each of NumPy's functions costs its code's way from memory.
# Sums may run in vectors ("reassoc"); NaN and infinities stay what they are.
@numba.njit("boolean(float64[::1])", nogil=True, cache=True, fastmath={"reassoc"})
def all_finite(values: FloatArray) -> bool:
    """Return whether no value is NaN or infinite: 0 times each is 0 then."""
    zero = 0.0
    for i in range(values.size):
        zero += values[i] * 0.0
    return zero == 0.0


@numba.njit(
    "uint8(float64[:,::1], float64[:,::1], float64[::1], int64[::1], float64[::1])",
    nogil=True,
    cache=True,
    fastmath={"reassoc"},
)
def complete(
    row_features: FloatArray,
    variable_features: FloatArray,
    edge_values: FloatArray,
    candidates: IndexArray,
    lp_values: FloatArray,
) -> int:
    """Give unknown incumbents their value; return the position in ``PROBLEMS`` of what is wrong, 0 if nothing is."""
    for column in (_INCUMBENT, _AVERAGE_INCUMBENT):
        if np.isnan(variable_features[0, column]):
            for i in range(variable_features.shape[0]):
                if np.isnan(variable_features[i, column]):
                    variable_features[i, column] = UNKNOWN_INCUMBENT_VALUE
    for i in range(candidates.size):
        inside = 0 <= candidates[i] < variable_features.shape[0]
        if not inside or variable_features[candidates[i], _SOLUTION_VALUE] != lp_values[i]:
            return 1
    finite = (
        all_finite(row_features.reshape(-1)) and all_finite(variable_features.reshape(-1)) and all_finite(edge_values)
    )
    return 0 if finite else 2
