"""One episode's samples as one file: two Arrow streams with an index and checksums behind them.

The file is a complete Arrow IPC stream, which any Arrow library reads, of one record batch per sample; then a second
such stream of the distinct LP structures; buffers are compressed with Zstandard. Behind them lie the length of each
message of the streams (``<u8``), their CRC-32 (``<u4``), and the tail (:data:`TAIL`). Every byte is under one of the
checksums, and CRC-32 notices every change within 32 neighbouring bits.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

import numpy as np
import pyarrow as pa

from gnn_branching.contracts import BranchingState, InputError, Sample, SampleOrigin
from gnn_branching.durable import write_durably
from gnn_branching.edges import Edges
from gnn_branching.shards.layout import (
    SHARD_VERSIONS,
    STRUCTURE_SCHEMA,
    SampleHeader,
    decode_sample,
    decode_structure,
    encode_sample,
    encode_structure,
    features_of,
    sample_schema,
)

MAGIC = b"GNNSHARD"
TAIL = struct.Struct("<IIII8s")
"""Number of samples, number of structures, version, CRC-32 of index and tail with this field zero, magic."""
N_FRAMES = 4
"""Parts that are no record batch: the schema and the end mark of each stream."""

_INDEX_ENTRY_BYTES = 12
_WRITE_OPTIONS = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
_READ_OPTIONS = pa.ipc.IpcReadOptions(use_threads=False)


def write_episode(path: Path, samples: Sequence[Sample]) -> None:
    """Write one episode's samples, all or none, and return once they are on disk.

    Args:
        path: File to write or replace; :func:`gnn_branching.shards.episode_path` names it.
        samples: In the order of the tree search; may be empty, which records that the episode gave none.

    Raises:
        InputError: If the disk is full or the place cannot be written to.
        ValueError: If a sample does not fit the schema.
    """
    write_durably(path, encode_episode(samples))


def encode_episode(samples: Sequence[Sample]) -> bytes:
    """Return the bytes of an episode's file; the same samples give the same bytes."""
    numbers: dict[bytes, int] = {}
    structures: list[pa.RecordBatch] = []
    headers = []
    for sample in samples:
        key = _structure_key(sample.state)
        if key not in numbers:
            numbers[key] = len(structures)
            structures.append(encode_structure(sample.state))
        headers.append(SampleHeader(structure=numbers[key], origin=sample.origin).encode())
    batches = [encode_sample(sample) for sample in samples]
    schema = batches[0].schema if batches else sample_schema()
    if not all(batch.schema.equals(schema, check_metadata=True) for batch in batches):
        raise ValueError("samples of an episode have different schemas")
    parts = _stream_parts(schema, batches, headers) + _stream_parts(STRUCTURE_SCHEMA, structures)
    lengths = np.array([len(part) for part in parts], dtype="<u8")
    checksums = np.array([zlib.crc32(part) for part in parts], dtype="<u4")
    index = lengths.tobytes() + checksums.tobytes()
    counts = len(batches), len(structures), int(schema.metadata[b"version"])
    checksum = zlib.crc32(index + TAIL.pack(*counts, 0, MAGIC))
    return b"".join(parts) + index + TAIL.pack(*counts, checksum, MAGIC)


def _stream_parts(
    schema: pa.Schema, batches: Sequence[pa.RecordBatch], headers: Sequence[Mapping[bytes, bytes]] = ()
) -> list[bytes]:
    """Return the messages of an Arrow IPC stream: schema, batches, end mark."""
    sink = pa.BufferOutputStream()
    writer = pa.ipc.new_stream(sink, schema, options=_WRITE_OPTIONS)
    ends = [0, schema.serialize().size]
    for position, batch in enumerate(batches):
        writer.write_batch(batch, custom_metadata=headers[position] if headers else None)
        ends.append(sink.tell())
    writer.close()
    ends.append(sink.tell())
    stream = sink.getvalue().to_pybytes()
    return [stream[start:end] for start, end in pairwise(ends)]


class Episode:
    """An episode's file, opened: checks what it is asked for, and only that.

    Args:
        content: The file's bytes, usually a memory map; nothing is copied from it before it is needed.
        name: Named in errors.

    Raises:
        InputError: If the file is truncated, corrupt or of an unknown version.
    """

    __slots__ = ("_checksums", "_content", "_features", "_n_structures", "_name", "_offsets", "n_samples")

    def __init__(self, content: memoryview, name: str) -> None:
        self._content = content
        self._name = name
        tail_start = len(content) - TAIL.size
        if tail_start < 0 or bytes(content[-len(MAGIC) :]) != MAGIC:
            self._refuse("it is truncated or no shard")
        self.n_samples, self._n_structures, version, checksum, _ = TAIL.unpack(content[tail_start:])
        n_parts = self.n_samples + self._n_structures + N_FRAMES
        index_start = tail_start - n_parts * _INDEX_ENTRY_BYTES
        unsealed = TAIL.pack(self.n_samples, self._n_structures, version, 0, MAGIC)
        if index_start < 0 or zlib.crc32(unsealed, zlib.crc32(content[index_start:tail_start])) != checksum:
            self._refuse("its index is damaged")
        if version not in SHARD_VERSIONS:
            known = " and ".join(map(str, SHARD_VERSIONS))
            raise InputError(f"shard {name} has version {version}, this release reads {known}: collect again")
        lengths = np.frombuffer(content, "<u8", n_parts, index_start)
        self._checksums = np.frombuffer(content, "<u4", n_parts, index_start + lengths.nbytes).tolist()
        self._offsets = [0, *np.cumsum(lengths).tolist()]
        if self._offsets[-1] != index_start:
            self._refuse("its parts do not add up to its size")
        try:
            self._features = features_of(pa.ipc.read_schema(pa.py_buffer(self._part(0))))
        except InputError as error:
            raise InputError(f"shard {name} cannot be used: {error}; or collect again") from None

    def edges(self, number: int) -> Edges:
        """Return one of the file's LP structures, decoded anew."""
        schema_part = self.n_samples + 2
        return decode_structure(self._read(schema_part, schema_part + 1 + number).batch)

    def origin(self, position: int) -> SampleOrigin:
        """Return where sample ``position`` came from, without decoding its edges."""
        return SampleHeader.decode(self._read_sample(position).custom_metadata).origin

    def sample(self, position: int, find_edges: Callable[[int], Edges] | None = None) -> Sample:
        """Return sample ``position``.

        Args:
            position: In 0…n_samples-1.
            find_edges: Gives the LP structure of a number, perhaps from a cache; None decodes it.

        Raises:
            InputError: If its bytes are not those that were written.
        """
        stored = self._read_sample(position)
        header = SampleHeader.decode(stored.custom_metadata)
        edges = find_edges(header.structure) if find_edges else self.edges(header.structure)
        return decode_sample(stored.batch, header.origin, edges, self._features)

    def verify(self) -> None:
        """Check every byte of the file.

        Raises:
            InputError: If any is not the one that was written.
        """
        for part in range(len(self._checksums)):
            self._part(part)

    def _read_sample(self, position: int) -> pa.RecordBatchWithMetadata:
        if not 0 <= position < self.n_samples:
            raise IndexError(f"sample {position} of {self.n_samples} in {self._name}")
        return self._read(0, 1 + position)

    def _read(self, schema_part: int, part: int) -> pa.RecordBatchWithMetadata:
        # A stream of one batch: unlike read_record_batch it can be kept from waking a thread for every column.
        message = bytes(self._part(schema_part)) + self._part(part)
        return pa.ipc.open_stream(message, options=_READ_OPTIONS).read_next_batch_with_custom_metadata()

    def _part(self, part: int) -> memoryview:
        content = self._content[self._offsets[part] : self._offsets[part + 1]]
        if zlib.crc32(content) != self._checksums[part]:
            self._refuse("a checksum does not match")
        return content

    def _refuse(self, reason: str) -> NoReturn:
        raise InputError(f"shard {self._name} is corrupt: {reason}; delete it and collect again to restore it")


def _structure_key(state: BranchingState) -> bytes:
    digest = hashlib.sha256(f"{state.n_rows} rows, {state.n_variables} variables".encode())
    for array in (state.edges.indptr, state.edges.indices, state.edges.values):
        digest.update(array.data)
    return digest.digest()
