"""Run the commands of a build, and say what it is at."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from gnn_branching.contracts import InputError


def say(message: str) -> None:
    """Print one step on stderr."""
    print(f"[ecole] {message}", file=sys.stderr, flush=True)


def run(
    command: Sequence[str | Path], log: Path, *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> str:
    """Run a command, append its output to ``log``, and return it.

    Raises:
        InputError: If it fails, with the last line that it wrote.
    """
    line = shlex.join(map(str, command))
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, cwd=cwd, text=True, errors="replace"
    )
    with log.open("a") as stream:
        stream.write(f"\n$ {line}\n{done.stdout}")
    if done.returncode:
        last = next(iter(reversed(done.stdout.strip().splitlines())), f"exit code {done.returncode}")
        short = line if len(line) < 80 else f"{line[:80]}…"
        raise InputError(f"`{short}` failed: {last.strip()}; the whole output is in {log}")
    return done.stdout
