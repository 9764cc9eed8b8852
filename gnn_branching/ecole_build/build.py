"""Compile Ecole's wheel against one SCIP library."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from gnn_branching.contracts import InputError
from gnn_branching.ecole_build.commands import run, say
from gnn_branching.ecole_build.headers import Headers, HeaderSearch

ECOLE_VERSION = "0.10.0"
REQUIREMENTS = ("setuptools<80", "wheel", "scikit-build", "cmake<4", "ninja", "pybind11==2.13.6", "numpy")
VENDORED = Path("_skbuild/linux-x86_64-3.14/cmake-install/python/ecole/src/ecole")
"""Where the source archive has the headers of xtl, xsimd, xtensor, xtensor-python, span-lite and robin_hood."""
SCIP_HEADERS = (
    "scip", "blockmemshell", "lpi", "nlpi", "objscip", "xml", "dijkstra", "tclique", "symmetry", "tpi", "sym",
)  # fmt: skip
OTHER_HEADERS = ("fmt", "range", "meta", "concepts", "std")

SCIP_CONFIG = """\
if(NOT TARGET scip)
  add_library(scip SHARED IMPORTED GLOBAL)
endif()
set_target_properties(scip PROPERTIES
  IMPORTED_LOCATION "{library}"
  INTERFACE_INCLUDE_DIRECTORIES "{include}")
set(SCIP_FOUND TRUE)
"""
FMT_CONFIG = """\
if(NOT TARGET fmt::fmt)
  add_library(fmt::fmt INTERFACE IMPORTED GLOBAL)
endif()
set_target_properties(fmt::fmt PROPERTIES
  INTERFACE_INCLUDE_DIRECTORIES "{include}"
  INTERFACE_COMPILE_DEFINITIONS "FMT_HEADER_ONLY=1")
"""
RANGE_CONFIG = """\
if(NOT TARGET range-v3::range-v3)
  add_library(range-v3::range-v3 INTERFACE IMPORTED GLOBAL)
endif()
set_target_properties(range-v3::range-v3 PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "{include}")
"""
VERSION_CONFIG = """\
set(PACKAGE_VERSION "{version}")
set(PACKAGE_VERSION_COMPATIBLE TRUE)
"""


def build_wheel(library: Path, cache: Path, target: Path, log: Path) -> None:
    """Compile Ecole's wheel.

    Args:
        library: The libscip to link with.
        cache: Keeps downloaded headers.
        target: Folder that gets the wheel.
        log: Gets the output of all commands.

    Raises:
        InputError: If the compiler or headers are missing, or a step fails.
    """
    check_compiler()
    headers = HeaderSearch(cache=cache / "headers", log=log).run()
    say(f"SCIP's headers: {headers.scip}")
    with tempfile.TemporaryDirectory(prefix="ecole-build-") as scratch:
        root = Path(scratch).resolve()
        say(f"making a build environment ({', '.join(REQUIREMENTS)})")
        run([sys.executable, "-m", "venv", root / "venv"], log)
        python = root / "venv" / "bin" / "python"
        run([python, "-m", "pip", "install", "--quiet", *REQUIREMENTS], log)
        env = {**os.environ, "PATH": f"{root}/venv/bin:{os.environ.get('PATH', '')}", "VIRTUAL_ENV": f"{root}/venv"}
        say(f"fetching the source of ecole-fork {ECOLE_VERSION}")
        download = ("--quiet", "--no-deps", "--no-build-isolation", "--no-binary", ":all:", "--dest", root)
        run([python, "-m", "pip", "download", *download, f"ecole-fork=={ECOLE_VERSION}"], log, env=env)
        source = _unpack(root)
        write_cmake_packages(root, library, headers)
        pybind = run([python, "-m", "pybind11", "--cmakedir"], log).strip()
        env["CMAKE_ARGS"] = shlex.join(_cmake_arguments(root, python, pybind))
        say("compiling (one to three minutes)")
        wheel = ("--no-cache-dir", "--no-build-isolation", "--no-deps", "--wheel-dir", root / "wheel", source)
        run([python, "-m", "pip", "wheel", *wheel], log, env=env)
        built = next((root / "wheel").glob("*.whl"))
        target.mkdir(parents=True, exist_ok=True)
        partial = target / f"{built.name}.partial-{os.getpid()}"
        shutil.copyfile(built, partial)
        partial.replace(target / built.name)


def check_compiler() -> None:
    """Refuse, with a way to get one, if there is no C++ compiler.

    Raises:
        InputError: If there is none.
    """
    if not (shutil.which("g++") or shutil.which("c++") or os.environ.get("CXX")):
        linux = "apt-get install g++ (as root), or conda install gxx"
        remedy = "xcode-select --install" if sys.platform == "darwin" else linux
        raise InputError(f"no C++ compiler (g++ or c++) was found; get one: {remedy}")


def write_cmake_packages(root: Path, library: Path, headers: Headers) -> None:
    """Write the CMake package files that Ecole looks for: scip, fmt and range-v3."""
    (root / "libscip.so").symlink_to(library)
    scip, others = headers.scip, _expose(headers.others, OTHER_HEADERS, root / "include-others")
    if scip.parent == Path("/usr"):
        scip = _expose(scip, SCIP_HEADERS, root / "include-scip")
    configs = {
        "scip": (SCIP_CONFIG.format(library=root / "libscip.so", include=scip), "10.0.2"),
        "fmt": (FMT_CONFIG.format(include=others), "11.0.0"),
        "range-v3": (RANGE_CONFIG.format(include=others), "0.12.0"),
    }
    for name, (text, version) in configs.items():
        folder = root / "cmake" / name
        folder.mkdir(parents=True)
        (folder / f"{name}-config.cmake").write_text(text)
        (folder / f"{name}-config-version.cmake").write_text(VERSION_CONFIG.format(version=version))


def _expose(include: Path, names: Sequence[str], target: Path) -> Path:
    """Link only some headers of ``include`` into a folder, so that no other header there shadows ours."""
    target.mkdir(parents=True)
    for name in names:
        if (include / name).exists():
            (target / name).symlink_to(include / name)
    return target


def _unpack(root: Path) -> Path:
    """Unpack the source, with the headers that it carries put into ``root / "vendored"``; return its folder."""
    shutil.unpack_archive(next(root.glob("ecole*fork-*.tar.gz")), root)
    source = next(path for path in root.glob("ecole*fork-*") if path.is_dir())
    shutil.copytree(source / VENDORED, root / "vendored", ignore=shutil.ignore_patterns("*.so", "ecole", "Ecole*"))
    shutil.rmtree(source / "_skbuild")
    return source


def _cmake_arguments(root: Path, python: Path, pybind: str) -> list[str]:
    origin = "@loader_path" if sys.platform == "darwin" else "$ORIGIN"
    return [
        f"-DCMAKE_PREFIX_PATH={root}/cmake;{root}/vendored;{root}/cmake/scip;{root}/cmake/fmt;{root}/cmake/range-v3",
        f"-Dpybind11_DIR={pybind}",
        f"-DPython_EXECUTABLE={python}",
        # NDEBUG would turn SCIP's function calls into reads of private structs, whose layout may differ.
        "-DCMAKE_CXX_FLAGS_RELEASE=-O3",
        "-DCMAKE_FIND_PACKAGE_TARGETS_GLOBAL=ON",
        "-DFETCHCONTENT_FULLY_DISCONNECTED=ON",
        f"-DCMAKE_INSTALL_RPATH={origin}/../../pyscipopt.libs",
        f"-DECOLE_PY_EXT_INSTALL_RPATH={origin}/lib:{origin}/../pyscipopt.libs",
    ]
