"""Compile loops with Numba: the one place that says how, and what the types of their arguments are called."""

from __future__ import annotations

from collections.abc import Callable
from inspect import get_annotations
from typing import Annotated, Any, TypeVar, cast, get_args

import numba
import numpy as np
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., object])

Single = Annotated[float, "float32"]
Booleans = Annotated[NDArray[np.bool_], "boolean[::1]"]
Integers = Annotated[NDArray[np.int64], "int64[::1]"]
IntegerMatrix = Annotated[NDArray[np.int64], "int64[:,::1]"]
Shorts = Annotated[NDArray[np.int32], "int32[::1]"]
Floats = Annotated[NDArray[np.float32], "float32[::1]"]
FloatMatrix = Annotated[NDArray[np.float32], "float32[:,::1]"]
FloatBlocks = Annotated[NDArray[np.float32], "float32[:,:,::1]"]
Reals = Annotated[NDArray[np.float64], "float64[::1]"]
RealMatrix = Annotated[NDArray[np.float64], "float64[:,::1]"]
FixedIntegers = Annotated[NDArray[np.int64], "Array(int64, 1, 'C', True)"]
FixedShorts = Annotated[NDArray[np.int32], "Array(int32, 1, 'C', True)"]
FixedReals = Annotated[NDArray[np.float64], "Array(float64, 1, 'C', True)"]
FixedRealMatrix = Annotated[NDArray[np.float64], "Array(float64, 2, 'C', True)"]
"""Contiguous arrays, each with its type in Numba's notation; those that are fixed may be read-only."""

_PLAIN = {int: "int64", float: "float64", bool: "boolean", None: "void"}


def signature_of(function: Callable[..., object]) -> str:
    """Return a function's signature in Numba's notation, as its annotations give it.

    Args:
        function: Its arguments and its result are plain numbers, truth values or types of this module; the result may
            be nothing, or a tuple.
    """
    hints = get_annotations(function, eval_str=True)
    result = _notation(hints.pop("return"))
    return f"{result}({', '.join(map(_notation, hints.values()))})"


def _notation(hint: Any) -> str:
    if hasattr(hint, "__metadata__"):
        return str(hint.__metadata__[0])
    return _PLAIN[hint] if hint in _PLAIN else f"Tuple(({', '.join(map(_notation, get_args(hint)))}))"


def kernel(*scalars: str, **options: Any) -> Callable[[Function], Function]:
    """Compile a function at import for the types of its annotations, with the result cached on disk.

    What compiles the first time is what a user waits for (docs/results/startup.md). So a kernel assigns entry by entry:
    to assign a whole row makes Numba compile the text of an error about shapes, which takes seconds. And no entry for
    C's callers is made, as nobody calls it.

    Args:
        scalars: Types to compile a version for, each in place of the word ``scalar``; none where all types are named.
        options: Of ``numba.njit``.
    """

    def decorate(function: Function) -> Function:
        signature = signature_of(function)
        versions = [signature.replace("scalar", name) for name in scalars] or [signature]
        njit: Any = numba.njit  # its stubs know no wrappers
        return cast(Function, njit(versions, cache=True, no_cfunc_wrapper=True, **options)(function))

    return decorate
