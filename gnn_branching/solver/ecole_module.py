"""Ecole, where it can be had: it labels and generates there, and SCIP and the package do elsewhere; its generators."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from gnn_branching.contracts import InputError
from gnn_branching.libraries import imported


def load_ecole() -> ModuleType:
    """Return Ecole.

    Raises:
        InputError: If it is not installed, or was built for another SCIP.
    """
    return imported("ecole", "ecole")


def ecole_name() -> str:
    """Return ``ecole`` and its version, as datasets and manifests name it; empty where it cannot be imported."""
    try:
        return f"ecole {load_ecole().__version__}"
    except InputError:
        return ""


def scip_name() -> str:
    """Return ``scip`` and its version, likewise."""
    from gnn_branching.solver.environment import scip_version

    return f"scip {scip_version()}"


def write_generated(generator: str, arguments: Mapping[str, float | int | str | bool], seed: int, path: Path) -> None:
    """Generate one instance with Ecole and write it in the format that the file's ending names.

    Args:
        generator: Ecole's class without its ending, for example ``"SetCover"`` for ``SetCoverGenerator``.
        arguments: The generator's arguments; unnamed ones keep Ecole's defaults.
        seed: Seed of the generator; the instance depends on nothing else.
        path: File to write, ``.lp``, ``.mps`` or ``.cip``; SCIP cannot write compressed files.

    Raises:
        InputError: If Ecole is missing, has no such generator or refuses an argument.
    """
    ecole = load_ecole()
    kind = getattr(ecole.instance, f"{generator}Generator", None)
    if kind is None:
        known = sorted(name.removesuffix("Generator") for name in dir(ecole.instance) if name.endswith("Generator"))
        raise InputError(f"Ecole has no generator {generator!r}; it has {', '.join(known)}")
    try:
        instance = next(kind(**arguments, rng=ecole.RandomGenerator(seed)))
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"Ecole's {generator} generator refuses {dict(arguments)}: {reason}") from None
    instance.write_problem(str(path))
