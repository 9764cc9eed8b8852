"""Which problem files a user means: a folder's, those that a text file lists, or a single one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gnn_branching.contracts import InputError, InstanceFile
from gnn_branching.evaluation.solves.plan import instance_files
from gnn_branching.instances import INSTANCE_SUFFIXES, list_instances
from gnn_branching.instances.files import COMPRESSED_SUFFIX, is_instance


def read_instances(place: Path) -> tuple[InstanceFile, ...]:
    """Describe the problem files at a place; their family is the name of the folder, or of the list.

    A list has one file a line, relative to the list's folder or to the current one, as MIPLIB's ``.test`` files; the
    ending may be left out, and ``#`` starts a comment.

    Raises:
        InputError: If the place does not exist, is no text, or names no problem files.
    """
    if place.is_dir():
        paths = list_instances(place)
        if not paths:
            raise InputError(
                f"folder {place} holds no problem files ({', '.join(INSTANCE_SUFFIXES)}, or these with .gz)"
            )
        return instance_files(paths, family=place.resolve().name)
    if not place.is_file():
        raise InputError(f"--instances {place} does not exist; give a folder, a problem file, or a text file of paths")
    if is_instance(place):
        return instance_files([place], family=place.resolve().parent.name)
    paths = list(_listed(place))
    if not paths:
        raise InputError(f"list {place} names no problem files; write one path a line")
    return instance_files(paths, family=place.stem)


def _listed(place: Path) -> Iterator[Path]:
    try:
        lines = place.read_text(encoding="utf-8").splitlines()
    except (UnicodeDecodeError, OSError):
        raise InputError(f"--instances {place} is neither a problem file nor a text file of paths") from None
    for line in lines:
        name = line.partition("#")[0].strip()
        if name:
            yield _found(place.parent / name) or _found(Path(name)) or place.parent / name


def _found(path: Path) -> Path | None:
    """Return the file, with an ending added if need be; None if there is none."""
    if path.is_file():
        return path
    endings = (suffix + packed for suffix in INSTANCE_SUFFIXES for packed in (COMPRESSED_SUFFIX, ""))
    return next((own for ending in endings if (own := path.with_name(path.name + ending)).is_file()), None)
