"""Loops that are compiled: the one place that says how, ahead of time or by Numba when they are first needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from gnn_branching.compilation.library import LEVELS, ahead
from gnn_branching.compilation.notation import (
    Booleans,
    FixedIntegers,
    FixedRealMatrix,
    FixedReals,
    FixedShorts,
    FloatBlocks,
    FloatMatrix,
    Floats,
    IntegerMatrix,
    Integers,
    RealMatrix,
    Reals,
    Shorts,
    Single,
    signature_of,
)
from gnn_branching.compilation.placeholders import (
    Function,
    LazyModule,
    Placeholder,
    external,
    helper,
    intrinsic,
    of_numba,
)

__all__ = [
    "Booleans",
    "FixedIntegers",
    "FixedRealMatrix",
    "FixedReals",
    "FixedShorts",
    "FloatBlocks",
    "FloatMatrix",
    "Floats",
    "Function",
    "IntegerMatrix",
    "Integers",
    "LazyModule",
    "RealMatrix",
    "Reals",
    "Shorts",
    "Single",
    "external",
    "helper",
    "intrinsic",
    "kernel",
    "of_numba",
    "signature_of",
    "vector_floats",
]


def kernel(*scalars: str, **options: Any) -> Callable[[Function], Function]:
    """Compile a function for the types of its annotations: take it from the library, or let Numba compile it now.

    What Numba compiles the first time is what a user waits for (docs/results/startup.md). So a kernel assigns entry by
    entry: to assign a whole row makes Numba compile the text of an error about shapes, which takes seconds.

    Args:
        scalars: Types to compile a version for, each in place of the word ``scalar``; none where all types are named.
        options: Of ``numba.njit``.
    """

    def decorate(function: Function) -> Function:
        def compile_now() -> object:
            from gnn_branching.compilation.just_in_time import just_in_time

            return just_in_time(function, scalars, options)

        name = f"{function.__module__}.{function.__qualname__}"
        library = ahead().library
        if library is not None:
            found = library.kernel(name, function, Placeholder(compile_now))
            if found is not None:
                return cast(Function, found)
        return cast(Function, compile_now())

    return decorate


def vector_floats() -> int:
    """Return how many float32 a vector of the processor holds in compiled code."""
    if ahead().level:
        return LEVELS[ahead().level]
    from gnn_branching.compilation import just_in_time

    return just_in_time.vector_floats()
