"""The registry of instance families, which a user extends with a function or an entry point.

It imports no family: ``builtin.py`` adds those of the package, as a user adds theirs.
"""

from __future__ import annotations

import difflib
import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from gnn_branching.contracts import InputError

ENTRY_POINT_GROUP = "gnn_branching.families"
"""Entry points of this group name :class:`Family` objects: ``my-family = my_package:MY_FAMILY``."""
PLAIN_SUFFIXES = (".lp", ".mps")

Argument = int | float | str | bool


InstanceWriter = Callable[..., None]
"""``write(path, seed, **arguments)``: writes the instance that seed and arguments determine, in the format of the
path's ending. An importable function, so that other processes can call it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A kind of problem, and how to make one.

    Args:
        name: As users type it.
        write: Writes one instance.
        sizes: Arguments of ``write`` by size.
        suffix: Format that ``write`` writes, ``.lp`` or ``.mps``.
        ecole: Ecole's class that generates it too, without its ending, from the same arguments; empty if there is none.

    Raises:
        InputError: If there is no size, or the suffix is another one.
    """

    name: str
    write: InstanceWriter
    sizes: Mapping[str, Mapping[str, Argument]]
    suffix: str = ".lp"
    ecole: str = ""

    def __post_init__(self) -> None:
        """Refuse what could not be generated later."""
        if not self.sizes:
            raise InputError(f"family {self.name!r} has no sizes; give at least one, such as sizes={{'easy': {{}}}}")
        if self.suffix not in PLAIN_SUFFIXES:
            raise InputError(
                f"family {self.name!r} has suffix {self.suffix!r}; choose one of {', '.join(PLAIN_SUFFIXES)}"
            )

    def arguments(self, size: str) -> Mapping[str, Argument]:
        """Return the writer's arguments for a size.

        Raises:
            InputError: If there is no such size.
        """
        if size not in self.sizes:
            raise InputError(f"family {self.name!r} has no size {size!r}; it has {', '.join(self.sizes)}")
        return self.sizes[size]


_registered: dict[str, Family] = {}


def register_family(
    name: str, write: InstanceWriter, *, sizes: Mapping[str, Mapping[str, Argument]], suffix: str = ".lp"
) -> Family:
    """Make a family known by name.

    Examples:
        >>> def write_knapsack(path, seed, n_items): ...
        >>> register_family("knapsack", write_knapsack, sizes={"easy": {"n_items": 50}})  # doctest: +SKIP

    Args:
        name: As users will type it.
        write: ``write(path, seed, **arguments)``; a module's function, so that other processes can import it.
        sizes: Arguments of ``write`` by size.
        suffix: Format that ``write`` writes, ``.lp`` or ``.mps``.

    Raises:
        InputError: If the name is taken.
    """
    return add_family(Family(name=name, write=write, sizes=sizes, suffix=suffix))


def add_family(family: Family) -> Family:
    """Make a family known by its name; the same one may be added again.

    Raises:
        InputError: If another family has the name.
    """
    known = _registered.setdefault(family.name, family)
    if known != family:
        raise InputError(f"family {family.name!r} exists already; choose another name")
    return family


def family_names() -> list[str]:
    """Return the names of all families, sorted."""
    _load_entry_points()
    return sorted(_registered)


def get_family(name: str) -> Family:
    """Return a family by name.

    Raises:
        InputError: If there is none; the message suggests the nearest name.
    """
    _load_entry_points()
    if name not in _registered:
        near = difflib.get_close_matches(name, _registered, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(_registered))}"
        raise InputError(f"unknown family {name!r}; {hint}")
    return _registered[name]


@cache
def _load_entry_points() -> None:
    for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        found = point.load()
        if not isinstance(found, Family):
            raise InputError(
                f"entry point {point.name!r} of {ENTRY_POINT_GROUP} is {found!r}, no Family; mend {point.value}"
            )
        add_family(found)
