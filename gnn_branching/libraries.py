"""Libraries that solving does without: what needs them, and how to get them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType, ModuleType

from gnn_branching.contracts import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """Libraries that come together.

    Args:
        modules: As they are imported.
        purpose: What needs them, as the beginning of a sentence.
        remedy: The command that installs them.
    """

    modules: tuple[str, ...]
    purpose: str
    remedy: str

    def missing(self, *modules: str) -> tuple[str, ...]:
        """Return which modules, of all of them by default, are not installed; nothing is imported to find out."""
        return tuple(module for module in modules or self.modules if find_spec(module) is None)


def _extra(name: str, purpose: str, *modules: str) -> Extra:
    return Extra(modules=modules, purpose=purpose, remedy=f"pip install 'gnn-branching[{name}]'")


EXTRAS: Mapping[str, Extra] = MappingProxyType(
    {
        "train": _extra(
            "train", "training and its diagnosis", "torch", "torch_geometric", "lightning_fabric", "tensorboard"
        ),
        "ecole": Extra(
            modules=("ecole",),
            purpose="its own labels and instances",
            remedy="gnn-branching install-ecole",
        ),
        "tune": _extra("tune", "a search for settings", "optuna"),
        "highs": _extra("highs", "HiGHS as a competitor", "highspy"),
        "baselines": _extra("baselines", "a published baseline", "lightgbm", "sklearn"),
        "ray": _extra("ray", "the executor 'ray'", "ray"),
        "slurm": _extra("slurm", "the executor 'slurm'", "submitit"),
    }
)


def require(extra: str, *modules: str) -> None:
    """Refuse, before anything else is done, if a library is missing.

    Args:
        extra: A key of :data:`EXTRAS`.
        modules: Those of its modules that are needed; all by default.

    Raises:
        InputError: If one is not installed; the message says what to install.
    """
    known = EXTRAS[extra]
    missing = known.missing(*modules)
    if missing:
        raise InputError(f"not installed: {', '.join(missing)}, needed for {known.purpose}; {known.remedy}")


def imported(extra: str, module: str) -> ModuleType:
    """Import a module of an extra.

    Raises:
        InputError: If it is not installed, or does not load: built for another SCIP say, or without a system library.
    """
    require(extra, module.partition(".")[0])
    try:
        return import_module(module)
    except (ImportError, OSError) as error:
        known, reason = EXTRAS[extra], " ".join(str(error).split())
        raise InputError(f"{module}, needed for {known.purpose}, does not load ({reason}); {known.remedy}") from None
