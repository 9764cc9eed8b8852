"""Instances that benchmarks solve, made as the package makes them."""

from __future__ import annotations

from pathlib import Path

from gnn_branching.instances import get_family
from gnn_branching.instances.generate import instance_seed
from gnn_branching.instances.generators import choose_generator, get_writer


def write_instance(folder: Path, family: str, size: str, split: str, index: int, seed: int) -> Path:
    """Write one instance of a split into a folder, made if it is not there, and return its path."""
    kind = get_family(family)
    path = folder / f"{index}{kind.suffix}"
    folder.mkdir(parents=True, exist_ok=True)
    write = get_writer(kind, choose_generator(kind, ()))
    write(path, instance_seed(seed, family, size, split, index), **kind.arguments(size))
    return path
