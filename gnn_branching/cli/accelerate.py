"""``gnn-branching accelerate``."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markdown import Markdown

from gnn_branching.cli.options import ExecutorName, Overrides, RayAddress
from gnn_branching.cli.output import JsonPath, Workers, write_figures
from gnn_branching.counting import timing
from gnn_branching.libraries import require
from gnn_branching.run_folder import RunFolder

if TYPE_CHECKING:
    from gnn_branching.tuning.search import Trial


def accelerate(
    models: Path,
    *,
    budget: str = "2h",
    out: Path | None = None,
    set_: Overrides = None,
    executor: ExecutorName = "local",
    ray_address: RayAddress = None,
    workers: Workers = None,
    json: JsonPath = None,
) -> None:
    """Find the fastest way to solve models like these, and prove it: the whole job for a folder of your own.

    Trains a policy on some of the models, searches SCIP's settings for it and for SCIP's own rules, and compares all of
    them with untouched SCIP on models that nothing else has seen. Ends with one verdict: use this, or stay with SCIP.
    Run the same command again to continue.

    Example: `gnn-branching accelerate models/ --budget 1h --out runs/mine`

    Parameters
    ----------
    models
        Folder of `.lp`/`.mps`/`.gz` files of one kind; 20 are enough to start.
    budget
        Wall time for all of it, such as `1h`.
    out
        Run folder: gets `policy/`, which `solve` takes, `verdict.md` and `proof/report.html`. `runs/MODELS` by default.
    """
    require("train")
    require("tune")
    from gnn_branching.evaluation.solves.runner import RunnerOptions
    from gnn_branching.pipeline import Budget, acceleration
    from gnn_branching.pipeline import accelerate as pipeline
    from gnn_branching.pipeline.samples import collection_executor

    folder = RunFolder(path=out or Path("runs") / models.resolve().name)
    limit = Budget.parse(budget)
    jobs = collection_executor(executor, folder=folder, workers=workers, ray_address=ray_address)
    step, best, expected = "", inf, 0.0
    with timing(step, limit.seconds) as show:

        def on_step(text: str, seconds: float) -> None:
            nonlocal step, best, expected
            step, best, expected = text, inf, seconds
            show(0.0, f"{text}, {seconds / 60:.0f} minutes")

        def on_trial(trial: Trial) -> None:
            nonlocal best
            best = min(best, trial.ratio if trial.finished else inf)
            show(trial.seconds / expected * limit.seconds, f"{step}: {trial.number + 1} tried, best {best:.2f}")

        done = pipeline.accelerate(
            models,
            folder,
            budget=limit,
            executor=jobs,
            runner=RunnerOptions(n_workers=workers or 0, executor=None if executor == "local" else jobs),
            overrides=set_ or (),
            progress=pipeline.Progress(step=on_step, trial=on_trial),
        )
    Console().print(Markdown(acceleration.to_markdown(done)))
    write_figures(json, acceleration.acceleration_figures(done))
