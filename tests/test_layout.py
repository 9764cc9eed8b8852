"""The layout is enforced: data flows downward, and imports point the same way."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gnn_branching

PACKAGE = Path(gnn_branching.__file__).parent

FOUNDATION = {
    "compilation",
    "contracts",
    "config",
    "counting",
    "durable",
    "edges",
    "equal_costs",
    "execution",
    "feature_schema",
    "labels",
    "libraries",
    "provenance",
    "receptive_field",
    "run_folder",
    "seeding",
    "shards",
    "subproblem",
}
ALLOWED: dict[str, set[str]] = {
    "edges": set(),
    "compilation": set(),
    "contracts": {"edges"},
    "feature_schema": {"contracts", "edges"},
    "seeding": set(),
    "provenance": set(),
    "counting": set(),
    "run_folder": set(),
    "durable": {"contracts"},
    "labels": {"contracts"},
    "libraries": {"contracts"},
    "config": {"contracts", "feature_schema"},
    "shards": {"contracts", "edges", "feature_schema", "durable", "provenance", "seeding"},
    "execution": {"contracts", "libraries", "provenance", "seeding"},
    "subproblem": {"compilation", "contracts", "edges", "config", "feature_schema"},
    "equal_costs": {"compilation", "contracts", "feature_schema"},
    "receptive_field": {"contracts", "edges"},
    "ecole_build": {"contracts"},
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
    # A policy gives a model the settings that it was proven with.
    "policy": FOUNDATION | {"model", "dataset", "training", "diagnostics", "solver"},
    "evaluation": FOUNDATION | {"solver", "policy", "instances"},
    # Everything but the command line, which calls it.
    "tuning": FOUNDATION | {"solver", "policy", "evaluation"},
    "pipeline": FOUNDATION
    | {"instances", "solver", "collection", "dataset", "training", "policy", "evaluation", "tuning"},
}
ONLY_IN_SOLVER = {"pyscipopt", "ecole"}
WITHOUT_TORCH = {
    "ecole_build",
    "libraries",
    "contracts",
    "edges",
    "config",
    "seeding",
    "provenance",
    "durable",
    "shards",
    "execution",
    "labels",
    "receptive_field",
    "subproblem",
    "run_folder",
    "counting",
    "solver",
    "instances",
    "collection",
}
ROOMS: dict[str, tuple[str, ...]] = {
    "evaluation": ("solves", "statistics", "report", "evaluate"),
    "diagnostics": ("measures", "tracking", "rates", "advice"),
}
"""Rooms of a stage, in the order in which data passes them; each may import those before it."""
MOST_MODULES = 20
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


@pytest.mark.parametrize("stage_name", ROOMS)
def test_rooms_are_passed_in_one_direction(stage_name: str) -> None:
    order = ROOMS[stage_name]
    for place, room in enumerate(order):
        folder = PACKAGE / stage_name / room
        for module in sorted(folder.glob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]:
            for name in imports(module):
                parts = name.split(".")
                if parts[:2] == ["gnn_branching", stage_name] and len(parts) > 2:
                    assert order.index(parts[2]) <= place, f"{module} imports {name}"


def test_statistics_need_numbers_alone() -> None:
    allowed = {*sys.stdlib_module_names, "numpy", "scipy", "gnn_branching"}
    for module in (PACKAGE / "evaluation" / "statistics").glob("*.py"):
        for name in imports(module):
            assert name.split(".")[0] in allowed, f"{module} imports {name}"
            assert not name.startswith(("gnn_branching.evaluation.solves", "gnn_branching.evaluation.report"))


def test_no_folder_is_crowded() -> None:
    folders = {module.parent for module in MODULES}
    crowded = {str(f.relative_to(PACKAGE)): n for f in folders if (n := len(list(f.glob("*.py")))) > MOST_MODULES}
    assert not crowded


def test_no_module_imports_itself_by_way_of_another() -> None:
    """No circle among modules, imports within functions left out: those are there so that something loads later."""
    graph = {name_of(module): eager_imports(module) for module in MODULES}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " → ".join((*path, name))
        if name in done or name not in graph:
            return
        for following in sorted(graph[name] - {name}):
            visit(following, (*path, name))
        done.add(name)

    for name in graph:
        visit(name, ())


def name_of(module: Path) -> str:
    """Return a module's dotted name."""
    parts = module.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def eager_imports(module: Path) -> set[str]:
    """Return the modules of this package that a module imports when it is loaded itself."""
    known, found = {name_of(other) for other in MODULES}, set()
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("gnn_branching"):
            parts = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {part if part in known else node.module for part in parts}
    return found


WALK = re.compile(r"^\d+\. `([a-z_.]+)`:", re.MULTILINE)


def test_the_documented_walk_of_a_sample_is_one_way() -> None:
    text = (PACKAGE.parent / "docs" / "architecture.md").read_text()
    walk = [f"{PACKAGE.name}.{name}" for name in WALK.findall(text)]
    assert len(walk) > 20
    assert len(set(walk)) == len(walk)
    modules = {name_of(module): module for module in MODULES}
    for place, name in enumerate(walk):
        found = {name for name in imports(modules[name]) if name in walk}
        assert found <= set(walk[: place + 1]), f"{name} imports what comes later"


def test_training_loads_neither_scip_nor_a_search() -> None:
    """A machine that trains on given samples has no SCIP, and pays for no search."""
    code = "import sys, gnn_branching.pipeline; print([m for m in ('pyscipopt', 'optuna') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
