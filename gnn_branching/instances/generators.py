"""Who writes a family's instances: Ecole writes the published ones where it is installed, the package does elsewhere.

Both draw from the same distributions, but not the same instances: a folder that one began is the other's no more.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from gnn_branching.contracts import InputError, InstanceFile
from gnn_branching.instances.family import Argument, Family, InstanceWriter
from gnn_branching.instances.manifest import MANIFEST_NAME, read_manifest

OWN = "gnn-branching 1"
"""The package's writers of the published families; another number whenever a seed gives another instance."""
ECOLE = "ecole"


def known_instances(folder: Path) -> tuple[InstanceFile, ...]:
    """Return what a folder's manifest lists; nothing if there is none yet."""
    return read_manifest(folder).instances if (folder / MANIFEST_NAME).exists() else ()


def choose_generator(family: Family, known: Iterable[InstanceFile]) -> str:
    """Return who writes a family's instances: who wrote those that are there, else Ecole if it is installed.

    Args:
        family: The family.
        known: Instances that are there; manifests of earlier versions, which knew Ecole alone, name no generator.

    Returns:
        ``ecole`` with a version, if it is known, or :data:`OWN`; empty for a family that has one writer only.
    """
    if not family.ecole:
        return ""
    begun = next((instance for instance in known if instance.family == family.name), None)
    if begun is not None:
        return begun.generator or ECOLE
    from gnn_branching.solver.ecole_module import ecole_name

    return ecole_name() or OWN


def get_writer(family: Family, generator: str) -> InstanceWriter:
    """Return the writer that a generator's name stands for.

    Raises:
        InputError: If it is not the package's own, nor that of the Ecole that is installed.
    """
    if generator in ("", OWN):
        return family.write
    from gnn_branching.solver.ecole_module import ecole_name

    found = ecole_name()
    if not found or generator not in (ECOLE, found):
        raise InputError(
            f"instances of {family.name} were begun by the generator of {generator}, and here is "
            f"{found or 'no Ecole'}; install it (docs/install.md), or choose another folder"
        )
    return partial(write_with_ecole, generator=family.ecole)


def write_with_ecole(path: Path, seed: int, generator: str, **arguments: Argument) -> None:
    """Write one instance of an Ecole generator; Ecole is loaded only here."""
    from gnn_branching.solver.ecole_module import write_generated

    write_generated(generator, arguments, seed, path)
