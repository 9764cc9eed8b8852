"""Bring an environment to a working Ecole, compiling only when nothing kept fits."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import re
import sys
from pathlib import Path

from gnn_branching.contracts import InputError
from gnn_branching.ecole_build.build import ECOLE_VERSION, build_wheel
from gnn_branching.ecole_build.commands import run, say

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


def install_ecole(*, force: bool = False) -> str:
    """Install Ecole into this environment, and check that it shares one SCIP with PySCIPOpt.

    1. Find the library in PySCIPOpt's wheel; if Ecole works with it here, there is nothing to do.
    2. Look in the cache for a wheel built for exactly this library, Python and machine.
    3. Otherwise find the C headers, compile (one to three minutes on two cores) and put the wheel into the cache.
    4. Install it, and check it on a live model in a fresh process.

    Args:
        force: Compile anew, whatever works or is kept.

    Returns:
        What Ecole and PySCIPOpt are there now.

    Raises:
        InputError: If something is missing or a step fails; the message says what to do.
    """
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    log = cache / "install_ecole.log"
    log.write_text("")
    library = find_library()
    if not force and (found := _works(log)):
        return found
    say(f"PySCIPOpt's SCIP: {library.name}")
    target = cache / "wheels" / cache_key(library)
    if force or not list(target.glob("*.whl")):
        build_wheel(library, cache, target, log)
    else:
        say("using the wheel built before for exactly this SCIP, Python and machine")
    flags = ("--quiet", "--no-deps", "--no-cache-dir", "--force-reinstall")
    run([sys.executable, "-m", "pip", "install", *flags, next(target.glob("*.whl"))], log)
    return _check(log)


def cache_folder() -> Path:
    """Return the folder that keeps headers and built wheels between environments."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "gnn-branching"


def find_library() -> Path:
    """Return the libscip that PySCIPOpt's wheel carries, without importing it.

    Raises:
        InputError: If there is none.
    """
    try:
        distribution = importlib.metadata.distribution("pyscipopt")
    except importlib.metadata.PackageNotFoundError:
        raise InputError("PySCIPOpt is not installed here; first: pip install pyscipopt==6.3.0") from None
    for file in distribution.files or []:
        if re.search(r"libscip[-.].*(so|dylib)", file.name):
            return Path(str(distribution.locate_file(file))).resolve()
    raise InputError("this PySCIPOpt carries no libscip; get its wheel: pip install --force-reinstall pyscipopt")


def cache_key(library: Path) -> str:
    """Name what a built wheel depends on: any other combination must be built anew."""
    digest = hashlib.sha256(library.read_bytes()).hexdigest()[:16]
    pyscipopt_version = importlib.metadata.version("pyscipopt")
    return (
        f"ecole-{ECOLE_VERSION}-pyscipopt-{pyscipopt_version}-scip-{digest}"
        f"-{sys.implementation.cache_tag}-{platform.system()}-{platform.machine()}".lower()
    )


def _works(log: Path) -> str:
    """Return what the check says; empty if Ecole is missing or does not work."""
    try:
        return _check(log)
    except InputError:
        return ""


def _check(log: Path) -> str:
    """Check in a fresh process that Ecole scores a live PySCIPOpt model, with one SCIP mapped."""
    return run([sys.executable, "-c", CHECK], log).strip().splitlines()[-1]
