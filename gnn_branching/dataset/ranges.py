"""Between what values each feature lies in some tree nodes: what a policy's guard compares others with."""

from __future__ import annotations

import numpy as np

from gnn_branching.contracts import BranchingState, FeatureRanges, FloatArray
from gnn_branching.dataset.source import SampleSource

MOST_SAMPLES = 1000
"""Samples that are looked at, evenly spread."""


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
    """The ranges over the tree nodes so far."""

    def __init__(self) -> None:
        self.n_states = 0
        self._row, self._edge, self._variable = (_Range() for _ in range(3))

    def add(self, state: BranchingState) -> None:
        """Widen the ranges to a tree node's features."""
        self.n_states += 1
        self._row.add(state.row_features)
        self._edge.add(state.edge_values[:, None])
        self._variable.add(state.variable_features)

    @property
    def ranges(self) -> FeatureRanges:
        """The ranges."""
        return FeatureRanges(row=self._row.bounds, edge=self._edge.bounds, variable=self._variable.bounds)


class _Range:
    """Columns' lowest and highest values so far; of nothing, an empty range."""

    def __init__(self) -> None:
        self._low: FloatArray | float = np.inf
        self._high: FloatArray | float = -np.inf

    def add(self, values: FloatArray) -> None:
        if values.shape[0]:
            self._low = np.minimum(self._low, values.min(axis=0))
            self._high = np.maximum(self._high, values.max(axis=0))

    @property
    def bounds(self) -> FloatArray:
        return np.stack([np.atleast_1d(self._low), np.atleast_1d(self._high)])
