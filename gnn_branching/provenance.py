"""What a figure depends on: versions, machine, threads, hashes."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

PACKAGES = ("gnn-branching", "pyscipopt", "ecole-fork", "torch", "torch-geometric", "numpy", "numba")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where and with what something was computed.

    Args:
        packages: Versions by distribution name; absent ones are left out.
        python: Version of the interpreter.
        system: Operating system and release.
        machine: Architecture.
        cpu: The processor's name.
        n_cores: Cores this process may use.
    """

    packages: dict[str, str]
    python: str
    system: str
    machine: str
    cpu: str
    n_cores: int

    def to_json(self) -> str:
        """Return a compact JSON object with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))


@cache
def collect_provenance() -> Provenance:
    """Return the provenance of this process; computed once."""
    packages = {}
    for name in PACKAGES:
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return Provenance(
        packages=packages,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()}",
        machine=platform.machine(),
        cpu=_cpu_name(),
        n_cores=available_cores(),
    )


def available_cores() -> int:
    """Return the number of cores this process may use, which may be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def file_sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
