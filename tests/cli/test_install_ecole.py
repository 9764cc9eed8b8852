"""What `install-ecole` decides before it compiles: which headers will do, and what it says where none do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gnn_branching.contracts import InputError
from gnn_branching.ecole_build import headers, install
from gnn_branching.ecole_build.build import check_compiler
from gnn_branching.ecole_build.headers import HeaderSearch, scip_version

OFFERED = """\
libscip-dev | {unstable} | https://mirror/debian unstable/main amd64 Packages
libscip-dev | {testing} | https://mirror/debian testing/main amd64 Packages
"""
FAKE_APT = """\
#!/bin/sh
case "$1 $2" in
  "madison libscip-dev") cat "{offered}" ;;
  madison*) echo "$2 | 1.0-1 | https://mirror/debian unstable/main amd64 Packages" ;;
  download*) shift; for package; do touch "$(echo "$package" | tr '=:' '__').deb"; done; echo "$@" >> "{downloaded}" ;;
esac
"""
FAKE_DPKG = """\
#!/bin/sh
case "$2" in
  *libscip-dev*) mkdir -p "$3/usr/include/scip"
    echo '#define SCIP_VERSION_MAJOR 10' > "$3/usr/include/scip/config.h" ;;
  *) mkdir -p "$3/usr/include/fmt" "$3/usr/include/range" ;;
esac
"""


def write_headers(folder: Path, major: int, minor: int = 1) -> Path:
    (folder / "scip").mkdir(parents=True)
    text = f"#define SCIP_VERSION_MAJOR    {major}\n#define SCIP_VERSION_MINOR    {minor}\n"
    (folder / "scip" / "config.h").write_text(text)
    return folder


@pytest.fixture
def search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HeaderSearch:
    """Search on a machine without any SCIP."""
    for name in ("SCIP_INCLUDE_DIR", "SCIPOPTDIR", "CONDA_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(headers, "SYSTEM", tmp_path / "usr-include")
    return HeaderSearch(cache=tmp_path / "cache", log=tmp_path / "log")


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put tools in place of Debian's; return the file that says which versions of libscip-dev they offer."""
    offered, tools = tmp_path / "offered", tmp_path / "bin"
    tools.mkdir()
    apt = FAKE_APT.format(offered=offered, downloaded=tmp_path / "downloaded")
    for name, text in (("apt-get", apt), ("apt-cache", apt), ("dpkg-deb", FAKE_DPKG)):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setattr(headers, "debian_mirrors", lambda: ["https://mirror/debian"])
    return offered


def test_the_first_place_with_scip_10_is_taken(
    search: HeaderSearch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = tmp_path / "usr-include"
    for name in ("fmt", "range"):
        (others / name).mkdir(parents=True)
    write_headers(others, 9)
    monkeypatch.setenv("SCIP_INCLUDE_DIR", str(write_headers(tmp_path / "eleven", 11)))
    monkeypatch.setenv("SCIPOPTDIR", str(tmp_path / "ten"))
    write_headers(tmp_path / "ten" / "include", 10, 2)
    found = search.run()
    assert found == headers.Headers(scip=tmp_path / "ten" / "include", others=others)
    assert search.tried == ["$SCIP_INCLUDE_DIR: SCIP 11.1"]
    assert scip_version(found.scip) == "10.2"


def test_any_suite_that_still_has_scip_10_will_do(search: HeaderSearch, debian: Path, tmp_path: Path) -> None:
    debian.write_text(OFFERED.format(unstable="11.0.0+dfsg-1", testing="10.1.0+dfsg-2"))
    found = search.run()
    assert found.scip == found.others == tmp_path / "cache" / "usr" / "include"
    downloaded = (tmp_path / "downloaded").read_text().split()
    assert downloaded == ["libscip-dev=10.1.0+dfsg-2", "librange-v3-dev=1.0-1", "libfmt-dev=1.0-1"]
    (tmp_path / "downloaded").unlink()
    assert search.run() == found
    assert not (tmp_path / "downloaded").exists()


def test_scip_11_everywhere_is_said_in_one_line(search: HeaderSearch, debian: Path, tmp_path: Path) -> None:
    debian.write_text(OFFERED.format(unstable="11.0.0+dfsg-1", testing="1:11.0.0~rc1-1"))
    with pytest.raises(
        InputError, match=r"SCIP 10 were found .*libscip-dev: 11.0.0\+dfsg-1, 1:11.0.0~rc1-1\); set SCIP_INC"
    ):
        search.run()
    assert not (tmp_path / "downloaded").exists()


def test_a_mirror_that_fails_is_said_too(search: HeaderSearch, debian: Path) -> None:
    with pytest.raises(
        InputError, match=r"Debian's packages: `apt-cache madison libscip-dev` failed: cat: .*No such file"
    ):
        search.run()


def test_a_missing_compiler_is_known_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(InputError, match="no C\\+\\+ compiler"):
        check_compiler()


def test_a_kept_wheel_belongs_to_one_library(tmp_path: Path) -> None:
    names = []
    for content in (b"one", b"other"):
        library = tmp_path / content.decode()
        library.write_bytes(content)
        names.append(install.cache_key(library))
    assert len(set(names)) == 2
    assert install.find_library().name.startswith("libscip")
