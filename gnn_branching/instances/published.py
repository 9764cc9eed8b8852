"""The four families of Gasse et al. 2019, with the published arguments."""

from __future__ import annotations

from gnn_branching.instances.combinatorial_auction import write_auction
from gnn_branching.instances.facility_location import write_facility_location
from gnn_branching.instances.family import Argument, Family
from gnn_branching.instances.independent_set import write_independent_set
from gnn_branching.instances.set_cover import write_set_cover


def _set_cover(n_rows: int) -> dict[str, Argument]:
    return {"n_rows": n_rows, "n_cols": 1000, "density": 0.05, "max_coef": 100}


def _auction(n_items: int, n_bids: int) -> dict[str, Argument]:
    # Gasse et al.'s own generator adds an item with probability 0.7; Ecole's default is 0.65.
    return {"n_items": n_items, "n_bids": n_bids, "add_item_prob": 0.7}


def _facility_location(n_customers: int) -> dict[str, Argument]:
    return {"n_customers": n_customers, "n_facilities": 100, "ratio": 5.0, "continuous_assignment": True}


def _independent_set(n_nodes: int) -> dict[str, Argument]:
    # The published code draws Barabási–Albert graphs, the paper's text says Erdős–Rényi; the results are the code's.
    return {"n_nodes": n_nodes, "graph_type": "barabasi_albert", "affinity": 4}


FAMILIES = (
    Family(
        name="set-cover",
        write=write_set_cover,
        ecole="SetCover",
        sizes={"easy": _set_cover(500), "medium": _set_cover(1000), "hard": _set_cover(2000)},
    ),
    Family(
        name="combinatorial-auction",
        write=write_auction,
        ecole="CombinatorialAuction",
        sizes={"easy": _auction(100, 500), "medium": _auction(200, 1000), "hard": _auction(300, 1500)},
    ),
    Family(
        name="capacitated-facility-location",
        write=write_facility_location,
        ecole="CapacitatedFacilityLocation",
        sizes={"easy": _facility_location(100), "medium": _facility_location(200), "hard": _facility_location(400)},
    ),
    Family(
        name="independent-set",
        write=write_independent_set,
        ecole="IndependentSet",
        sizes={"easy": _independent_set(500), "medium": _independent_set(1000), "hard": _independent_set(1500)},
    ),
)
