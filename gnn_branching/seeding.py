"""One root seed, named streams: what is drawn depends on names, never on call order or worker count."""

from __future__ import annotations

import hashlib

import numpy as np

MAX_SCIP_SEED = 2**31 - 1
"""Largest seed that SCIP's parameters accept."""


def derive_seed(root: int, *names: str | int) -> int:
    """Derive the seed of the stream called ``names`` from a root seed.

    Args:
        root: The experiment's seed.
        names: What the stream is for, for example ``("collect", "set-cover", 17)``.

    Returns:
        A seed in [0, 2**31 - 1), which SCIP, NumPy and PyTorch all accept: the head of the SHA-256 of the names, which
        (unlike ``hash``) is the same in every process and version.
    """
    text = "\x1f".join([str(root), *(f"{type(name).__name__}:{name}" for name in names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) % MAX_SCIP_SEED


def generator(root: int, *names: str | int) -> np.random.Generator:
    """Return a NumPy generator for the stream called ``names``."""
    return np.random.default_rng(derive_seed(root, *names))
