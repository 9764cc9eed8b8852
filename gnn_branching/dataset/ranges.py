"""Between what values each feature lies in some tree nodes: what a policy's guard compares others with."""

from __future__ import annotations

import numpy as np

from gnn_branching.contracts import BranchingState, FeatureRanges, FloatArray
from gnn_branching.dataset.source import SampleSource

MOST_SAMPLES = 200
"""Samples that are looked at, evenly spread."""
QUANTILES = (0.005, 0.995)
"""Ends of a range: single strange values, of which cuts have many, must not widen it."""


def feature_ranges(source: SampleSource) -> FeatureRanges:
    """Return the range of each feature of the graph over samples of whole LPs.

    Args:
        source: At least one sample.
    """
    chosen = np.unique(np.linspace(0, len(source) - 1, min(len(source), MOST_SAMPLES)).astype(int))
    found = FeatureRange()
    for index in chosen.tolist():
        found.add(source[index].state)
    return found.ranges


class FeatureRange:
    """The ranges over the tree nodes so far, of which it keeps all values."""

    def __init__(self) -> None:
        self._row: list[FloatArray] = []
        self._edge: list[FloatArray] = []
        self._variable: list[FloatArray] = []

    @property
    def n_states(self) -> int:
        """How many tree nodes there were."""
        return len(self._row)

    def add(self, state: BranchingState) -> None:
        """Widen the ranges to a tree node's features."""
        self._row.append(state.row_features)
        self._edge.append(state.edges.values[:, None])
        self._variable.append(state.variable_features)

    @property
    def ranges(self) -> FeatureRanges:
        """The ranges."""
        row, edge, variable = (
            np.quantile(np.concatenate(parts), QUANTILES, axis=0, method="nearest")
            for parts in (self._row, self._edge, self._variable)
        )
        return FeatureRanges(row=row, edge=edge, variable=variable)
