"""One sample, or a batch of them, as PyTorch Geometric data; the one cast from float64 to float32 happens here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Data

from gnn_branching.contracts import FloatArray, InputError, Sample
from gnn_branching.labels import tied_for_best


class BranchingData(Data):
    """One or several bipartite graphs with their candidates, concatenated without padding.

    Features are float32; scores stay float64, since a cast could tie what the expert told apart.

    Attributes:
        row_features: float32, (n_rows, n_row_features).
        variable_features: float32, (n_variables, n_variable_features).
        indptr: int64, (n_rows + 1,): the edges of row ``i`` are ``indptr[i]`` to ``indptr[i + 1]``; the one tensor that
            PyTorch Geometric's own batching cannot concatenate, and :func:`collate` does.
        indices: int32, (n_edges,): the variable of each edge.
        edge_values: float32, (n_edges,).
        candidates: int64, (n_candidates,): rows of ``variable_features``.
        scores: float64, (n_candidates,): the expert's.
        is_best: bool, (n_candidates,): whether the score equals the highest of its sample, in float64.
        n_candidates: int64, (n_samples,): candidates per sample.
        n_rows: int64, (n_samples,): rows per sample.
        n_variables: int64, (n_samples,): variables per sample.
        search_features: float32, (n_candidates, n_search_features); None where a sample has none.
        num_nodes: Rows and variables together: the vertices, as PyTorch Geometric counts them.
    """

    row_features: Tensor
    variable_features: Tensor
    indptr: Tensor
    indices: Tensor
    edge_values: Tensor
    candidates: Tensor
    scores: Tensor
    is_best: Tensor
    n_candidates: Tensor
    n_rows: Tensor
    n_variables: Tensor
    search_features: Tensor | None

    def __inc__(self, key: str, value: object, *args: object, **kwargs: object) -> object:
        """Shift indices by the vertices that come before in a batch."""
        if key == "indptr":
            raise TypeError("row pointers are not concatenated; use gnn_branching.dataset.data.collate")
        return self.n_variables.sum() if key in ("indices", "candidates") else 0

    def __cat_dim__(self, key: str, value: object, *args: object, **kwargs: object) -> int:
        """Concatenate along the first dimension."""
        return 0

    @property
    def n_samples(self) -> int:
        """Number of samples concatenated."""
        return int(self.n_candidates.shape[0])


def to_data(sample: Sample) -> BranchingData:
    """Return one sample as data; the same as a batch of one."""
    return collate([sample])


def collate(samples: Sequence[Sample]) -> BranchingData:
    """Concatenate samples into one batch, straight into its tensors.

    The generic collation of PyTorch Geometric gives the same tensors, several times slower.

    Args:
        samples: At least one sample.

    Returns:
        The batch; indices are shifted to count through it.

    Raises:
        InputError: If there is no sample, one has no candidate, or a feature is not finite as float32.
    """
    if not samples:
        raise InputError("a batch of 0 samples; give at least 1")
    states = [sample.state for sample in samples]
    n_rows = np.array([state.n_rows for state in states], dtype=np.int64)
    n_variables = np.array([state.n_variables for state in states], dtype=np.int64)
    n_candidates = np.array([state.n_candidates for state in states], dtype=np.int64)
    if not n_candidates.all():
        origin = samples[int(n_candidates.argmin())].origin
        raise InputError(f"sample of {origin.instance}, tree node {origin.tree_node}, has no candidate; drop it")
    n_edges, first_variable = [state.n_edges for state in states], _starts(n_variables)
    indptr = torch.zeros(int(n_rows.sum()) + 1, dtype=torch.int64)
    _shifted([state.edges.indptr[1:] for state in states], _starts(n_edges), indptr[1:])
    indices = torch.empty(sum(n_edges), dtype=torch.int32)
    _shifted([state.edges.indices for state in states], first_variable, indices)
    candidates = torch.empty(int(n_candidates.sum()), dtype=torch.int64)
    _shifted([state.candidates for state in states], first_variable, candidates)
    searched = [state.search_features for state in states if state.search_features is not None]
    return BranchingData(
        row_features=_cast([state.row_features for state in states], "row"),
        variable_features=_cast([state.variable_features for state in states], "variable"),
        indptr=indptr,
        indices=indices,
        edge_values=_cast([state.edges.values for state in states], "edge"),
        candidates=candidates,
        scores=torch.from_numpy(np.concatenate([sample.scores for sample in samples])),
        is_best=torch.from_numpy(np.concatenate([tied_for_best(sample.scores) for sample in samples])),
        n_candidates=torch.from_numpy(n_candidates),
        n_rows=torch.from_numpy(n_rows),
        n_variables=torch.from_numpy(n_variables),
        search_features=_cast(searched, "search") if len(searched) == len(states) else None,
        num_nodes=int(n_rows.sum() + n_variables.sum()),
    )


def _cast(parts: Sequence[FloatArray], name: str) -> Tensor:
    """Concatenate float64 arrays into a float32 tensor: rounding to nearest, relative error at most 2**-24."""
    shape = (sum(part.shape[0] for part in parts), *parts[0].shape[1:])
    result = torch.empty(shape, dtype=torch.float32)
    with np.errstate(over="ignore"):
        np.concatenate(parts, out=result.numpy(), casting="same_kind")
    # A sum is finite only if no term is NaN or infinite (or the terms are near overflow themselves): no temporaries.
    if not bool(result.sum().isfinite()):
        raise InputError(f"a {name} feature is NaN, infinite or beyond float32's 3.4e38; drop or rescale the sample")
    return result


def _starts(counts: Sequence[int] | NDArray[np.int64]) -> list[int]:
    """Return how many come before each part."""
    starts: list[int] = (np.cumsum(counts) - counts).tolist()
    return starts


def _shifted(parts: Sequence[NDArray[np.integer]], starts: Sequence[int], out: Tensor) -> None:
    """Concatenate indices, each part's counted on from where it starts."""
    position, array = 0, out.numpy()
    for part, start in zip(parts, starts, strict=True):
        np.add(part, start, out=array[position : position + part.shape[0]])
        position += part.shape[0]
