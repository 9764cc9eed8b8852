"""``gnn-branching accelerate``."""

from __future__ import annotations

from pathlib import Path

from rich.markdown import Markdown

from gnn_branching.cli.options import ExecutorName, Overrides, RayAddress, remote_executor
from gnn_branching.cli.output import JsonPath, Workers, results_console, write_figures
from gnn_branching.run_folder import run_folder


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
    from gnn_branching.pipeline import accelerate as pipeline
    from gnn_branching.pipeline import acceleration
    from gnn_branching.pipeline.experiment import run_name

    folder = run_folder(out, run_name(None, models))
    done = pipeline.accelerate(
        models,
        folder,
        budget=budget,
        executor=remote_executor(executor, folder, workers=workers, ray_address=ray_address),
        workers=workers or 0,
        overrides=set_ or (),
    )
    results_console().print(Markdown(acceleration.to_markdown(done)))
    write_figures(json, acceleration.acceleration_figures(done))
