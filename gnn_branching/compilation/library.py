"""Kernels that were compiled ahead, if their library is there and of the very sources that are installed.

``python -m gnn_branching.compilation.build`` makes it. Whatever is wrong with it, Numba compiles as if it were not
there: a library of other sources, for another Python or for a newer processor is never used.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType

PACKAGE = Path(__file__).parents[1]
LIBRARY = Path(__file__).with_name(f"_ahead{EXTENSION_SUFFIXES[0]}")
"""Where the library for this Python is."""
SWITCH = "GNN_BRANCHING_KERNELS"
"""Environment variable; ``jit`` lets Numba compile although a library is there."""
LEVELS = {"x86-64-v4": 16, "x86-64-v3": 8}
"""Levels of processors that there is code for (x86-64 psABI, section 3.1.1), and how many float32 a vector holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """Kernels compiled ahead, or why there are none.

    Args:
        library: The module that has them; None if it cannot be used.
        level: Of the processor, one of ``LEVELS``; empty without a library.
        why_not: Why there is none, in a few words; empty if there is.
    """

    library: ModuleType | None = None
    level: str = ""
    why_not: str = ""


@cache
def ahead() -> Ahead:
    """Look for the library, once; it never fails."""
    if os.environ.get(SWITCH) == "jit":
        return Ahead(why_not=f"{SWITCH}=jit")
    if not LIBRARY.exists():
        return Ahead(why_not="not built")
    try:
        library = _loaded()
        level, sources = library.level(), json.loads(library.SOURCES)
    except Exception as error:  # whatever is wrong with a file from elsewhere, Numba can do without it
        return Ahead(why_not=f"does not load ({error})")
    if level is None:
        return Ahead(why_not="this processor is older than x86-64-v3")
    if sources != fingerprints(sources):
        return Ahead(why_not="built from other sources")
    return Ahead(library=library, level=level)


def fingerprints(names: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of source files, given by their paths in the package; empty for a file that is not there."""
    files = {name: PACKAGE / name for name in names}
    return {name: sha256(file.read_bytes()).hexdigest() if file.exists() else "" for name, file in files.items()}


def _loaded() -> ModuleType:
    """Import the library such that SCIP's functions are looked up when they are first called.

    Kernels of graphs are there for a training too, which has no SCIP in its process.
    """
    flags = sys.getdlopenflags()
    sys.setdlopenflags(os.RTLD_LAZY)
    try:
        return import_module("gnn_branching.compilation._ahead")
    finally:
        sys.setdlopenflags(flags)
