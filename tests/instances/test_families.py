from __future__ import annotations

import importlib.metadata
from dataclasses import replace
from graphlib import TopologicalSorter
from pathlib import Path

import numpy as np
import pytest

from gnn_branching.config import parse_overrides
from gnn_branching.contracts import InputError
from gnn_branching.execution import make_executor
from gnn_branching.instances import (
    Family,
    family,
    family_names,
    generate_instances,
    get_family,
    prepare_splits,
    register_family,
)
from gnn_branching.instances.lp_format import LinearProgram
from gnn_branching.solver.problem import read_problem
from tests.instances.toys import write_toy
from tests.test_layout import imports

PUBLISHED = ("capacitated-facility-location", "combinatorial-auction", "independent-set", "set-cover")
ALL = (*PUBLISHED, "generalized-assignment", "generalized-independent-set", "lot-sizing", "multiple-knapsack")
N_VARIABLES_AND_ROWS = {
    ("set-cover", "easy"): (1000, 500),
    ("set-cover", "medium"): (1000, 1000),
    ("set-cover", "hard"): (1000, 2000),
    ("combinatorial-auction", "easy"): (500, None),
    ("combinatorial-auction", "medium"): (1000, None),
    ("combinatorial-auction", "hard"): (1500, None),
    ("independent-set", "easy"): (500, None),
    ("independent-set", "medium"): (1000, None),
    ("independent-set", "hard"): (1500, None),
    ("capacitated-facility-location", "easy"): (100 * 101, None),
    ("multiple-knapsack", "easy"): (600, 106),
    ("multiple-knapsack", "medium"): (1200, 112),
    ("multiple-knapsack", "hard"): (2700, 168),
    ("generalized-independent-set", "easy"): (None, None),
    ("generalized-assignment", "easy"): (10 * 200, 10 + 200),
    ("generalized-assignment", "medium"): (15 * 300, 15 + 300),
    ("generalized-assignment", "hard"): (20 * 400, 20 + 400),
    ("lot-sizing", "easy"): (7 * 14 * 3 + 14, 7 * 14 * 2 + 14),
    ("lot-sizing", "medium"): (10 * 18 * 3 + 18, 10 * 18 * 2 + 18),
    ("lot-sizing", "hard"): (12 * 24 * 3 + 24, 12 * 24 * 2 + 24),
}


@pytest.fixture
def fresh_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    family_names()
    monkeypatch.setattr(family, "_registered", dict(family._registered))


def test_families_and_sizes_are_known() -> None:
    assert set(ALL) <= set(family_names())
    for name in ALL:
        assert list(get_family(name).sizes) == ["easy", "medium", "hard"]


@pytest.mark.parametrize(
    ("name", "size", "arguments"),
    [
        ("set-cover", "easy", {"n_rows": 500, "n_cols": 1000, "density": 0.05, "max_coef": 100}),
        ("set-cover", "hard", {"n_rows": 2000, "n_cols": 1000, "density": 0.05, "max_coef": 100}),
        ("combinatorial-auction", "easy", {"n_items": 100, "n_bids": 500, "add_item_prob": 0.7}),
        ("combinatorial-auction", "medium", {"n_items": 200, "n_bids": 1000, "add_item_prob": 0.7}),
        (
            "capacitated-facility-location",
            "medium",
            {"n_customers": 200, "n_facilities": 100, "ratio": 5.0, "continuous_assignment": True},
        ),
        ("independent-set", "medium", {"n_nodes": 1000, "graph_type": "barabasi_albert", "affinity": 4}),
    ],
)
def test_published_arguments(name: str, size: str, arguments: dict[str, object]) -> None:
    assert get_family(name).arguments(size) == arguments


@pytest.mark.parametrize(("name", "size"), sorted(N_VARIABLES_AND_ROWS))
def test_instances_have_their_size_and_follow_their_seed(name: str, size: str, tmp_path: Path) -> None:
    kind = get_family(name)
    paths = [tmp_path / f"{number}{kind.suffix}" for number in range(3)]
    for path, seed in zip(paths, (1, 1, 2), strict=True):
        kind.write(path, seed, **kind.arguments(size))
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].read_bytes() != paths[2].read_bytes()
    model = read_problem(paths[0])
    n_variables, n_rows = N_VARIABLES_AND_ROWS[name, size]
    assert n_variables in (None, model.getNVars(transformed=False))
    assert n_rows in (None, model.getNConss(transformed=False))
    assert model.getNIntVars() + model.getNBinVars() > 0


def test_the_knapsacks_hold_half_of_the_items(tmp_path: Path) -> None:
    kind = get_family("multiple-knapsack")
    kind.write(tmp_path / "a.lp", 4, n_items=20, n_knapsacks=3)
    model = read_problem(tmp_path / "a.lp")
    assert model.getObjectiveSense() == "maximize"
    capacities = [model.getRhs(row) for row in model.getConss()[20:]]
    weights = model.getValsLinear(model.getConss()[20])
    assert len(capacities) == 3
    assert sum(capacities) == sum(weights.values()) // 2
    assert all(10 <= weight < 20 for weight in weights.values())


def test_the_generalized_independent_set_is_solved_right(tmp_path: Path) -> None:
    kind = get_family("generalized-independent-set")
    kind.write(tmp_path / "a.lp", 4, n_vertices=7, edge_probability=0.7, removable_share=0.5)
    model = read_problem(tmp_path / "a.lp")
    variables = {variable.name: variable.getObj() for variable in model.getVars()}
    rows = [model.getValsLinear(row) for row in model.getConss()]
    model.optimize()
    best = -np.inf
    for choice in range(2**7):
        chosen = {f"x{vertex}" for vertex in range(7) if choice >> vertex & 1}
        value = sum(variables[name] for name in chosen)
        for row in rows:
            ends = [name for name in row if name.startswith("x")]
            edge = [name for name in row if name.startswith("y")]
            if all(end in chosen for end in ends):
                value += variables[edge[0]] if edge else -np.inf
        best = max(best, value)
    assert model.getObjVal() == pytest.approx(best, rel=1e-9)


def test_a_user_registers_a_function(fresh_registry: None, tmp_path: Path) -> None:
    register_family("toy", write_toy, sizes={"tiny": {"n_variables": 3}})
    assert "toy" in family_names()
    assert register_family("toy", write_toy, sizes={"tiny": {"n_variables": 3}}) == get_family("toy")
    with pytest.raises(InputError, match="family 'toy' exists already"):
        register_family("toy", write_toy, sizes={"huge": {}})
    with pytest.raises(InputError, match="has no size 'easy'; it has tiny"):
        get_family("toy").arguments("easy")


def test_how_to_add_a_family(fresh_registry: None, tmp_path: Path) -> None:
    # Once in a module of yours that is imported, or as an entry point (see below): a writer, and its sizes.
    register_family("subset", write_subset, sizes={"easy": {"n_items": 10}, "medium": {"n_items": 20}})
    # From then on, it is a family like any other: generate, train-policy, and evaluate --family.
    made = generate_instances("subset", "medium", 2, tmp_path, executor=make_executor("local", workers=1))
    assert [read_problem(file.path).getNVars() for file in made.instances] == [20, 20]
    config = parse_overrides(["instances.family=subset", "instances.n_train=3"]).instances
    splits = prepare_splits(replace(config, n_valid=1, n_test=1), 0, tmp_path, make_executor("local", workers=1))
    assert len(splits.train) == 3


def write_subset(path: Path, seed: int, n_items: int) -> None:
    weights = np.random.default_rng(seed).integers(100, 1000, n_items).tolist()
    program = LinearProgram(sense="Maximize", binaries=[f"x{item}" for item in range(n_items)])
    program.objective += zip(weights, program.binaries, strict=True)
    program.at_most(program.objective, sum(weights) // 2)
    program.write_lp(path)


def test_no_module_of_the_stage_imports_itself_in_a_circle() -> None:
    stage = "gnn_branching.instances"
    folder = Path(family.__file__).parent
    imported = {
        path.stem: {name.removeprefix(f"{stage}.") for name in imports(path) if name.startswith(f"{stage}.")}
        for path in folder.glob("*.py")
        if path.stem != "__init__"
    }
    assert "family" in imported["builtin"]
    assert not imported["family"]
    list(TopologicalSorter(imported).static_order())  # raises CycleError


def test_an_entry_point_brings_a_family(monkeypatch: pytest.MonkeyPatch, fresh_registry: None) -> None:
    point = importlib.metadata.EntryPoint("plug", "tests.instances.toys:PLUGGED", family.ENTRY_POINT_GROUP)
    broken = importlib.metadata.EntryPoint("broken", "tests.instances.toys:write_toy", family.ENTRY_POINT_GROUP)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [point])
    family._load_entry_points.cache_clear()
    assert get_family("plugged").sizes == {"easy": {"n_variables": 4}}
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [broken])
    family._load_entry_points.cache_clear()
    with pytest.raises(InputError, match=r"entry point 'broken' .* no Family"):
        family_names()
    monkeypatch.undo()
    family._load_entry_points.cache_clear()


def test_bad_families_are_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'set-cover'"):
        get_family("set-covers")
    with pytest.raises(InputError, match=r"unknown family 'zzz'; known: .*set-cover"):
        get_family("zzz")
    with pytest.raises(InputError, match="has no sizes"):
        Family(name="empty", write=write_toy, sizes={})
    with pytest.raises(InputError, match=r"suffix '\.cip'; choose one of \.lp, \.mps"):
        Family(name="other", write=write_toy, sizes={"easy": {}}, suffix=".cip")
