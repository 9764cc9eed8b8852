"""Give policies that were trained before cards had ranges their ranges, from solves of training instances.

    python -m scripts.card_ranges set-cover combinatorial-auction

SCIP solves easy training instances of the policy's family under the paper's and under its own settings; at every tree
node the features are read as the policy reads them. The weights are not touched.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from gnn_branching.contracts import BranchingState, FloatArray
from gnn_branching.dataset.ranges import FeatureRange
from gnn_branching.durable import write_durably
from gnn_branching.execution import make_executor
from gnn_branching.instances import generate_instances
from gnn_branching.policy.card import CARD_FILE, read_card
from gnn_branching.policy.load import SHIPPED
from gnn_branching.policy.save import plain_ranges
from gnn_branching.solver.rule import LearnedBranching
from gnn_branching.solver.settings import CHOSEN_RULE_PRIORITY, RuleSettings, SolveLimits
from gnn_branching.solver.solve import prepare_solve

N_INSTANCES, NODE_LIMIT, MOST_STATES = 8, 40, 500


def ranges_of(family: str, folder: Path) -> FeatureRange:
    """Return the ranges over SCIP's own trees."""
    manifest = generate_instances(
        family, "easy", N_INSTANCES, folder, executor=make_executor("local"), seed=0, split="train", compressed=True
    )
    found = FeatureRange()

    def look(state: BranchingState) -> FloatArray:
        if found.n_states < MOST_STATES:
            found.add(state)
        raise LookupError("only looking: SCIP decides")

    for instance in manifest.instances:
        for settings in ("paper", "default"):
            prepared = prepare_solve(
                instance.path, rule="relpscost", settings=settings, seed=0, limits=SolveLimits(node_limit=NODE_LIMIT)
            )
            LearnedBranching.attach(prepared.model, look, RuleSettings(priority=2 * CHOSEN_RULE_PRIORITY))
            prepared.run()
    return found


def main(names: list[str]) -> None:
    """Write the ranges into the cards of shipped policies."""
    for name in names:
        folder = SHIPPED / name
        card = read_card(folder)
        found = ranges_of(card.family, Path("runs/card-ranges"))
        print(f"{name}: ranges of {found.n_states} tree nodes")
        write_durably(folder / CARD_FILE, replace(card, ranges=plain_ranges(found.ranges)).to_json().encode())


if __name__ == "__main__":
    main(sys.argv[1:])
