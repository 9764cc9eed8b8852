"""The package's generators of the published families draw from the distributions of Ecole's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ks_2samp

from gnn_branching.contracts import InputError
from gnn_branching.instances import get_family
from gnn_branching.instances.combinatorial_auction import draw_auction
from gnn_branching.instances.facility_location import draw_facility_location, write_facility_location
from gnn_branching.instances.family import Argument
from gnn_branching.instances.independent_set import clique_partition, draw_graph, write_independent_set
from gnn_branching.instances.set_cover import draw_set_cover
from gnn_branching.solver.ecole_module import write_generated
from gnn_branching.solver.problem import read_problem

N_INSTANCES = 30
LEAST_P = 1e-3
"""Seeds are fixed, so this is no chance of failing: it is how unlikely a difference must be to count as one."""
ARGUMENTS: Mapping[str, Mapping[str, Argument]] = {
    "set-cover": {"n_rows": 60, "n_cols": 120, "density": 0.06, "max_coef": 100},
    "combinatorial-auction": {"n_items": 30, "n_bids": 100, "add_item_prob": 0.7},
    "capacitated-facility-location": {
        "n_customers": 15,
        "n_facilities": 10,
        "ratio": 4.0,
        "continuous_assignment": True,
    },
    "independent-set": {"n_nodes": 100, "graph_type": "barabasi_albert", "affinity": 4},
}
OTHER: Mapping[str, Mapping[str, Argument]] = {
    "set-cover": {"max_coef": 80},
    "combinatorial-auction": {"add_item_prob": 0.6},
    "capacitated-facility-location": {"ratio": 4.8},
    "independent-set": {"affinity": 5},
}
"""One argument each that is a little off."""


def statistics(path: Path) -> dict[str, float]:
    """Return the figures of an instance that are compared."""
    model = read_problem(path)
    rows = [model.getValsLinear(row) for row in model.getConss(transformed=False)]
    sizes = np.array([len(row) for row in rows])
    coefficients = np.abs([value for row in rows for value in row.values()])
    degrees = dict.fromkeys((variable.name for variable in model.getVars()), 0)
    for row in rows:
        for name in row:
            degrees[name] += 1
    degree = np.array(sorted(degrees.values()))
    costs = np.array([variable.getObj() for variable in model.getVars()])
    sides = [model.getRhs(row) for row in model.getConss(transformed=False)]
    figures = {"n_rows": len(rows), "n_edges": sizes.sum()}
    figures["rows_bounded_above"] = sum(side < 1e20 for side in sides)
    for name, values in (("row_size", sizes), ("degree", degree), ("cost", costs), ("coefficient", coefficients)):
        figures |= {f"{name}_mean": values.mean(), f"{name}_spread": values.std()}
        figures |= {f"{name}_{share}": np.quantile(values, share / 100) for share in (10, 50, 90, 100)}
    model.relax()
    model.optimize()
    figures["lp_bound"] = model.getObjVal()
    return {name: float(value) for name, value in figures.items()}


def least_p(one: list[dict[str, float]], other: list[dict[str, float]]) -> tuple[float, str]:
    """Return the smallest p-value of two-sample Kolmogorov-Smirnov tests of each figure, and the figure's name."""
    found = []
    for name in one[0]:
        pair = [np.round([figures[name] for figures in sample], 6) for sample in (one, other)]
        found.append((float(ks_2samp(*pair, method="asymp").pvalue), name))
    return min(found)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_instances_are_distributed_as_ecoles(name: str, tmp_path: Path) -> None:
    family, path = get_family(name), tmp_path / "a.lp"
    ecole, own, changed = [], [], []
    for seed in range(N_INSTANCES):
        write_generated(family.ecole, ARGUMENTS[name], seed, path)
        ecole.append(statistics(path))
        family.write(path, seed, **ARGUMENTS[name])
        own.append(statistics(path))
        family.write(path, seed, **{**ARGUMENTS[name], **OTHER[name]})
        changed.append(statistics(path))
    p, figure = least_p(ecole, own)
    assert p > LEAST_P, figure
    assert least_p(ecole, changed)[0] < LEAST_P, "the test would not see an argument that is a little off"


@pytest.mark.parametrize("seed", range(3))
def test_every_row_is_covered_and_every_column_covers_two(seed: int) -> None:
    data = draw_set_cover(seed, n_rows=40, n_cols=60, density=0.07, max_coef=5)
    covers = data.covers.toarray()
    assert covers.sum() == 40 * 60 * 7 // 100
    assert covers.max() == 1
    assert covers.sum(axis=1).min() >= 1
    assert covers.sum(axis=0).min() >= 2
    assert set(data.cost) == {1, 2, 3, 4, 5}


def test_bidders_with_several_bids_share_an_item_that_is_theirs_alone() -> None:
    data = draw_auction(3, n_items=20, n_bids=60, add_item_prob=0.7)
    assert len(data.bundles) == len(data.prices) == 60
    made_up = [bundle[-1] for bundle in data.bundles if bundle[-1] >= 20]
    sizes = np.bincount(made_up)[20:]
    assert sizes.size > 5
    assert sizes.min() >= 3
    assert sizes.max() <= 6
    assert all(tuple(sorted(set(bundle))) == bundle for bundle in data.bundles)
    for item in set(made_up):
        bids = [bundle for bundle in data.bundles if bundle[-1] == item]
        assert len({len(bundle) for bundle in bids}) == 1
        assert len(set(bids)) == len(bids)
    assert min(data.prices) >= 0


def test_facilities_can_serve_all_demand(tmp_path: Path) -> None:
    data = draw_facility_location(2, n_customers=30, n_facilities=12, ratio=3.0)
    assert data.capacity.sum() == pytest.approx(3.0 * data.demand.sum(), abs=6)
    assert (data.capacity == np.rint(data.capacity)).all()
    per_demand = data.serving_cost / data.demand[:, None]
    assert 0 < per_demand.min() < per_demand.max() < 10 * np.sqrt(2)
    for continuous, n_binaries in ((True, 12), (False, 12 + 30 * 12)):
        path = tmp_path / "a.lp"
        write_facility_location(path, 2, 30, 12, ratio=3.0, continuous_assignment=continuous)
        model = read_problem(path)
        assert sum(variable.vtype() == "BINARY" for variable in model.getVars()) == n_binaries
        assert {variable.getUbOriginal() for variable in model.getVars()} == {1.0}


def test_cliques_divide_the_graph_and_rows_allow_independent_sets_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    graph = draw_graph(rng, 14, affinity=4)
    assert sum(map(len, graph)) // 2 == 4 + 4 * (14 - 5)
    cliques = clique_partition(rng, graph)
    assert sorted(vertex for clique in cliques for vertex in clique) == list(range(14))
    assert all(other in graph[one] for clique in cliques for one in clique for other in clique if one != other)
    write_independent_set(tmp_path / "a.lp", 5, n_nodes=14, graph_type="barabasi_albert", affinity=4)
    graph = draw_graph(np.random.default_rng(5), 14, affinity=4)
    best = max(
        mask.bit_count()
        for mask in range(2**14)
        if not any(mask >> one & mask >> other & 1 for one in range(14) for other in graph[one])
    )
    model = read_problem(tmp_path / "a.lp")
    model.optimize()
    assert model.getObjVal() == pytest.approx(best)


def test_impossible_arguments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"density 0\.01 gives 18 ones; 30 rows and 60 columns need 120 to 1800"):
        draw_set_cover(0, n_rows=30, n_cols=60, density=0.01, max_coef=5)
    with pytest.raises(InputError, match=r"add_item_prob 1\.5 must lie in \[0, 1\]"):
        draw_auction(0, n_items=5, n_bids=5, add_item_prob=1.5)
    with pytest.raises(InputError, match=r"affinity 9 must lie in \[1, 8\]"):
        draw_graph(np.random.default_rng(0), 9, affinity=9)
    with pytest.raises(InputError, match="graph_type 'erdos_renyi' needs Ecole's generator"):
        write_independent_set(tmp_path / "a.lp", 0, n_nodes=9, graph_type="erdos_renyi", affinity=2)
