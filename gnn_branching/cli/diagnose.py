"""``gnn-branching diagnose``."""

from __future__ import annotations

import json as json_module
from math import isfinite
from pathlib import Path

from gnn_branching.cli.output import JsonPath, write_figures
from gnn_branching.config import parse_config
from gnn_branching.contracts import InputError
from gnn_branching.libraries import require
from gnn_branching.run_folder import RunFolder


def diagnose(
    run: Path,
    *,
    dataset: Path | None = None,
    samples: int = 16,
    epsilon: float = 0.05,
    out: Path | None = None,
    json: JsonPath = None,
) -> None:
    """Say why and how fast a training converges: PL*, tangent kernel, curvature, interpolation, forecasts, advice.

    Works on a finished or a running training, and changes nothing in it.

    Example: `gnn-branching diagnose runs/set-cover`

    Parameters
    ----------
    run
        Run folder of `train-policy`.
    dataset
        Samples it was trained on, if not those in the run folder.
    samples
        Samples of the probe; the time it takes grows with them.
    epsilon
        Excess loss, in nats, at which PL* no longer asks for progress.
    out
        Folder for the report; `diagnostics` in the run folder by default.
    """
    require("train")
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    from gnn_branching.diagnostics.advice.diagnose import diagnose as measure
    from gnn_branching.diagnostics.advice.trained_run import TrainedRun
    from gnn_branching.policy.kind import get_kind
    from gnn_branching.policy.network_kind import NetworkKind
    from gnn_branching.shards import open_dataset

    folder = RunFolder(path=run)
    if not folder.config.is_file():
        raise InputError(f"{run} is no run folder ({folder.config.name} is missing); make one with train-policy")
    config = parse_config(json_module.loads(folder.config.read_text()), source=str(folder.config))
    kind = get_kind(config.model.kind)
    if not isinstance(kind, NetworkKind):
        raise InputError(f"{run} trained a {kind.name}, which is no network: there is no convergence to diagnose")
    network = kind.initial(config.model, config.seed)
    source = open_dataset(dataset or folder.dataset, "train")
    with threadpool_limits(limits=1):  # one sample at a time: more threads wait for each other
        found = TrainedRun(run, config, source, n_samples=samples, network=network)
        diagnosis = measure(found, out or folder.diagnostics, epsilon=epsilon)
    print(next(file for file in diagnosis.files if file.suffix == ".md").read_text())
    print("\n".join(str(file) for file in diagnosis.files))
    write_figures(json, {finding.name: finding.value for finding in diagnosis.findings if isfinite(finding.value)})
