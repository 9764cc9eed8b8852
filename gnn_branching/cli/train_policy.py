"""``train-policy``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from gnn_branching.cli.options import ExecutorName, Overrides, RayAddress, remote_executor
from gnn_branching.cli.output import JsonPath, Workers, write_figures
from gnn_branching.run_folder import run_folder

if TYPE_CHECKING:
    from gnn_branching.policy.card import Verdict

ADVICE = {
    "faster": "Use it: gnn-branching solve MODEL --policy {policy}",
    "no-difference": "Neither is clearly faster: more samples, or more instances to compare on, may tell.",
    "slower": "Stay with SCIP: `solve` lets SCIP branch with this policy, unless --force is given.",
}
LearningRate = Annotated[
    Literal["auto"] | float | None,
    Parameter(help="Learning rate; `auto` measures one on the samples, once. Overrides the configuration's."),
]


def train_policy(
    config: Path | None = None,
    *,
    instances: Path | None = None,
    dataset: Annotated[list[Path] | None, Parameter(negative="")] = None,
    out: Path | None = None,
    lr: LearningRate = None,
    stop: Literal["patience", "pl-star"] | None = None,
    budget: str | None = None,
    verdict: bool = True,
    set_: Overrides = None,
    seed: Annotated[int | None, Parameter(help="Overrides the configuration's seed.")] = None,
    executor: ExecutorName = "local",
    ray_address: RayAddress = None,
    workers: Workers = None,
    json: JsonPath = None,
) -> None:
    """Train a policy: instances, samples, network, policy folder, verdict; run it again to continue.

    Example: `train-policy --instances models/ --budget 30m --out runs/mine`, or
    `train-policy configs/set-cover.toml --out runs/set-cover`

    Parameters
    ----------
    config
        Configuration, TOML.
    instances
        Folder of `.lp`/`.mps`/`.gz` files instead of a generated family; 20 are enough to start. Needs no
        configuration: SCIP's settings stay as they are, and a part of the files is held back for the verdict.
    dataset
        Train on these samples, and collect none; may be given several times. Of each, the first
        `collection.n_train_samples` are used (and `n_valid_samples`, `n_test_samples`).
    out
        Run folder; `runs/NAME` by default, after the configuration.
    stop
        `pl-star` also stops as soon as the PL* inequality asks for no more progress, or no longer holds while
        validation is flat; overrides `training.stop`.
    budget
        Time for all of it, such as `30m` or `2h`: as many samples are taken as it allows.
    verdict
        Close with solves of instances held back, paired with SCIP's default rule, and keep what comes out in the
        policy's card.
    """
    from gnn_branching import pipeline
    from gnn_branching.pipeline.experiment import run_name

    given_values = {"seed": seed, "training.learning_rate": None if lr == "auto" else lr, "training.stop": stop}
    overrides = [*(set_ or []), *(f"{key}={value}" for key, value in given_values.items() if value is not None)]
    folder = run_folder(out, run_name(config, instances))
    training = pipeline.train_policy(
        config,
        folder,
        instances=instances,
        datasets=dataset or (),
        overrides=overrides,
        budget=budget,
        executor=remote_executor(executor, folder, workers=workers, ray_address=ray_address),
        workers=workers or 0,
        measure_rate=lr == "auto",
        verdict_seconds=None if verdict else 0.0,
    )
    if training.card is None:
        return  # one of several processes; the first one reports
    print(" ".join(f"{name} {value:.4g}" for name, value in training.figures.items()))
    print(f"Policy: {folder.policy}")
    judged = training.card.verdict
    if judged is not None:
        print(f"Verdict: {judged}")
        print(ADVICE[judged.verdict].format(policy=training.policy))
        if judged.about_expert:
            print(f"Expert: {judged.about_expert}")
    elif verdict:
        print("Verdict: none, as the run holds no instances of its own to solve; see evaluate --instances")
    write_figures(json, dict(training.figures) | ({} if judged is None else verdict_figures(judged)))


def verdict_figures(verdict: Verdict) -> dict[str, object]:
    """Return a verdict's figures for ``--json``."""
    names = ["verdict", "time_ratio", "time_ratio_low", "time_ratio_high", "nodes_ratio", "n_pairs", "n_instances"]
    names += ["expert_nodes_ratio", "n_expert"]
    return {name: getattr(verdict, name) for name in names}
