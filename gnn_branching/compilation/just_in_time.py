"""Kernels that Numba compiles in this process, with the results cached on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding  # type: ignore[import-untyped]
import numba
from numba.core.registry import cpu_target
from numba.extending import typeof_impl

from gnn_branching.compilation.library import LEVELS, ahead
from gnn_branching.compilation.notation import signature_of
from gnn_branching.compilation.placeholders import Placeholder

options_of_all: dict[str, Any] = {"cache": True, "no_cfunc_wrapper": True}
"""No entry for C's callers, as nobody calls it; whoever compiles ahead changes these."""
compiled: list[Any] = []
"""All that was compiled in this process."""


@typeof_impl.register(Placeholder)
def _type_of_placeholder(value: Placeholder, context: object) -> object:
    found, typing_context = value.resolved, cpu_target.typing_context
    typing_context.refresh()  # it may just have been made
    return typing_context.resolve_value_type(found)


# Code that is compiled now may call kernels that were compiled ahead: Numba compiles these again, as part of it.
if (_library := ahead().library) is not None:

    @typeof_impl.register(_library.Kernel)
    def _type_of_kernel(value: Any, context: object) -> object:
        return _type_of_placeholder(value.origin, context)


def just_in_time(function: Callable[..., object], scalars: tuple[str, ...], options: dict[str, Any]) -> object:
    """Compile a function for the types of its annotations; see :func:`gnn_branching.compilation.kernel`."""
    signature = signature_of(function)
    versions = [signature.replace("scalar", name) for name in scalars] or [signature]
    njit: Any = numba.njit  # its stubs know no wrappers
    found = njit(versions, **options_of_all, **options)(function)
    compiled.append(found)
    return found


def vector_floats() -> int:
    """Return how many float32 a vector of the processor holds that is compiled for."""
    name = numba.config.CPU_NAME  # type: ignore[attr-defined]
    if name in LEVELS:
        return LEVELS[name]
    features = llvmlite.binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 16
    return 8 if features.get("avx2") else 4
