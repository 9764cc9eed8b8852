"""The families that come with the package; importing this module makes them known."""

from __future__ import annotations

from gnn_branching.instances.family import add_family
from gnn_branching.instances.generalized_assignment import FAMILY as GENERALIZED_ASSIGNMENT
from gnn_branching.instances.generalized_independent_set import FAMILY as GENERALIZED_INDEPENDENT_SET
from gnn_branching.instances.lot_sizing import FAMILY as LOT_SIZING
from gnn_branching.instances.multiple_knapsack import FAMILY as MULTIPLE_KNAPSACK
from gnn_branching.instances.published import FAMILIES as PUBLISHED

BUILTIN_FAMILIES = (
    *PUBLISHED,
    MULTIPLE_KNAPSACK,
    GENERALIZED_INDEPENDENT_SET,
    LOT_SIZING,
    GENERALIZED_ASSIGNMENT,
)

for family in BUILTIN_FAMILIES:
    add_family(family)
