"""``manifest.json``: the instances of a folder, how they were made, and their hashes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from gnn_branching.contracts import InputError, InstanceFile
from gnn_branching.durable import write_durably
from gnn_branching.provenance import file_sha256

MANIFEST_NAME = "manifest.json"
MANIFEST_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Instances of a folder, in order; their paths are usable from the working directory.

    Args:
        instances: The files.
    """

    instances: tuple[InstanceFile, ...]


def write_manifest(folder: Path, instances: Iterable[InstanceFile]) -> None:
    """Write a folder's manifest in one step; paths inside the folder are written relative to it."""
    entries = [asdict(replace(instance, path=_inside(folder, instance.path))) for instance in instances]
    text = json.dumps({"version": MANIFEST_VERSION, "instances": entries}, indent=1)
    write_durably(folder / MANIFEST_NAME, (text + "\n").encode())


def read_manifest(folder: Path, *, verify: bool = False) -> Manifest:
    """Read a folder's manifest.

    Args:
        folder: Where ``manifest.json`` is.
        verify: Whether to hash every file and compare.

    Raises:
        InputError: If it is missing, damaged or of another version, or a file is missing or another one.
    """
    path = folder / MANIFEST_NAME
    try:
        document = json.loads(path.read_bytes())
        version = document["version"]
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; generate the instances first") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no manifest ({error}); delete it and generate again") from None
    if version != MANIFEST_VERSION:
        raise InputError(f"{path} has version {version}, this release reads {MANIFEST_VERSION}")
    try:
        entries = TypeAdapter(tuple[InstanceFile, ...]).validate_python(document.get("instances"))
    except ValidationError as error:
        raise InputError(f"{path} is damaged: {error.errors(include_url=False)[0]['msg']}") from None
    manifest = Manifest(instances=tuple(replace(entry, path=str(folder / entry.path)) for entry in entries))
    for instance in manifest.instances if verify else ():
        if not is_unchanged(instance):
            raise InputError(f"{instance.path} is missing or is not the file of {path}; generate it again")
    return manifest


def is_unchanged(instance: InstanceFile) -> bool:
    """Say whether a file is there and has the hash that is known of it."""
    path = Path(instance.path)
    return path.is_file() and file_sha256(path) == instance.sha256


def _inside(folder: Path, path: str) -> str:
    absolute, home = Path(path).absolute(), folder.absolute()
    return str(absolute.relative_to(home)) if absolute.is_relative_to(home) else str(absolute)
