"""Train a policy on a folder of models, hear whether it is worth using, and use it.

Run ``python examples/train_on_your_folder.py``. Unless there is a folder ``models``, sixty lot-sizing models are
made to stand in for yours. Interrupt it whenever you like, and run it again: it carries on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyscipopt

from gnn_branching import LearnedBranching, load_policy, train_policy
from gnn_branching.execution import make_executor
from gnn_branching.instances import generate_instances, list_instances


def main(
    models: Path = Path("models"),
    out: Path = Path("runs/your-folder"),
    budget: str | None = "10m",
    overrides: Sequence[str] = (),
) -> None:
    """Train, judge, and solve."""
    if not models.is_dir():
        generate_instances("lot-sizing", "easy", 60, models, executor=make_executor())

    # Some models are trained on, some held back; the verdict is about those held back.
    training = train_policy(out=out, instances=models, budget=budget, overrides=overrides)
    print(f"{training.figures['n_train_samples']:.0f} samples, top-5 accuracy {training.figures['test_acc_5']:.2f}")
    print(training.verdict)

    model = pyscipopt.Model()
    model.hideOutput()
    model.readProblem(list_instances(models)[0])
    rule = LearnedBranching.attach(model, load_policy(training.policy))
    model.optimize()
    print(rule.statistics)


if __name__ == "__main__":
    main()
