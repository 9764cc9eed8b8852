"""What the types of compiled functions' arguments are called, for Python and for Numba."""

from __future__ import annotations

import re
from collections.abc import Callable
from inspect import get_annotations
from typing import Annotated, Any, get_args

import numpy as np
from numpy.typing import NDArray

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

_PLAIN_CODES = {int: "q", float: "d", bool: "?", None: "v"}
_ARRAY_CODES = {"int64": "Q", "int32": "I", "float64": "D", "float32": "F", "boolean": "B"}
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


def code_of(function: Callable[..., object]) -> str:
    """Return a function's signature as ``runtime.c`` reads it.

    Args:
        function: As for :func:`signature_of`, one version only.

    Raises:
        KeyError: If a type has no code.
    """
    hints = get_annotations(function, eval_str=True)
    result = hints.pop("return")
    many = () if hasattr(result, "__metadata__") else get_args(result)
    results = "t" + "".join(map(_code, many)) if many else _code(result)
    return f"{results}:{''.join(map(_code, hints.values()))}"


def _code(hint: Any) -> str:
    if not hasattr(hint, "__metadata__"):
        return _PLAIN_CODES[hint]
    notation = str(hint.__metadata__[0])
    if notation == "float32":
        return "f"
    fixed = re.fullmatch(r"Array\((\w+), (\d), 'C', True\)", notation)
    if fixed:
        return f"{_ARRAY_CODES[fixed[1]]}{fixed[2]}r"
    name, _, dimensions = notation.partition("[")
    return f"{_ARRAY_CODES[name]}{dimensions.count(',') + 1}w"


def _notation(hint: Any) -> str:
    if hasattr(hint, "__metadata__"):
        return str(hint.__metadata__[0])
    return _PLAIN[hint] if hint in _PLAIN else f"Tuple(({', '.join(map(_notation, get_args(hint)))}))"
