"""Features of the current tree node of a live PySCIPOpt model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import groupby

import numpy as np
import pyscipopt

from gnn_branching.compilation import Integers, RealMatrix, Reals, kernel
from gnn_branching.contracts import (
    FEATURE_SCHEMA,
    BranchingState,
    FloatArray,
    InputError,
)
from gnn_branching.feature_schema import (
    KHALIL_SCHEMA,
    N_KHALIL_FEATURES,
    SEARCHED,
    VARIABLE_FEATURES,
    Side,
    get_schema,
)
from gnn_branching.solver.candidates import Candidates, HandoverError
from gnn_branching.solver.environment import address_of
from gnn_branching.solver.khalil import N_STATIC, read_dynamic, read_static
from gnn_branching.solver.lp_graph import LpGraph

_SOLUTION_VALUE = VARIABLE_FEATURES.index("solution_value")
PROBLEMS = ("", "index-mismatch", "feature-not-finite")
"""What may be wrong with the features of a tree node: reasons for handing over."""
Reader = Callable[[Candidates], FloatArray]


class FeatureExtractor:
    """Read the bipartite graph of the current LP, and what else the schemas have.

    Args:
        schemas: Names of registered schemas: one of the graph (that alone by default), and perhaps ``KHALIL_SCHEMA``,
            the candidates' features of Khalil et al. 2016.

    Raises:
        InputError: If a schema is unknown, or one of its readers cannot be imported.
    """

    def __init__(self, *schemas: str) -> None:
        names = [get_schema(name).name for name in schemas if name != KHALIL_SCHEMA]
        self._schema = names[-1] if names else FEATURE_SCHEMA
        self._graph: LpGraph | None = None
        self._row_readers = _readers(self._schema, Side.ROW)[1:]  # the first ones are the graph's own
        self._variable_readers = _readers(self._schema, Side.VARIABLE)[1:]
        self._search_readers = _readers(self._schema, *SEARCHED)
        self._khalil = KhalilFeatures() if KHALIL_SCHEMA in schemas else None

    def watch(self, model: pyscipopt.Model) -> None:
        """Read no other model from now on, and no more of it at each tree node than may have changed.

        Call it whenever branch and bound starts: what is kept is of that run. It does not keep the model alive.
        """
        self._graph = LpGraph(model)

    def extract(self, model: pyscipopt.Model, candidates: Candidates) -> BranchingState:
        """Return the state of the current tree node.

        Args:
            model: A model inside a branching callback, its LP solved.
            candidates: The candidates of this tree node.

        Returns:
            The state, with all values finite. Its features are fresh; its edges are the same object as
            long as they have not changed in a model that is watched.

        Raises:
            HandoverError: If a candidate is not where its index says, or a feature is not finite.
        """
        graph = self._graph or LpGraph(model)
        row_features, variable_features = graph.read()
        if self._row_readers or self._variable_readers:
            row_features = _read(self._row_readers, candidates, row_features)
            variable_features = _read(self._variable_readers, candidates, variable_features)
        problem = check(row_features, variable_features, candidates.indices, candidates.lp_values)
        search_features = _read(self._search_readers, candidates) if self._search_readers else None
        if search_features is not None and not problem and not all_finite(search_features.reshape(-1)):
            problem = 2
        if problem or not graph.edges_are_finite:
            raise HandoverError(PROBLEMS[problem or 2])
        return BranchingState(
            row_features=row_features,
            variable_features=variable_features,
            edges=graph.edges,
            candidates=candidates.indices,
            candidate_features=None if self._khalil is None else self._khalil.extract(candidates),
            search_features=search_features,
            schema=self._schema,
        )

    def note_root(self, model: pyscipopt.Model) -> None:
        """Read the static Khalil features, which are those of the root; call this at depth 0."""
        if self._khalil is not None:
            self._khalil.note_root(model)


def _readers(schema: str, *sides: Side) -> list[tuple[Reader, int]]:
    """Return the readers of a table's columns, in their order, and how many of them each one reads."""
    found = []
    for name, features in groupby(get_schema(schema).of(*sides), key=lambda feature: feature.reader):
        module, _, function = name.partition(":")
        try:
            found.append((getattr(import_module(module), function), len(list(features))))
        except (ImportError, AttributeError) as error:
            raise InputError(f"reader {name!r} of schema {schema!r} cannot be imported: {error}") from None
    return found


def _read(readers: Sequence[tuple[Reader, int]], candidates: Candidates, known: FloatArray | None = None) -> FloatArray:
    """Return what the readers read, side by side, to the right of what is known already."""
    parts = [] if known is None else [known]
    for reader, width in readers:
        part = np.asarray(reader(candidates), dtype=np.float64)
        if part.ndim == 1:
            part = part[:, None]
        if part.shape != (parts[0].shape[0] if parts else len(candidates), width):
            raise ValueError(f"{reader.__name__} gave an array of {part.shape}, {width} columns are to be read")
        parts.append(part)
    return parts[0] if len(parts) == 1 else np.hstack(parts)


class KhalilFeatures:
    """The candidates' features of Khalil et al. 2016, those of Ecole's ``Khalil2016``."""

    def __init__(self) -> None:
        self._static = np.empty((0, N_STATIC))

    def note_root(self, model: pyscipopt.Model) -> None:
        """Read the static features."""
        self._static = np.empty((model.getNLPCols(), N_STATIC))
        read_static(address_of(model), self._static)

    def extract(self, candidates: Candidates) -> FloatArray:
        """Return the candidates' features, float64, (n_candidates, n_candidate_features).

        Raises:
            HandoverError: If the root was not noted, or a feature is not finite.
        """
        model = candidates.model
        if model.getDepth() == 0:
            self.note_root(model)
        if self._static.shape[0] != model.getNLPCols():
            raise HandoverError("khalil-root-unknown")
        features = np.empty((len(candidates), N_KHALIL_FEATURES))
        features[:, :N_STATIC] = self._static[candidates.indices]
        read_dynamic(address_of(model), candidates.addresses, features)
        if not all_finite(features.reshape(-1)):
            raise HandoverError("khalil-feature-not-finite")
        return features


# Compiled: after an LP solve the caches are cold, and each of NumPy's functions costs its code's way from memory.
# Sums may run in vectors ("reassoc"); NaN and infinities stay what they are.
@kernel(nogil=True, fastmath={"reassoc"})
def all_finite(values: Reals) -> bool:
    """Return whether no value is NaN or infinite: 0 times each is 0 then."""
    zero = 0.0
    for i in range(values.size):
        zero += values[i] * 0.0
    return zero == 0.0


@kernel(nogil=True)
def check(row_features: RealMatrix, variable_features: RealMatrix, candidates: Integers, lp_values: Reals) -> int:
    """Return the position in ``PROBLEMS`` of what is wrong, 0 if nothing is."""
    for i in range(candidates.size):
        inside = 0 <= candidates[i] < variable_features.shape[0]
        if not inside or variable_features[candidates[i], _SOLUTION_VALUE] != lp_values[i]:
            return 1
    return 0 if all_finite(row_features.reshape(-1)) and all_finite(variable_features.reshape(-1)) else 2
