"""The layout is enforced: data flows downward, and imports point the same way."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import gnn_branching

PACKAGE = Path(gnn_branching.__file__).parent

FOUNDATION = {
    "contracts",
    "config",
    "counting",
    "durable",
    "execution",
    "provenance",
    "run_folder",
    "seeding",
    "shards",
    "subproblem",
}
ALLOWED: dict[str, set[str]] = {
    "contracts": set(),
    "seeding": set(),
    "provenance": set(),
    "counting": set(),
    "run_folder": set(),
    "durable": {"contracts"},
    "config": {"contracts"},
    "shards": {"contracts", "durable", "provenance", "seeding"},
    "execution": {"contracts", "provenance", "seeding"},
    "subproblem": {"contracts", "config"},
    "solver": FOUNDATION,
    # Ecole's generators belong to the solver, and write the instances.
    "instances": FOUNDATION | {"solver"},
    "collection": FOUNDATION | {"instances", "solver"},
    "dataset": FOUNDATION,
    "model": FOUNDATION,
    "training": FOUNDATION | {"dataset", "model"},
    "diagnostics": FOUNDATION | {"dataset", "model", "training"},
    "theory": FOUNDATION | {"diagnostics"},
    # A policy kind knows how it is trained.
    "policy": FOUNDATION | {"model", "dataset", "training", "diagnostics"},
    "evaluation": FOUNDATION | {"solver", "policy", "instances"},
    # Everything but the command line, which calls it.
    "pipeline": FOUNDATION | {"instances", "solver", "collection", "dataset", "training", "policy", "evaluation"},
}
ONLY_IN_SOLVER = {"pyscipopt", "ecole"}
WITHOUT_TORCH = {
    "contracts",
    "config",
    "seeding",
    "provenance",
    "durable",
    "shards",
    "execution",
    "subproblem",
    "run_folder",
    "counting",
    "solver",
    "instances",
    "collection",
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def stage(module: Path) -> str:
    """Return the first part of a module's path below the package."""
    first = module.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports(module: Path) -> set[str]:
    """Return the dotted names that a module imports, in functions too."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= (
                {node.module} if node.module != "gnn_branching" else {f"gnn_branching.{a.name}" for a in node.names}
            )
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_imports_point_downward(module: Path) -> None:
    here = stage(module)
    if here in ("__init__", "__main__", "cli"):
        return
    for name in imports(module):
        parts = name.split(".")
        if parts[0] in ONLY_IN_SOLVER:
            assert here == "solver", f"{here} imports {name}"
        if parts[0] == "torch":
            assert here not in WITHOUT_TORCH, f"{here} imports {name}"
        if parts[0] == "gnn_branching" and len(parts) > 1 and parts[1] != here:
            assert parts[1] in ALLOWED[here], f"{here} imports {name}"


def test_every_stage_is_listed() -> None:
    stages = {stage(module) for module in MODULES} - {"__init__", "__main__", "cli"}
    assert stages <= set(ALLOWED)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_modules_stay_short(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= 400
