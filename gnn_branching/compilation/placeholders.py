"""What only compiled code uses, without Numba: a solve with kernels that were compiled ahead never imports it.

Modules of kernels name SCIP's C functions, code that is written in LLVM's language, Numba's own functions. Python never
calls them, so that each is a placeholder, which Numba resolves when it compiles a kernel that names it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., object])


class Placeholder:
    """Stands for something that Numba knows, made when Numba first asks for it.

    Args:
        make: Returns it.
    """

    def __init__(self, make: Callable[[], object]) -> None:
        self._make = make

    @cached_property
    def resolved(self) -> object:
        """What it stands for."""
        return self._make()


class LazyModule:
    """A module of Numba's or LLVM's, imported when something of it is first asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)


_numba, _types = LazyModule("numba"), LazyModule("numba.core.types")


def external(name: str, result: str, *arguments: str) -> Callable[..., Any]:
    """Return a C function for compiled code, resolved by name among the libraries of the process.

    Args:
        name: Of the function.
        result: Its type, as Numba names it.
        arguments: Theirs.
    """

    def make() -> object:
        signature = getattr(_types, result)(*(getattr(_types, argument) for argument in arguments))
        return _types.ExternalFunction(name, signature)

    return cast(Callable[..., Any], Placeholder(make))


def intrinsic(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function that emits LLVM's code one that compiled code can call, as ``numba.extending.intrinsic`` does."""
    return cast(Callable[..., Any], Placeholder(lambda: _numba.extending.intrinsic(function)))


def helper(function: Function) -> Function:
    """Make a function one for compiled code alone, compiled with whatever calls it."""
    return cast(Function, Placeholder(lambda: _numba.njit(inline="always")(function)))


def of_numba(name: str) -> Callable[..., Any]:
    """Return one of Numba's own functions for compiled code."""
    return cast(Callable[..., Any], Placeholder(lambda: getattr(_numba, name)))
