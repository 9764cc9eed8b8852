"""Kernels compiled ahead: the same numbers, no Numba, and never those of other sources."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gnn_branching.compilation import (
    FixedRealMatrix,
    Floats,
    Integers,
    Shorts,
    Single,
    kernel,
    library,
    signature_of,
)
from gnn_branching.compilation.build import NotBuiltError, build
from gnn_branching.compilation.library import LEVELS, LIBRARY, PACKAGE, SWITCH, ahead
from gnn_branching.compilation.notation import code_of
from gnn_branching.policy import kernels
from gnn_branching.subproblem import _take_rows

needs_library = pytest.mark.skipif(ahead().library is None, reason=f"kernels compiled ahead are {ahead().why_not}")
SAME = ("status", "n_tree_nodes", "n_lp_iterations", "primal_bound", "dual_bound", "n_decisions", "fallbacks")


def run(code: str, folder: Path, **environment: str) -> str:
    command, environment = [sys.executable, "-c", code], {**os.environ, **environment}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_library
def test_a_solve_is_the_same_and_needs_no_numba(small_instances: Mapping[str, list[Path]], tmp_path: Path) -> None:
    model = max(small_instances["set-cover"], key=lambda path: path.stat().st_size)
    arguments = ["solve", str(model), "--policy", "set-cover", "--settings", "paper", "--preset", "plain"]
    found, loaded = [], []
    for kind in ("ahead", "jit"):
        file = tmp_path / f"{kind}.json"
        code = f"""
import sys
from gnn_branching.cli import main
assert main({[*arguments, "--json", str(file)]}) == 0
print("numba" in sys.modules)
"""
        loaded.append(run(code, PACKAGE.parent, **{SWITCH: kind}).splitlines()[-1])
        figures = json.loads(file.read_text())
        found.append({name: value for name, value in figures.items() if name.split(".")[0] in SAME})
    assert loaded == ["False", "True"]
    assert found[0] == found[1]
    assert found[0]["n_decisions"] > 0


@pytest.mark.parametrize(
    ("level", "sources", "why_not"),
    [
        ("x86-64-v3", {"compilation/runtime.c": "0" * 64}, "built from other sources"),
        ("x86-64-v3", {"no/such.py": "0" * 64}, "built from other sources"),
        (None, {}, "this processor is older than x86-64-v3"),
        ("x86-64-v3", {}, ""),
    ],
)
def test_only_a_library_of_these_sources_is_used(
    monkeypatch: pytest.MonkeyPatch, level: str | None, sources: dict[str, str], why_not: str
) -> None:
    made = SimpleNamespace(level=lambda: level, SOURCES=json.dumps(sources))
    monkeypatch.setattr(library, "LIBRARY", Path(__file__))
    monkeypatch.setattr(library, "_loaded", lambda: made)
    monkeypatch.delenv(SWITCH, raising=False)
    found = ahead.__wrapped__()
    assert found.why_not == why_not
    assert found.library is (None if why_not else made)


def test_a_library_that_is_not_there_or_does_not_load_is_done_without(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(SWITCH, raising=False)
    monkeypatch.setattr(library, "LIBRARY", tmp_path / "none.so")
    assert ahead.__wrapped__().why_not == "not built"

    def refuse() -> None:
        raise ImportError("undefined symbol: PyOld")

    monkeypatch.setattr(library, "LIBRARY", Path(__file__))
    monkeypatch.setattr(library, "_loaded", refuse)
    assert ahead.__wrapped__().why_not == "does not load (undefined symbol: PyOld)"


@needs_library
def test_an_edited_kernel_is_never_the_old_one(tmp_path: Path) -> None:
    """Of an edited copy of the package, the same file is refused, and Numba compiles what the source says."""
    copy = tmp_path / PACKAGE.name
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "shipped"))
    code = """
import numpy as np
from gnn_branching.compilation.library import ahead
from gnn_branching.policy.kernels import inside
print(ahead().why_not, inside(np.arange(3), 3))
"""
    assert run(code, tmp_path, PYTHONPATH=str(tmp_path)) == " True\n"
    file = copy / "policy" / "kernels.py"
    file.write_text(file.read_text().replace("return n_outside == 0", "return n_outside == 1"))
    assert run(code, tmp_path, PYTHONPATH=str(tmp_path)) == "built from other sources False\n"


@needs_library
@pytest.mark.parametrize(
    "arguments",
    [
        (np.arange(3.0), 3),
        (np.arange(3, dtype=np.int32), 3),
        (np.arange(6)[::2], 3),
        (np.arange(4).reshape(2, 2), 3),
        (np.arange(3).astype(">i8"), 3),
        ([0, 1, 2], 3),
        (np.arange(3), 3.0),
        (np.arange(3),),
        (np.arange(3), 3, 3),
    ],
    ids=str,
)
def test_arguments_of_other_types_are_refused(arguments: tuple[object, ...]) -> None:
    with pytest.raises(TypeError):
        kernels.inside(*arguments)  # type: ignore[arg-type]


def test_only_fixed_arrays_may_be_read_only() -> None:
    fixed = np.arange(3)
    fixed.flags.writeable = False
    with pytest.raises(TypeError):
        kernels.inside(fixed, 3)
    values, out = np.arange(3.0), np.zeros(3, dtype=np.float32)
    values.flags.writeable = False
    kernels.normalise(values, 1.0, 2.0, out)
    assert out.tolist() == [2.0, 4.0, 6.0]


def test_numbers_of_numpy_are_numbers() -> None:
    assert kernels.inside(np.arange(3), np.int64(3)) is True
    assert kernels.inside(np.arange(3), np.int32(2)) is False


def test_an_array_that_a_kernel_returns_is_its_callers() -> None:
    def places(n: int) -> np.ndarray:
        rows, starts = np.zeros((n, 5)), np.arange(n + 1)
        return _take_rows(rows, np.ones(n), starts, np.ones(n), 1.0, np.zeros((n, 5)), np.zeros(n + 1, dtype=np.int64))

    first, second = places(4), places(3)
    first[:] += 10
    assert first.tolist() == [10, 11, 12, 13]
    assert second.tolist() == [0, 1, 2]
    assert places(0).shape == (0,)


def test_a_kernel_that_numba_compiles_may_call_one_that_was_compiled_ahead() -> None:
    @kernel(nogil=True)
    def outside(index: Integers, n: int) -> bool:
        return not kernels.inside(index, n)

    assert outside(np.arange(3), 2)
    assert not outside(np.arange(3), 3)


def test_one_signature_in_two_notations() -> None:
    def function(
        a: int, b: float, c: bool, d: Single, e: Integers, f: FixedRealMatrix, g: Shorts
    ) -> tuple[int, Floats]: ...

    assert code_of(function) == "tqF1w:qd?fQ1wD2rI1w"
    assert signature_of(function) == (
        "Tuple((int64, float32[::1]))(int64, float64, boolean, float32, int64[::1], Array(float64, 2, 'C', True), "
        "int32[::1])"
    )


def test_without_a_compiler_nothing_is_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(NotBuiltError, match="no C compiler"):
        build(tmp_path / "library.so")
    assert list(tmp_path.iterdir()) == []


@needs_library
def test_the_library_is_the_packages_own() -> None:
    assert Path(str(ahead().library.__file__)) == LIBRARY
    assert ahead().level in LEVELS
