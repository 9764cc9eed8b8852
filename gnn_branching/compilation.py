"""Compile loops with Numba: the one place that says how."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def kernel(*signatures: Any, **options: Any) -> Callable[[Function], Function]:
    """Compile a function for its signatures at import, with the result cached on disk.

    What compiles the first time is what a user waits for (docs/results/startup.md). So a kernel assigns entry by entry:
    to assign a whole row makes Numba compile the text of an error about shapes, which takes seconds. And no entry for
    C's callers is made, as nobody calls it.

    Args:
        signatures: In Numba's notation or its types.
        options: Of ``numba.njit``.
    """
    njit: Any = numba.njit  # its stubs know no wrappers
    decorator = njit(list(signatures), cache=True, no_cfunc_wrapper=True, **options)
    return cast(Callable[[Function], Function], decorator)
