"""Speed up a folder of models with a policy that ships: compare it with SCIP's default rule, then solve with it.

Easy combinatorial auctions stand in for your folder. Run ``python examples/speed_up_a_folder.py``: two minutes on two
cores. In a notebook, put ``comparison`` on the last line of a cell to see the table.
"""

from __future__ import annotations

from pathlib import Path

import pyscipopt

from gnn_branching import LearnedBranching, evaluate, load_policy
from gnn_branching.execution import make_executor
from gnn_branching.instances import generate_instances, list_instances


def main(folder: Path = Path("runs/speed-up"), n_models: int = 6) -> None:
    """Compare, and solve."""
    models, policy = folder / "models", "combinatorial-auction"
    generate_instances(policy, "easy", n_models, models, executor=make_executor(), split="test")

    # Solved once by SCIP as it comes and once by the policy under its recipe, on each model, one thread each.
    comparison = evaluate(policy, folder / "comparison", instances=models, seeds=1)
    print(comparison.report.page.lead)
    for row in comparison.tables[0].rows:
        print(*(cell.text for cell in row), sep="   ")
    print(f"{folder / 'comparison' / 'report.html'} has the pictures")

    # And this is how your own program solves with it.
    model = pyscipopt.Model()
    model.hideOutput()
    model.readProblem(list_instances(models)[0])
    loaded = load_policy(policy)
    loaded.apply_recipe(model)
    rule = LearnedBranching.attach(model, loaded)
    model.optimize()
    print(f"{model.getStatus()}: {model.getObjVal():g}, {rule.statistics.n_decisions} learned decisions")


if __name__ == "__main__":
    main()
