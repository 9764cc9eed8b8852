#!/usr/bin/env python3
"""Build Ecole against the SCIP inside PySCIPOpt's wheel, and install it.

Run it with the interpreter of the environment that shall receive Ecole:

    python scripts/install_ecole.py          # does nothing when Ecole already works there
    python scripts/install_ecole.py --force  # builds anew

Ecole has no wheel, and it must share one SCIP library with PySCIPOpt, or it cannot see a live PySCIPOpt model. So it is
compiled here against the very file that PySCIPOpt loads. The steps, each printed as it is done:

1. find the library in PySCIPOpt's wheel;
2. look in our cache for a wheel built for exactly this library, Python and machine;
3. otherwise find SCIP's C headers (``$SCIP_INCLUDE_DIR``, ``$SCIPOPTDIR``, ``$CONDA_PREFIX``, ``/usr/include``, then a
   download from the Debian mirror this machine is configured for) and the headers of range-v3 and fmt;
4. build in a throw-away environment (one to three minutes on two cores) and put the wheel into the cache;
5. install it and check that Ecole and PySCIPOpt really share one SCIP.

Only the standard library is imported: this runs before anything else is installed. No step needs root.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ECOLE_VERSION = "0.10.0"
BUILD_REQUIREMENTS = ("setuptools<80", "wheel", "scikit-build", "cmake<4", "ninja", "pybind11==2.13.6", "numpy")
VENDORED = Path("_skbuild/linux-x86_64-3.14/cmake-install/python/ecole/src/ecole")

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

CHECK = """\
import sys
import ecole, pyscipopt
maps = open('/proc/self/maps').read().split() if sys.platform == 'linux' else ['libscip.dylib']
mapped = {path for path in maps if 'libscip-' in path or 'libscip.' in path}
assert len(mapped) == 1, f'not one libscip in the process but {sorted(mapped)}'
checked = []

class Probe(pyscipopt.Branchrule):
    def branchexeclp(self, allowaddcons):
        if not checked:
            live = ecole.scip.Model.from_pyscipopt(self.model)
            scores = ecole.observation.StrongBranchingScores(False).extract(live, False)
            checked.append(max(score for score in scores if score == score))
        return {'result': pyscipopt.SCIP_RESULT.DIDNOTRUN}

instance = next(ecole.instance.SetCoverGenerator(n_rows=60, n_cols=100, density=0.1, rng=ecole.RandomGenerator(1)))
instance.disable_presolve()
instance.disable_cuts()
model = instance.as_pyscipopt()
model.hideOutput()
model.includeBranchrule(Probe(), 'probe', 'check', priority=10**6, maxdepth=-1, maxbounddist=1.0)
model.optimize()
assert checked and checked[0] > 0, f'no strong-branching score on a live PySCIPOpt model: {checked}'
print(f'Ecole {ecole.__version__} sees live PySCIPOpt {pyscipopt.__version__} models')
"""


class SetupError(Exception):
    """Something is missing; the message says what, and how to get it."""


def say(message: str) -> None:
    """Print one step on stdout."""
    print(f"[ecole] {message}", flush=True)


def run(command: list[str | Path], log: Path, *, env: dict[str, str] | None = None, cwd: Path | None = None) -> None:
    """Run a command, its output appended to ``log``.

    Raises:
        SetupError: If it fails, with the last lines of its output.
    """
    with log.open("a") as stream:
        stream.write(f"\n$ {shlex.join(map(str, command))}\n")
        stream.flush()
        done = subprocess.run(command, stdout=stream, stderr=subprocess.STDOUT, env=env, cwd=cwd, check=False)
    if done.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-12:])
        raise SetupError(f"`{shlex.join(map(str, command))}` failed; the end of its output:\n{tail}")


def find_library() -> Path:
    """Return the libscip that PySCIPOpt's wheel carries, without importing it."""
    try:
        distribution = importlib.metadata.distribution("pyscipopt")
    except importlib.metadata.PackageNotFoundError:
        raise SetupError("PySCIPOpt is not installed here; first: pip install pyscipopt==6.3.0") from None
    for file in distribution.files or []:
        if re.search(r"libscip[-.].*(so|dylib)", file.name):
            return Path(str(distribution.locate_file(file))).resolve()
    raise SetupError("this PySCIPOpt carries no libscip; get its wheel: pip install --force-reinstall pyscipopt")


def cache_folder() -> Path:
    """Return the folder that keeps headers and built wheels between environments."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "gnn-branching"


def cache_key(library: Path) -> str:
    """Name what a built wheel depends on: any other combination must be built anew."""
    digest = hashlib.sha256(library.read_bytes()).hexdigest()[:16]
    pyscipopt_version = importlib.metadata.version("pyscipopt")
    return (
        f"ecole-{ECOLE_VERSION}-pyscipopt-{pyscipopt_version}-scip-{digest}"
        f"-{sys.implementation.cache_tag}-{platform.system()}-{platform.machine()}".lower()
    )


def works(log: Path) -> bool:
    """Check in a fresh process that Ecole scores a live PySCIPOpt model, with one SCIP mapped."""
    try:
        run([sys.executable, "-c", CHECK], log)
    except SetupError:
        return False
    return True


def scip_major(include: Path) -> int | None:
    """Return the major version of the SCIP headers in ``include``, or None if there are none."""
    for name in ("scip/config.h", "scip/def.h"):
        file = include / name
        if file.exists() and (found := re.search(r"SCIP_VERSION_MAJOR\s+(\d+)", file.read_text(errors="replace"))):
            return int(found.group(1))
    return None


def installed_scip_headers(tried: list[str]) -> Path | None:
    """Look for SCIP 10 headers that are already on this machine."""
    places = [("$SCIP_INCLUDE_DIR", os.environ.get("SCIP_INCLUDE_DIR"))]
    for name in ("SCIPOPTDIR", "CONDA_PREFIX"):
        root = os.environ.get(name)
        places.append((f"${name}/include", f"{root}/include" if root else None))
    places.append(("/usr/include", "/usr/include"))
    for label, place in places:
        major = scip_major(Path(place)) if place else None
        if major == 10 and place:
            return Path(place).resolve()
        tried.append(f"{label}: " + ("not set" if not place else f"SCIP {major}" if major else "no scip/config.h"))
    return None


def debian_mirrors() -> list[str]:
    """Return the package mirrors in this machine's own apt configuration."""
    folder = Path("/etc/apt")
    files = [folder / "sources.list", *sorted(folder.glob("sources.list.d/*"))]
    text = "\n".join(file.read_text(errors="replace") for file in files if file.is_file())
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    found = re.findall(r"^(?:URIs:|deb\s+(?:\[[^\]]*\]\s+)?)\s*(\S+)", "\n".join(lines), flags=re.MULTILINE)
    return [uri for uri in dict.fromkeys(found) if uri.rstrip("/").endswith("/debian")]


def download_headers(packages: list[str], cache: Path, tried: list[str], log: Path) -> Path | None:
    """Unpack Debian packages into our cache with an apt configuration of our own (nothing is installed)."""
    target = cache / "headers"
    target.mkdir(parents=True, exist_ok=True)
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        tried.append("download from Debian: no apt-get and dpkg-deb here")
        return None
    mirrors = debian_mirrors()
    if not mirrors:
        tried.append("download from Debian: no Debian mirror in /etc/apt")
    for mirror in mirrors:
        with tempfile.TemporaryDirectory() as scratch:
            root = Path(scratch)
            for folder in ("state/lists/partial", "cache/archives/partial"):
                (root / folder).mkdir(parents=True)
            (root / "state/status").touch()
            (root / "sources.list").write_text(f"deb {mirror} sid main\n")
            (root / "apt.conf").write_text(
                f'Dir::State "{root}/state";\nDir::State::status "{root}/state/status";\nDir::Cache "{root}/cache";\n'
                f'Dir::Etc::sourcelist "{root}/sources.list";\nDir::Etc::sourceparts "-";\n'
                'APT::Sandbox::User "";\nAcquire::Languages "none";\nAcquire::Retries "3";\n'
            )
            env = {**os.environ, "APT_CONFIG": f"{root}/apt.conf"}
            try:
                run(["apt-get", "update", "--error-on=any"], log, env=env)
                run(["apt-get", "download", *packages], log, env=env, cwd=root)
                for archive in sorted(root.glob("*.deb")):
                    say(f"unpacking {archive.name.split('_')[0]} {archive.name.split('_')[1]}")
                    run(["dpkg-deb", "-x", archive, target], log)
            except SetupError as error:
                tried.append(f"download from a Debian mirror: {str(error).splitlines()[-1]}")
                continue
            return target / "usr/include"
    return None


def find_headers(cache: Path, log: Path) -> tuple[Path, Path]:
    """Return the include folders of SCIP, and of fmt with range-v3.

    Raises:
        SetupError: If there are none and none can be fetched, naming all that was tried.
    """
    tried: list[str] = []
    scip = installed_scip_headers(tried)
    unpacked = cache / "headers/usr/include"
    others = next(
        (p for p in (Path("/usr/include"), unpacked) if (p / "fmt").exists() and (p / "range").exists()), None
    )
    conda = Path(os.environ["CONDA_PREFIX"]) / "include" if "CONDA_PREFIX" in os.environ else None
    if conda and (conda / "fmt").exists() and (conda / "range").exists():
        others = conda
    if scip is None and scip_major(unpacked) == 10:
        scip = unpacked
    missing = [] if scip else ["libscip-dev"]
    missing += [] if others else ["librange-v3-dev", "libfmt-dev"]
    if missing:
        say(f"fetching headers: {', '.join(missing)} (unpacked into the cache, nothing is installed)")
        fetched = download_headers(missing, cache, tried, log)
        scip, others = scip or fetched, others or fetched
    if scip is None or others is None:
        what = "SCIP 10's C headers" if scip is None else "the headers of fmt and range-v3"
        raise SetupError(
            f"{what} were not found. Tried: {'; '.join(tried)}.\nRemedy: set SCIP_INCLUDE_DIR to a folder that has"
            " scip/scip.h of SCIP 10, or use a conda environment: conda install -c conda-forge scip=10 fmt range-v3"
        )
    return scip, others


def check_tools() -> None:
    """Raise a SetupError that says how to get a missing compiler."""
    if not (shutil.which("g++") or shutil.which("c++") or os.environ.get("CXX")):
        remedy = (
            "xcode-select --install"
            if sys.platform == "darwin"
            else "apt-get install g++ (as root), or conda install gxx"
        )
        raise SetupError(f"no C++ compiler (g++ or c++) was found; get one: {remedy}")


def expose(include: Path, names: tuple[str, ...], target: Path) -> Path:
    """Link only some headers of ``include`` into a folder, so that no other header there shadows ours."""
    target.mkdir(parents=True)
    for name in names:
        if (include / name).exists():
            (target / name).symlink_to(include / name)
    return target


def write_cmake_packages(root: Path, library: Path, scip: Path, others: Path) -> None:
    """Write the CMake package files that Ecole looks for: scip, fmt and range-v3."""
    (root / "libscip.so").symlink_to(library)
    folders = (
        "scip",
        "blockmemshell",
        "lpi",
        "nlpi",
        "objscip",
        "xml",
        "dijkstra",
        "tclique",
        "symmetry",
        "tpi",
        "sym",
    )
    include = {
        "scip": scip if scip.parent != Path("/usr") else expose(scip, folders, root / "include-scip"),
        "others": expose(others, ("fmt", "range", "meta", "concepts", "std"), root / "include-others"),
    }
    configs = {
        "scip": (SCIP_CONFIG.format(library=root / "libscip.so", include=include["scip"]), "10.0.2"),
        "fmt": (FMT_CONFIG.format(include=include["others"]), "11.0.0"),
        "range-v3": (RANGE_CONFIG.format(include=include["others"]), "0.12.0"),
    }
    for name, (text, version) in configs.items():
        folder = root / "cmake" / name
        folder.mkdir(parents=True)
        (folder / f"{name}-config.cmake").write_text(text)
        (folder / f"{name}-config-version.cmake").write_text(VERSION_CONFIG.format(version=version))


def build(library: Path, cache: Path, target: Path, log: Path) -> None:
    """Compile Ecole's wheel against ``library`` into the folder ``target``."""
    check_tools()
    scip, others = find_headers(cache, log)
    say(f"SCIP headers: {scip}")
    with tempfile.TemporaryDirectory(prefix="ecole-build-") as scratch:
        root = Path(scratch).resolve()
        say(f"making a build environment ({', '.join(BUILD_REQUIREMENTS)})")
        run([sys.executable, "-m", "venv", root / "venv"], log)
        python = root / "venv/bin/python"
        run([python, "-m", "pip", "install", "--quiet", *BUILD_REQUIREMENTS], log)
        env = {**os.environ, "PATH": f"{root}/venv/bin:{os.environ.get('PATH', '')}", "VIRTUAL_ENV": f"{root}/venv"}
        say(f"fetching the source of ecole-fork {ECOLE_VERSION}")
        fetch: list[str | Path] = [
            "download",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--no-binary",
            ":all:",
            "--dest",
            root,
        ]
        run([python, "-m", "pip", *fetch, f"ecole-fork=={ECOLE_VERSION}"], log, env=env)
        shutil.unpack_archive(next(root.glob("ecole*fork-*.tar.gz")), root)
        source = next(path for path in root.glob("ecole*fork-*") if path.is_dir())
        vendored = root / "vendored"
        shutil.copytree(source / VENDORED, vendored, ignore=shutil.ignore_patterns("*.so", "ecole", "Ecole*"))
        shutil.rmtree(source / "_skbuild")
        write_cmake_packages(root, library, scip, others)
        pybind = subprocess.run([python, "-m", "pybind11", "--cmakedir"], capture_output=True, text=True, check=True)
        origin = "@loader_path" if sys.platform == "darwin" else "$ORIGIN"
        env["CMAKE_ARGS"] = shlex.join(
            [
                f"-DCMAKE_PREFIX_PATH={root}/cmake;{vendored};{root}/cmake/scip;{root}/cmake/fmt;{root}/cmake/range-v3",
                f"-Dpybind11_DIR={pybind.stdout.strip()}",
                f"-DPython_EXECUTABLE={python}",
                # NDEBUG would turn SCIP's function calls into reads of private structs, whose layout may differ.
                "-DCMAKE_CXX_FLAGS_RELEASE=-O3",
                "-DCMAKE_FIND_PACKAGE_TARGETS_GLOBAL=ON",
                "-DFETCHCONTENT_FULLY_DISCONNECTED=ON",
                f"-DCMAKE_INSTALL_RPATH={origin}/../../pyscipopt.libs",
                f"-DECOLE_PY_EXT_INSTALL_RPATH={origin}/lib:{origin}/../pyscipopt.libs",
            ]
        )
        say("compiling (one to three minutes)")
        wheel: list[str | Path] = [
            "wheel",
            "--no-cache-dir",
            "--no-build-isolation",
            "--no-deps",
            "--wheel-dir",
            root / "wheel",
            source,
        ]
        run([python, "-m", "pip", *wheel], log, env=env)
        built = next((root / "wheel").glob("*.whl"))
        target.mkdir(parents=True, exist_ok=True)
        partial = target / f"{built.name}.partial-{os.getpid()}"
        shutil.copyfile(built, partial)
        partial.replace(target / built.name)


def install(*, force: bool, log: Path) -> None:
    """Bring this environment to a working Ecole, building only when nothing cached fits."""
    library = find_library()
    if not force and works(log):
        say("already installed and working")
        return
    say(f"PySCIPOpt's SCIP: {library.name}")
    cache = cache_folder()
    target = cache / "wheels" / cache_key(library)
    if force or not list(target.glob("*.whl")):
        build(library, cache, target, log)
    else:
        say("using the wheel built before for exactly this SCIP, Python and machine")
    wheel = next(target.glob("*.whl"))
    flags = ["--quiet", "--no-deps", "--no-cache-dir", "--force-reinstall"]
    run([sys.executable, "-m", "pip", "install", *flags, wheel], log)
    run([sys.executable, "-c", CHECK], log)
    say("installed; one SCIP serves Ecole and PySCIPOpt")


def main() -> int:
    """Parse the command line and report a failure in plain words."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--force", action="store_true", help="build anew even if a working Ecole is there")
    arguments = parser.parse_args()
    log = cache_folder() / "install_ecole.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    try:
        install(force=arguments.force, log=log)
    except SetupError as error:
        print(f"[ecole] {error}\n[ecole] the whole output is in {log}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
