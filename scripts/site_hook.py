"""What the documentation site does to a page: names that docstrings mark for Sphinx are shown as plain code."""

from __future__ import annotations

import re

ROLE = re.compile(r":(?:func|class|meth|mod|data|attr):<code>~?(?:[\w.]+\.)?(\w+)</code>")


def on_page_content(html: str, **_: object) -> str:
    """Show the last part of a dotted name (MkDocs calls this for every page)."""
    return ROLE.sub(r"<code>\1</code>", html)
