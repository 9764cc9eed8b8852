"""The C headers that Ecole is compiled with: SCIP 10's, and those of fmt and range-v3."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from gnn_branching.contracts import InputError
from gnn_branching.ecole_build.commands import run, say

SCIP_MAJOR = 10
"""All functions and enumerations that Ecole calls are declared alike in 10.0 and 10.1, and in no other version."""
SUITES = ("unstable", "testing", "stable")
"""Of Debian, in which a libscip-dev of SCIP 10 is looked for; each moves on at a time of its own."""
SYSTEM = Path("/usr/include")
SCIP_PACKAGE, OTHER_PACKAGES = "libscip-dev", ("librange-v3-dev", "libfmt-dev")
UNPACKED = "usr/include"


@dataclass(frozen=True, slots=True, kw_only=True)
class Headers:
    """Folders to include from.

    Args:
        scip: Has ``scip/scip.h``.
        others: Has ``fmt`` and ``range``.
    """

    scip: Path
    others: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderSearch:
    """A search for headers, here first, then in Debian's packages.

    Args:
        cache: Keeps what is downloaded.
        log: Gets the output of all commands.
        tried: One entry a place, for the message if nothing is found.
    """

    cache: Path
    log: Path
    tried: list[str] = field(default_factory=list)

    def run(self) -> Headers:
        """Return headers, downloaded if need be.

        Raises:
            InputError: If there are none and none can be fetched, naming all that was tried.
        """
        scip, others = self._scip(), self._others()
        wanted = [] if scip else [SCIP_PACKAGE]
        wanted += [] if others else OTHER_PACKAGES
        if wanted:
            fetched = self._download(wanted)
            scip, others = scip or fetched, others or fetched
        if scip is None or others is None:
            what = f"C headers of SCIP {SCIP_MAJOR}" if scip is None else "headers of fmt and range-v3"
            raise InputError(
                f"no {what} were found (tried: {'; '.join(self.tried)}); set SCIP_INCLUDE_DIR to a folder that has "
                f"scip/scip.h of SCIP {SCIP_MAJOR}, or use conda: "
                f"conda install -c conda-forge scip={SCIP_MAJOR} fmt range-v3"
            )
        return Headers(scip=scip, others=others)

    def _scip(self) -> Path | None:
        """Look for SCIP's headers on this machine."""
        places = [("$SCIP_INCLUDE_DIR", os.environ.get("SCIP_INCLUDE_DIR"))]
        for name in ("SCIPOPTDIR", "CONDA_PREFIX"):
            root = os.environ.get(name)
            places.append((f"${name}/include", f"{root}/include" if root else None))
        places += [(str(SYSTEM), str(SYSTEM)), ("the cache", str(self.cache / UNPACKED))]
        for label, place in places:
            found = scip_version(Path(place)) if place else ""
            if place and found.partition(".")[0] == str(SCIP_MAJOR):
                return Path(place).resolve()
            self.tried.append(f"{label}: " + ("not set" if not place else f"SCIP {found}" if found else "none"))
        return None

    def _others(self) -> Path | None:
        """Look for the headers of fmt and range-v3 on this machine."""
        conda = os.environ.get("CONDA_PREFIX")
        places = [Path(conda) / "include"] if conda else []
        places += [SYSTEM, self.cache / UNPACKED]
        return next((place for place in places if (place / "fmt").exists() and (place / "range").exists()), None)

    def _download(self, packages: list[str]) -> Path | None:
        """Unpack Debian packages into the cache, by an apt configuration of our own; nothing is installed."""
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
            self.tried.append("Debian's packages: no apt-get and dpkg-deb here")
            return None
        mirrors = debian_mirrors()
        if not mirrors:
            self.tried.append("Debian's packages: no Debian mirror in /etc/apt")
        for mirror in mirrors:
            with tempfile.TemporaryDirectory() as scratch:
                try:
                    if self._fetch(packages, mirror, Path(scratch)):
                        return self.cache / UNPACKED
                except InputError as error:
                    self.tried.append(f"Debian's packages: {error}")
        return None

    def _fetch(self, packages: list[str], mirror: str, root: Path) -> bool:
        """Download and unpack packages from a mirror; return False if its suites have no SCIP of the right version."""
        env = {**os.environ, "APT_CONFIG": str(_apt_configuration(root, mirror)), "LC_ALL": "C"}
        run(["apt-get", "update"], self.log, env=env)  # a suite that is missing is none of our business
        chosen = []
        for package in packages:
            offered = offered_versions(run(["apt-cache", "madison", package], self.log, env=env))
            fitting = [v for v in offered if package != SCIP_PACKAGE or upstream_major(v) == SCIP_MAJOR]
            if not fitting:
                self.tried.append(f"Debian's {package}: {', '.join(offered) or 'not offered'}")
                return False
            chosen.append(f"{package}={fitting[0]}")
        say(f"fetching headers: {', '.join(chosen)} (unpacked into the cache, nothing is installed)")
        run(["apt-get", "download", *chosen], self.log, env=env, cwd=root)
        self.cache.mkdir(parents=True, exist_ok=True)
        for archive in sorted(root.glob("*.deb")):
            run(["dpkg-deb", "-x", archive, self.cache], self.log)
        return True


def scip_version(include: Path) -> str:
    """Return the version of the SCIP headers in a folder, such as ``10.1``; empty if there are none."""
    for name in ("scip/config.h", "scip/def.h"):
        file = include / name
        text = file.read_text(errors="replace") if file.exists() else ""
        parts = [re.search(rf"SCIP_VERSION_{part}\s+(\d+)", text) for part in ("MAJOR", "MINOR")]
        if parts[0]:
            return ".".join(part[1] for part in parts if part)
    return ""


def offered_versions(madison: str) -> list[str]:
    """Return the versions in the output of ``apt-cache madison``, in its order, which is the newest first."""
    columns = [line.split("|") for line in madison.splitlines()]
    return list(dict.fromkeys(parts[1].strip() for parts in columns if len(parts) == 3))


def upstream_major(version: str) -> int:
    """Return the first number of a Debian package's version, its epoch left out."""
    found = re.match(r"(?:\d+:)?(\d+)", version)
    return int(found[1]) if found else 0


def debian_mirrors() -> list[str]:
    """Return the package mirrors in this machine's own apt configuration."""
    folder = Path("/etc/apt")
    files = [folder / "sources.list", *sorted(folder.glob("sources.list.d/*"))]
    text = "\n".join(file.read_text(errors="replace") for file in files if file.is_file())
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    found = re.findall(r"^(?:URIs:|deb\s+(?:\[[^\]]*\]\s+)?)\s*(\S+)", "\n".join(lines), flags=re.MULTILINE)
    return [uri for uri in dict.fromkeys(found) if uri.rstrip("/").endswith("/debian")]


def _apt_configuration(root: Path, mirror: str) -> Path:
    """Write a configuration of apt's that knows the mirror's suites and touches nothing outside ``root``."""
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (root / folder).mkdir(parents=True)
    (root / "state/status").touch()
    (root / "sources.list").write_text("".join(f"deb {mirror} {suite} main\n" for suite in SUITES))
    file = root / "apt.conf"
    file.write_text(
        f'Dir::State "{root}/state";\nDir::State::status "{root}/state/status";\nDir::Cache "{root}/cache";\n'
        f'Dir::Etc::sourcelist "{root}/sources.list";\nDir::Etc::sourceparts "-";\n'
        'APT::Sandbox::User "";\nAcquire::Languages "none";\nAcquire::Retries "3";\n'
    )
    return file
