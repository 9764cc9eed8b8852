"""SCIP's output: catch what its C code prints."""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pyscipopt
from wurlitzer import Wurlitzer

from gnn_branching.solver.environment import address_of, scip_library


@contextmanager
def native_output() -> Iterator[list[str]]:
    """Collect what SCIP's C code writes to stdout and stderr, instead of showing it."""
    messages: list[str] = []
    # Ecole, once imported, keeps SCIP's error messages to itself.
    ctypes.CDLL(str(scip_library())).SCIPmessageSetErrorPrintingDefault()
    with tempfile.TemporaryFile() as capture:
        try:
            # To a file, not to a pipe that a thread reads: SCIP holds the interpreter's lock while it solves, so that
            # nobody would empty a pipe that is full.
            with Wurlitzer(stdout=capture, stderr=capture):
                yield messages
        finally:
            capture.seek(0)
            messages.extend(capture.read().decode(errors="replace").splitlines())


def is_quiet(model: pyscipopt.Model) -> bool:
    """Return whether a model's log is off."""
    library = ctypes.CDLL(str(scip_library()))
    library.SCIPgetMessagehdlr.restype = ctypes.c_void_p
    handler = library.SCIPgetMessagehdlr(ctypes.c_void_p(address_of(model)))
    return bool(library.SCIPmessagehdlrIsQuiet(ctypes.c_void_p(handler)) & 0xFF)  # SCIP_Bool: its lowest byte tells
