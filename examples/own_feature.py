"""A feature of one's own: how many rows could keep a candidate from moving.

Collect with ``--set collection.schema=with-locks-1``, and train with ``--set model.schema=with-locks-1 --set
model.search=head --set 'model.search_features=["pseudocost_score", "n_locks"]'``.
"""

from __future__ import annotations

import numpy as np

from gnn_branching.contracts import FloatArray
from gnn_branching.feature_schema import SEARCH, Feature, FeatureSchema, Side, register_schema
from gnn_branching.solver.candidates import Candidates


def read_n_locks(candidates: Candidates) -> FloatArray:
    """Return log(1 + locks) of each candidate, (n_candidates,)."""
    return np.log1p([variable.getNLocksDown() + variable.getNLocksUp() for variable in candidates.variables])


LOCKS = Feature(name="n_locks", side=Side.CANDIDATE, reader=f"{__name__}:read_n_locks", unit="log(1 + locks)")
SCHEMA = register_schema(FeatureSchema(name="with-locks-1", features=(*SEARCH.features, LOCKS)))
