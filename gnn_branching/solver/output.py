"""SCIP's output: catch what its C code prints."""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pyscipopt

from gnn_branching.solver.environment import address_of, scip_library


@contextmanager
def redirected(target: int, *descriptors: int) -> Iterator[None]:
    """Send what Python and C code write to some of this process's descriptors to another one.

    By duplicates, not by a pipe that a thread reads: SCIP holds the interpreter's lock while it solves, so that nobody
    would empty a pipe that is full.
    """
    flush = ctypes.CDLL(None).fflush
    sys.stdout.flush()
    sys.stderr.flush()
    flush(None)
    saved = [os.dup(descriptor) for descriptor in descriptors]
    for descriptor in descriptors:
        os.dup2(target, descriptor)
    try:
        yield
    finally:
        flush(None)
        for descriptor, original in zip(descriptors, saved, strict=True):
            os.dup2(original, descriptor)
            os.close(original)


@contextmanager
def native_output() -> Iterator[list[str]]:
    """Collect what SCIP's C code writes to stdout and stderr, instead of showing it."""
    messages: list[str] = []
    # Ecole, once imported, keeps SCIP's error messages to itself.
    ctypes.CDLL(str(scip_library())).SCIPmessageSetErrorPrintingDefault()
    with tempfile.TemporaryFile() as capture:
        try:
            with redirected(capture.fileno(), 1, 2):
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
