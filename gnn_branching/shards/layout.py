"""Columns of a shard, and the way of a sample into record batches and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gnn_branching.contracts import FEATURE_SCHEMA, BranchingState, FloatArray, InputError, Sample, SampleOrigin
from gnn_branching.edges import Edges, ShortIndexArray, read_only
from gnn_branching.feature_schema import (
    GRAPH,
    KHALIL_SCHEMA,
    N_KHALIL_FEATURES,
    SEARCHED,
    Side,
    get_schema,
    same_columns,
)

SHARD_VERSIONS = (1, 2)
"""Versions of everything in this module; a reader refuses others. The second one adds the search's features."""

_METADATA = {"format": "gnn-branching shard", "version": "1", "features": FEATURE_SCHEMA}
_METADATA |= {"candidate_features": KHALIL_SCHEMA}
_FLOATS, _INTEGERS = pa.list_(pa.float64()), pa.list_(pa.int32())
OPTIONAL_FEATURES = ("candidate_features", "search_features")
"""Features of candidates; all samples of an episode have them, or none."""


@cache
def sample_schema(features: str = FEATURE_SCHEMA, *optional: str) -> pa.Schema:
    """Return the columns of samples: one sample per batch and row.

    Feature matrices are stored column after column, which compresses better and faster than row after row. Single
    values are in the batch's own metadata (:class:`SampleHeader`): Arrow compresses every column by itself, and reading
    ten tiny ones takes longer than the graph.

    Args:
        features: Name of the samples' feature schema.
        optional: Which of the optional features they have.
    """
    columns = {"row_features": _FLOATS, "variable_features": _FLOATS, "candidates": _INTEGERS, "scores": _FLOATS}
    metadata = dict(_METADATA)
    if not same_columns(features, FEATURE_SCHEMA, *GRAPH):
        metadata["features"] = features
    if "search_features" in optional:
        metadata |= {"version": "2", "search_features": features}
    return pa.schema(columns | dict.fromkeys(optional, _FLOATS), metadata)


def features_of(schema: pa.Schema) -> str:
    """Return the name of the feature schema of stored samples.

    Raises:
        InputError: If it is not registered, or the columns are not those that it has.
    """
    metadata = schema.metadata or {}
    name = str(metadata.get(b"search_features", metadata.get(b"features", b"")).decode())
    optional = [column for column in OPTIONAL_FEATURES if column in schema.names]
    if not schema.equals(sample_schema(get_schema(name).name, *optional), check_metadata=True):
        raise InputError("it has other columns than this release's")
    return name


STRUCTURE_SCHEMA = pa.schema(
    {"row_lengths": _INTEGERS, "variable_gaps": pa.binary(), "edge_values": _FLOATS}, _METADATA
)
"""One LP structure per batch and row; the samples that have it name its number."""

_HEADER_KEY = b"sample"


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleHeader:
    """The single values of a stored sample.

    Args:
        structure: Which of the file's LP structures its edges are.
        origin: Where it came from.
    """

    structure: int
    origin: SampleOrigin

    def encode(self) -> dict[bytes, bytes]:
        """Return a batch's metadata: JSON, with ``Infinity`` for unknown bounds."""
        return {_HEADER_KEY: json.dumps({"structure": self.structure, **asdict(self.origin)}).encode()}

    @staticmethod
    def decode(metadata: Mapping[bytes, bytes]) -> SampleHeader:
        """Return what :meth:`encode` stored; floating-point numbers come back bit for bit."""
        values = json.loads(metadata[_HEADER_KEY])
        return SampleHeader(structure=values.pop("structure"), origin=SampleOrigin(**values))


def encode_structure(state: BranchingState) -> pa.RecordBatch:
    """Return the record batch of a state's edges.

    A variable's index is stored as its distance from the edge before it, in 32 bits, the bytes of one significance
    together, lowest first: 24 KB instead of the 42 KB of plain indices on set covering with 33,000 edges.

    Raises:
        ValueError: If an edge is outside the graph.
    """
    edges, lengths = state.edges, np.diff(state.edges.indptr)
    if lengths.size != state.n_rows or (lengths < 0).any():
        raise ValueError(f"edges do not belong to {state.n_rows} rows, one after the other")
    if edges.indices.size and not (edges.indices.min() >= 0 and edges.indices.max() < state.n_variables):
        raise ValueError(f"an edge names a variable outside 0…{state.n_variables - 1}")
    gaps = np.diff(edges.indices, prepend=np.int32(0)).astype("<i4")
    planes = gaps.view(np.uint8).reshape(-1, 4).T.tobytes()
    columns = [
        _list(lengths.astype(np.int32)),
        _one(pa.binary(), len(planes), pa.py_buffer(planes)),
        _list(edges.values),
    ]
    return pa.record_batch(columns, schema=STRUCTURE_SCHEMA)


def decode_structure(batch: pa.RecordBatch) -> Edges:
    """Return the edges that :func:`encode_structure` stored."""
    lengths = _integers(batch, "row_lengths")
    planes = np.frombuffer(batch.column("variable_gaps")[0].as_buffer(), dtype=np.uint8).reshape(4, -1)
    if lengths.sum() != planes.shape[1]:
        raise ValueError(f"rows of {lengths.sum()} edges in all, but {planes.shape[1]} edges")
    indptr = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    indices = np.empty(planes.shape[1], dtype=np.int32)
    _unpack(planes, indices)
    return Edges(indptr=read_only(indptr), indices=read_only(indices), values=_floats(batch, "edge_values"))


@numba.njit(cache=True, nogil=True)
def _unpack(planes: NDArray[np.uint8], variables: ShortIndexArray) -> None:
    """Write the variable of each edge, from the bytes of the gaps between them."""
    variable = np.int64(0)
    for edge in range(variables.size):
        gap = 0
        for plane in range(4):
            gap |= planes[plane, edge] << (8 * plane)
        variable += np.int32(gap)
        variables[edge] = variable


def encode_sample(sample: Sample) -> pa.RecordBatch:
    """Return the record batch of a sample, without its edges and its header.

    Raises:
        ValueError: If a feature matrix has another shape than the schema says.
    """
    state, widths = sample.state, _widths(sample.state.schema)
    for name in ("row_features", "variable_features"):
        if getattr(state, name).shape[1:] != (widths[name],):
            raise ValueError(f"{name} of shape {getattr(state, name).shape} should have {widths[name]} columns")
    extras: dict[str, FloatArray] = {}
    for name in OPTIONAL_FEATURES:
        features = getattr(state, name)
        if features is not None and features.shape != (state.n_candidates, widths[name]):
            raise ValueError(f"{name} of shape {features.shape} for {state.n_candidates} × {widths[name]}")
        if features is not None:
            extras[name] = features
    columns = [
        _list(state.row_features.T),
        _list(state.variable_features.T),
        _list(state.candidates.astype(np.int32)),
        _list(sample.scores),
        *(_list(features.T) for features in extras.values()),
    ]
    return pa.record_batch(columns, schema=sample_schema(state.schema, *extras))


def decode_sample(batch: pa.RecordBatch, origin: SampleOrigin, edges: Edges, features: str) -> Sample:
    """Return the sample that :func:`encode_sample` stored, bit for bit; ``features`` names its schema."""
    widths = _widths(features)
    matrices = {name: _matrix(batch, name, width) for name, width in widths.items() if name in batch.schema.names}
    state = BranchingState(
        edges=edges,
        candidates=_integers(batch, "candidates").astype(np.int64),
        schema=features,
        **matrices,
    )
    return Sample(state=state, scores=_floats(batch, "scores").copy(), origin=origin)


@cache
def _widths(features: str) -> dict[str, int]:
    """Return the number of columns of each matrix of features."""
    schema = get_schema(features)
    return {
        "row_features": schema.width(Side.ROW),
        "variable_features": schema.width(Side.VARIABLE),
        "candidate_features": N_KHALIL_FEATURES,
        "search_features": schema.width(*SEARCHED),
    }


def _list(values: NDArray[np.generic]) -> pa.ListArray:
    flat = np.ascontiguousarray(values).reshape(-1)
    items = pa.Array.from_buffers(pa.from_numpy_dtype(flat.dtype), flat.size, [None, pa.py_buffer(flat)])
    return _one(pa.list_(items.type), flat.size, children=[items])


def _one(kind: pa.DataType, size: int, *buffers: pa.Buffer, children: Sequence[pa.Array] = ()) -> pa.Array:
    """Return an array of one value of variable size, made of its buffers.

    ``pa.array`` looks whether it was given something of pandas, and imports pandas for that where it is installed: a
    second or more in the process of every episode.
    """
    offsets = pa.py_buffer(np.array([0, size], dtype=np.int32))
    return pa.Array.from_buffers(kind, 1, [None, offsets, *buffers], children=children)


def _integers(batch: pa.RecordBatch, name: str) -> NDArray[np.int32]:
    """Return the one list of integers in a column, without a copy and read-only."""
    values: NDArray[np.int32] = _values(batch, name, np.dtype(np.int32))
    return values


def _floats(batch: pa.RecordBatch, name: str) -> FloatArray:
    """Return the one list of floating-point numbers in a column, without a copy and read-only."""
    values: FloatArray = _values(batch, name, np.dtype(np.float64))
    return values


def _values(batch: pa.RecordBatch, name: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the one list in a column where it lies: ``to_numpy`` would import pandas, as ``pa.array`` would."""
    values = batch.column(name).values
    return np.frombuffer(values.buffers()[1] or b"", dtype, len(values), values.offset * dtype.itemsize)


def _matrix(batch: pa.RecordBatch, name: str, width: int) -> FloatArray:
    return np.array(_floats(batch, name).reshape(width, -1).T, dtype=np.float64, order="C")
