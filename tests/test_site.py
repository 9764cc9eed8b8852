"""The documentation site builds without a warning, links included, and asks nobody for anything when it is read."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.evaluation.browser import browsing, emulate

ROOT = Path(__file__).parent.parent
TOOLS = ("mkdocs", "material", "mkdocstrings")
pytestmark = pytest.mark.skipif(
    not all(find_spec(tool) for tool in TOOLS),
    reason="mkdocs is missing (pip install 'gnn-branching[docs]')",
)
ELSEWHERE = re.compile(r"""<(?:script|img|iframe|source|link)\b[^>]*?\b(?:src|href)=["']?(?:https?:)?//[^>]*>""")
STYLE_ELSEWHERE = re.compile(r"""(?:@import|url\()\s*["']?(?:https?:)?//[^)]*""")
READ = ("", "tutorial/", "reading-diagnostics/", "commands/", "python/", "results/easy/", "gallery/")
PHONE, DESK = 390, 1400


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing on stderr."""


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with browsing(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def test_no_file_names_an_asset_elsewhere(site: Path) -> None:
    pages, styles = list(site.rglob("*.html")), list(site.rglob("*.css"))
    assert len(pages) > 30
    for page in pages:
        assert not ELSEWHERE.findall(page.read_text()), page
    for style in [*styles, *pages]:
        assert not STYLE_ELSEWHERE.findall(style.read_text()), style


def test_no_markup_shows_through(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text()
        assert not re.search(r":(?:func|class|meth|data):", text), page
        assert not re.search(r"-8 ?<-|-8&lt;-", text), page


def test_what_names_an_asset_elsewhere_would_be_found() -> None:
    assert ELSEWHERE.search('<script async src="https://cdn.example/a.js"></script>')
    assert ELSEWHERE.search("<link rel=preconnect href=//fonts.example crossorigin>")
    assert not ELSEWHERE.search('<a href="https://highs.dev">HiGHS</a><img src="../a.png">')
    assert STYLE_ELSEWHERE.search('@import url("https://fonts.example/css")')


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("page", READ, ids=lambda page: page.strip("/") or "home")
def test_a_page_fits_the_screen_and_loads_nothing_from_elsewhere(
    driver: Any, address: str, page: str, width: int
) -> None:
    emulate(driver, width=width, height=900)
    driver.get(address + page)
    loaded = driver.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert loaded
    assert all(name.startswith(address) for name in loaded), loaded
    assert driver.get_log("browser") == []
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    broken = driver.execute_script("return [...document.images].filter(e => !e.naturalWidth).map(e => e.src)")
    assert broken == []
