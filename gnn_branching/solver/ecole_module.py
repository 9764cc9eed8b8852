"""Ecole, the one dependency that is compiled at set-up: what does without it must run without it."""

from __future__ import annotations

from types import ModuleType

from gnn_branching.contracts import InputError


def load_ecole() -> ModuleType:
    """Return Ecole.

    Raises:
        InputError: If it is not installed, or was built for another SCIP.
    """
    try:
        import ecole
    except ImportError as error:
        raise InputError(
            f"Ecole cannot be imported ({error}); labels, Khalil's features and generated instances need it: run "
            "scripts/install_ecole.py of the source with this environment's Python (docs/install.md)"
        ) from None
    module: ModuleType = ecole
    return module
