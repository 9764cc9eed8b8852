"""SCIP's output: catch what its C code prints, and keep Ecole from silencing models."""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pyscipopt

from gnn_branching.solver.environment import mapped_scip_libraries


@contextmanager
def native_output() -> Iterator[list[str]]:
    """Collect what SCIP's C code writes to stdout and stderr, instead of showing it."""
    messages: list[str] = []
    for library in mapped_scip_libraries():
        # Ecole, once imported, keeps SCIP's error messages to itself.
        ctypes.CDLL(library).SCIPmessageSetErrorPrintingDefault()
    flush = ctypes.CDLL(None).fflush
    sys.stdout.flush()
    sys.stderr.flush()
    flush(None)
    saved = [os.dup(1), os.dup(2)]
    with tempfile.TemporaryFile() as capture:
        os.dup2(capture.fileno(), 1)
        os.dup2(capture.fileno(), 2)
        try:
            yield messages
        finally:
            flush(None)
            for descriptor, original in enumerate(saved, start=1):
                os.dup2(original, descriptor)
                os.close(original)
            capture.seek(0)
            messages.extend(capture.read().decode(errors="replace").splitlines())


@contextmanager
def kept_log(model: pyscipopt.Model) -> Iterator[None]:
    """Leave a model's log as it was: Ecole switches off the log of every model that it looks at."""
    quiet = is_quiet(model)
    try:
        yield
    finally:
        if not quiet:
            model.hideOutput(False)


def is_quiet(model: pyscipopt.Model) -> bool:
    """Return whether a model's log is off; True where this cannot be found out, outside Linux."""
    for library in mapped_scip_libraries():
        scip = ctypes.CDLL(library)
        pointer = ctypes.pythonapi.PyCapsule_GetPointer
        pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
        scip.SCIPgetMessagehdlr.restype, scip.SCIPgetMessagehdlr.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
        scip.SCIPmessagehdlrIsQuiet.restype, scip.SCIPmessagehdlrIsQuiet.argtypes = ctypes.c_uint, [ctypes.c_void_p]
        handler = scip.SCIPgetMessagehdlr(pointer(model.to_ptr(False), b"scip"))
        return bool(scip.SCIPmessagehdlrIsQuiet(handler))
    return True
