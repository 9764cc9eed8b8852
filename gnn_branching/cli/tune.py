"""``gnn-branching tune``."""

from __future__ import annotations

from pathlib import Path

from gnn_branching.cli.options import ExecutorName, RayAddress, remote_executor
from gnn_branching.cli.output import JsonPath, Seed, Workers, write_figures
from gnn_branching.run_folder import run_folder


def tune(
    policy: str,
    *,
    family: str | None = None,
    size: str | None = None,
    instances: Path | None = None,
    budget: str = "30m",
    out: Path | None = None,
    trials: int = 0,
    time_limit: float | None = None,
    executor: ExecutorName = "local",
    ray_address: RayAddress = None,
    workers: Workers = None,
    seed: Seed = 0,
    json: JsonPath = None,
) -> None:
    """Search for SCIP's settings that a policy deserves, and prove them on instances that the search never saw.

    What is clearly faster than untouched SCIP, and than the policy under the settings that it was trained under,
    becomes the policy's recipe: `recipe.set` in its folder, with the evidence in its card. Only settings that keep a
    solve exact are searched. Run the same command again to continue.

    Example: `gnn-branching tune runs/mine/policy --instances models/ --budget 1h`

    Parameters
    ----------
    policy
        Name or folder of a policy, or one of SCIP's rules (`relpscost`), whose settings go into the run folder alone.
    family
        Generated family to search and prove on.
    size
        Size of the family; `easy` by default.
    instances
        Instead of a family: a folder of problem files. Those that the policy was trained on are only searched on.
    budget
        Wall time for all of it, such as `30m` or `2h`.
    out
        Run folder: gets `search/`, `proof/` with a report, and `recipe.set`. `runs/tune-POLICY` by default.
    trials
        Settings to try at most; 0 for as many as the budget allows.
    time_limit
        Seconds per solve; by default what the budget allows.
    """
    from gnn_branching.pipeline import tune as pipeline

    folder = run_folder(out, f"tune-{pipeline.policy_name(policy)}")
    tuning = pipeline.tune(
        policy,
        folder,
        family=family,
        size=size,
        instances=instances,
        budget=budget,
        time_limit_seconds=time_limit,
        most_trials=trials,
        executor=remote_executor(executor, folder, workers=workers, ray_address=ray_address),
        workers=workers or 0,
        seed=seed,
    )
    found = tuning.found
    print(f"Tried: {len(found.trials)} settings in {found.n_solves} solves, {found.seconds / 60:.0f} minutes")
    print(f"Best: {pipeline.describe(found.best)}")
    print(f"Against untouched SCIP: {tuning.against_untouched}")
    print(f"Against what the search started from: {tuning.against_start}")
    if tuning.recipe is None:
        print(f"Verdict: no recipe, as the settings are not clearly better than both; they are in {folder.recipe}")
    else:
        print(f"Verdict: {folder.recipe} is the recipe")
    print(f"Report: {folder.proof / 'report.html'}")
    kept = tuning.recipe is not None
    write_figures(json, pipeline.tuning_figures(found, tuning.against_untouched, tuning.against_start, kept=kept))
