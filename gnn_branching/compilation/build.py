"""Compile the kernels ahead, into a library beside this module: ``python -m gnn_branching.compilation.build``.

Numba compiles each kernel as it would when it is first needed, but for a level of processors instead of the one at
hand, in a process for each level. Its LLVM code then becomes an object file that may lie anywhere in memory, and a C
compiler links these with ``runtime.c``. Where there is none, nothing is built, and all goes on without.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from gnn_branching.compilation.emit import Emitted
from gnn_branching.compilation.library import LEVELS, LIBRARY, PACKAGE, SWITCH, ahead


class NotBuiltError(Exception):
    """The library cannot be built here; the text says why."""


def main() -> int:
    """Build the library unless it is there, and say so; it is no failure that a machine cannot build it."""
    if ahead().library is None:
        try:
            build(LIBRARY)
        except NotBuiltError as error:
            print(f"kernels are not compiled ahead, but when they are first needed: {error}", file=sys.stderr)
            return 0
    print(f"kernels are compiled ahead: {LIBRARY}")
    return 0


def build(library: Path) -> None:
    """Write the library.

    Raises:
        NotBuiltError: If there is no C compiler, or no headers of Python for it, or the system is not one that this was
            tried on.
    """
    if sys.platform != "linux" or sysconfig.get_platform() != "linux-x86_64":
        raise NotBuiltError(f"only on Linux, x86-64, not on {sysconfig.get_platform()}")
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    if shutil.which(compiler) is None:
        raise NotBuiltError(f"there is no C compiler ({compiler})")
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        raise NotBuiltError("the headers of Python are not installed")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with ThreadPoolExecutor() as pool:
            emitted = dict(zip(LEVELS, pool.map(lambda level: _in_a_process(level, folder), LEVELS), strict=True))
        (folder / "tables.h").write_text(_tables(emitted))
        objects = [str(folder / f"{level}.o") for level in LEVELS]
        includes = [f"-I{path}" for path in (folder, sysconfig.get_path("include"), np.get_include())]
        # Looked up late: SCIP's functions are not there in every process that loads the library.
        options = ["-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-Wl,-z,lazy", *includes]
        source = str(Path(__file__).with_name("runtime.c"))
        _run([compiler, *options, source, *objects, "-lm", "-o", str(folder / LIBRARY.name)])
        # Put into place at once: a process that has the old one mapped keeps it.
        made = library.with_name(f".{library.name}.{os.getpid()}")
        made.write_bytes((folder / LIBRARY.name).read_bytes())
        made.chmod(0o755)
        made.replace(library)


def _run(command: list[str], **environment: str) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env={**os.environ, **environment}, cwd=PACKAGE.parent
        )
    except subprocess.CalledProcessError as error:
        raise NotBuiltError(f"{' '.join(command[:3])} failed: {error.stderr.strip()[-2000:]}") from None
    return done.stdout


def _in_a_process(level: str, folder: Path) -> Emitted:
    """Compile for a level of processors; Numba compiles for one only in a process."""
    command = [sys.executable, "-m", "gnn_branching.compilation.emit", str(folder / f"{level}.o")]
    printed = _run(command, NUMBA_CPU_NAME=level, NUMBA_CPU_FEATURES="", OMP_NUM_THREADS="1", **{SWITCH: "jit"})
    return Emitted.from_text(printed)


def _tables(emitted: dict[str, Emitted]) -> str:
    """Return what ``runtime.c`` includes."""
    rows = [row for found in emitted.values() for row in found.rows]
    sources = {name: found for part in emitted.values() for name, found in part.sources.items()}
    lines = [f"#define MOST_SLOTS {max(row.n_slots for row in rows)}"]
    lines += [f"#define SOURCES {json.dumps(json.dumps(sources))}"]
    lines += [f"extern int32_t {row.symbol}(Slot *);" for row in rows]
    for level, found in emitted.items():
        lines += [f"static const Row rows_{level[-2:]}[] = {{"]
        lines += [f'{{"{row.name}", "{row.signature}", {int(row.releases_lock)}, {row.symbol}}},' for row in found.rows]
        lines += ["{0}};"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
