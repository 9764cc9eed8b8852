"""What the documentation names is there."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

import gnn_branching

PACKAGE = Path(gnn_branching.__file__).parent
ROOT = Path(__file__).parent.parent
TABLE = (ROOT / "CONTRIBUTING.md").read_text().partition("## To add X, touch Y")[2].partition("##")[0]
LINES = [row.strip("|").split(" | ") for row in TABLE.splitlines() if row.startswith("| ")]
ROWS = [[cell.strip() for cell in row] for row in LINES[1:]]
KINDS = ("family", "policy kind", "feature", "expert", "preset", "settings", "statistic", "diagnostic")
REGISTRIES = {
    "register_family": "gnn_branching.instances",
    "register_kind": "gnn_branching.policy.kind",
    "register_schema": "gnn_branching.feature_schema",
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_change_has_its_row(kind: str) -> None:
    assert any(kind in what for what, _, _ in ROWS)


@pytest.mark.parametrize(("what", "touch", "held_by"), ROWS, ids=[row[0] for row in ROWS])
def test_what_a_row_names_is_there(what: str, touch: str, held_by: str) -> None:
    for path in re.findall(r"`([\w/]+(?:\.py|/))`", touch):
        assert (PACKAGE / path).exists(), path
    for name, path in re.findall(r"`([A-Z_]+)` (?:in|of) `([\w/]+)\.py`", touch):
        assert hasattr(import_module(f"gnn_branching.{path.replace('/', '.')}"), name), name
    for name in re.findall(r"`(register_\w+)`", touch):
        assert callable(getattr(import_module(REGISTRIES[name]), name))
    tests = re.findall(r"`(tests/[\w/]+(?:\.py|/))`", held_by)
    assert tests
    assert all((ROOT / path).exists() for path in tests)


def test_reasons_of_fallbacks_are_documented_and_raised() -> None:
    table = (ROOT / "docs" / "solving.md").read_text().partition("| reason | because |")[2].partition("\n\n")[0]
    documented = set(re.findall(r"`([a-z-]+)`", "".join(row.split(" | ")[0] for row in table.splitlines())))
    raised: set[str] = set()
    for name in ("candidates", "features", "rule"):
        code = (PACKAGE / "solver" / f"{name}.py").read_text()
        raised |= set(re.findall(r'(?:HandoverError|_hand_over)\("([a-z-]+)"', code))
        raised |= set(re.findall(r'"([a-z-]+)"', "".join(re.findall(r"^PROBLEMS = (.+)$", code, re.MULTILINE))))
    assert documented == raised
