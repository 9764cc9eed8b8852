"""Instance files: which there are, what is in them, and how they are compressed."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path

from gnn_branching.contracts import InputError

INSTANCE_SUFFIXES = (".lp", ".mps", ".cip", ".opb")
"""Endings of instance files; each may be followed by ``.gz``."""
COMPRESSED_SUFFIX = ".gz"

_COMPRESSION_LEVEL = 6
_CHUNK_BYTES = 1 << 20


def is_instance(path: Path) -> bool:
    """Say whether a path has an instance file's ending."""
    return Path(path.name.removesuffix(COMPRESSED_SUFFIX)).suffix.lower() in INSTANCE_SUFFIXES


def list_instances(folder: Path) -> list[Path]:
    """Return the instance files of a folder, by name; subfolders are not searched.

    Raises:
        InputError: If there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(
            f"instance folder {folder} does not exist" if not folder.exists() else f"{folder} is no folder"
        )
    return sorted(path for path in folder.iterdir() if path.is_file() and is_instance(path))


def compress(content: bytes) -> bytes:
    """Return gzip's form of some bytes, the same for the same bytes: no time, no file name."""
    return gzip.compress(content, compresslevel=_COMPRESSION_LEVEL, mtime=0)


def content_sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of what is in a file, decompressed if it ends in ``.gz``.

    Raises:
        InputError: If the file cannot be read or is not what its ending says.
    """
    digest = hashlib.sha256()
    try:
        with gzip.open(path) if path.name.endswith(COMPRESSED_SUFFIX) else path.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"instance {path} cannot be read: {error}") from None
    return digest.hexdigest()
