"""Write files so that a reader, or a process killed at any moment, sees all of a file or none; lock folders."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gnn_branching.contracts import InputError

PARTIAL_SUFFIX = ".partial"
"""Ending of a file that is still being written; whatever bears it after a crash is rubbish."""


def write_durably(path: Path, content: bytes) -> None:
    """Replace a file by ``content`` in one step, and return once both are on disk.

    The bytes go to a neighbour in the same folder, are flushed to the device, and the neighbour is renamed, which POSIX
    makes atomic; then the folder is flushed, so that the name survives a power cut too.

    Raises:
        InputError: If the disk is full or the place cannot be written to; nothing is left behind.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL_SUFFIX}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
        flush_folder(path.parent)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise explain_write_error(path, error) from error
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_json(path: Path, values: Mapping[str, object]) -> None:
    """Write an indented JSON object, whole or not at all; NaN and infinity are refused.

    Raises:
        InputError: If the file cannot be written.
    """
    write_durably(path, (json.dumps(values, indent=2, allow_nan=False, default=str) + "\n").encode())


def remove_partial_files(folder: Path) -> None:
    """Remove what killed processes left half-written in a folder, if there is one."""
    for path in folder.glob(f".*{PARTIAL_SUFFIX}"):
        path.unlink(missing_ok=True)


def flush_folder(folder: Path) -> None:
    """Flush a folder's entries to the device."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def exclusive(folder: Path, *, work: str) -> Iterator[None]:
    """Keep a second process out of a folder; the lock dies with its process, however that dies.

    Args:
        folder: Made if it is not there.
        work: What the other process would be doing, for the message.

    Raises:
        InputError: If another process holds the lock, or the folder cannot be written to.
    """
    # Here, not above: of the commands, only those that lock a folder pay for the import.
    from filelock import FileLock, Timeout

    path = folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, blocking=False).acquire()
    except Timeout:
        raise InputError(f"another {work} {folder}; wait for it or choose another") from None
    except OSError as error:
        raise explain_write_error(path, error) from None
    with lock:
        yield


def explain_write_error(path: Path, error: OSError) -> InputError:
    """Say what keeps ``path`` from being written, and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        reason = "no space is left; free some and run the same command again, what is finished is kept"
    else:
        reason = f"{error.strerror or error}; choose a folder that can be written to"
    return InputError(f"cannot write {path}: {reason}")
