"""What an expert's scores say of the candidates: one rule for ties, in collection, training and evaluation alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnn_branching.contracts import FloatArray

TIE_TOLERANCE = 1e-9
"""Expert scores this close, relative to the best, count as equal: strong-branching scores tie by the dozen."""


def tied_for_best(scores: FloatArray) -> NDArray[np.bool_]:
    """Return which of an expert's scores tie for the best, the best one included: bool, (n_candidates,)."""
    best = scores.max(initial=-np.inf)
    tied: NDArray[np.bool_] = scores >= best - TIE_TOLERANCE * abs(best)
    return tied
