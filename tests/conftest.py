"""Real instances for all tests: small ones of the four published families, made once a session."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # One process a core: OpenMP's threads would wait for each other's turn, and small tensors take forty times as long.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

SMALL_FAMILIES: Mapping[str, tuple[str, dict[str, int | float | bool | str]]] = {
    "set-cover": ("SetCover", {"n_rows": 150, "n_cols": 300, "density": 0.06, "max_coef": 100}),
    "combinatorial-auction": ("CombinatorialAuction", {"n_items": 40, "n_bids": 150, "add_item_prob": 0.7}),
    "capacitated-facility-location": (
        "CapacitatedFacilityLocation",
        {"n_customers": 25, "n_facilities": 20, "continuous_assignment": True, "ratio": 4},
    ),
    "independent-set": ("IndependentSet", {"n_nodes": 120, "graph_type": "barabasi_albert", "affinity": 5}),
}

BUSHY: tuple[str, dict[str, int | float | bool | str]] = (
    "IndependentSet",
    {"n_nodes": 70, "graph_type": "erdos_renyi", "edge_probability": 0.1},
)
"""Half a second of SCIP gives five samples, where most of the small instances give none: for tests that collect."""


@pytest.fixture(scope="session")
def bushy_instances(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twelve of them."""
    from gnn_branching.solver.ecole_module import write_generated

    folder = tmp_path_factory.mktemp("bushy")
    found = [folder / f"graph-{seed:02d}.lp" for seed in range(12)]
    for seed, path in enumerate(found):
        write_generated(*BUSHY, seed, path)
    return found


@pytest.fixture(scope="session")
def small_instances(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[Path]]:
    """Ten small instances per published family."""
    from gnn_branching.solver.ecole_module import write_generated

    folder = tmp_path_factory.mktemp("instances")
    found: dict[str, list[Path]] = {}
    for family, (generator, arguments) in SMALL_FAMILIES.items():
        for seed in range(10):
            path = folder / f"{family}-{seed}.lp"
            write_generated(generator, arguments, seed, path)
            found.setdefault(family, []).append(path)
    return found


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call() -> None:
    """Keep the environment as it is from test to test, as solving processes are started anew where it changes."""
    os.environ["PYTEST_CURRENT_TEST"] = "tests"


pytest_fixture_setup = pytest_pyfunc_call
"""The same for fixtures that solve."""
