"""Milliseconds a decision of BoundML takes beside ours, on the same instances and settings, on one thread.

BoundML (PyPI) branches with the same network through PySCIPOpt. It is installed with its own dependencies in an
environment of its own, in the cache folder, the first time this runs; Ecole is compiled there by our script. Its
network gets the random weights it is made with, as ours does: neither the time of its features nor that of its layers
depends on them.

    python -m benchmarks.boundml --family set-cover
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ("torch==2.13.0", "pyscipopt==6.3.0", "torch_geometric", "appdirs", "matplotlib", "pandas", "tabulate")
"""What BoundML imports, but for Ecole; torchvision and torchaudio, which it names, are never imported."""
BOUNDML = "boundml==1.5.2"
PARAMETERS = {
    "separating/maxrounds": 0,
    "presolving/maxrestarts": 0,
    "randomization/permutevars": True,
    "timing/clocktype": 2,
}
"""The settings ``paper`` of this package."""


def benchmark(
    *, family: str = "set-cover", size: str = "easy", n_instances: int = 5, node_limit: int = 100, seed: int = 0
) -> dict[str, float]:
    """Measure both.

    Args:
        family: A registered family.
        size: One of its sizes.
        n_instances: Instances to solve.
        node_limit: Tree nodes per solve.
        seed: Root of the instances' seeds.
    """
    from benchmarks import decision

    python = prepare_environment()
    with tempfile.TemporaryDirectory(prefix="gnn-branching-benchmark-") as name:
        instances = decision.write_instances(Path(name), family, size, n_instances, seed)
        # Without -P the folder of this very file would come first on Python's path, and hide the package BoundML.
        command = [python, "-P", __file__, "--measure", *instances, "--node-limit", str(node_limit)]
        result = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, check=True, text=True)
    theirs: dict[str, float] = json.loads(result.stdout)
    ours = decision.benchmark(family=family, size=size, n_decisions=1, n_instances=n_instances, node_limit=node_limit)
    decision_ms = theirs["boundml_decision_ms_p50"]
    return theirs | {
        "decision_ms_p50": ours["decision_ms_p50"],
        "n_decisions": ours["n_decisions"],
        "speedup_decision": decision_ms / ours["decision_ms_p50"],
    }


def prepare_environment() -> Path:
    """Return the Python of BoundML's environment, made if it is not there."""
    sys.path.insert(0, str(ROOT))
    from gnn_branching.ecole_build import cache_folder

    folder = cache_folder() / "boundml"
    python, ready = folder / "bin" / "python", folder / ".ready"
    if not ready.exists():
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        commands = (
            [sys.executable, "-m", "venv", "--clear", folder],
            [*pip, *REQUIREMENTS],
            [*pip, "--no-deps", BOUNDML],
            [python, "-c", "from gnn_branching.ecole_build import install_ecole; install_ecole()"],
        )
        for command in commands:
            subprocess.run([str(word) for word in command], check=True, stdout=sys.stderr, cwd=ROOT)
        ready.touch()
    return python


def measure(instances: list[str], node_limit: int) -> dict[str, float]:
    """Solve instances with BoundML's network; runs in its environment, so nothing of ours is imported."""
    import ecole
    import numpy as np
    import torch
    from boundml.components.ecole_component import EcoleComponent
    from boundml.components.gnn_component import GnnBranching
    from boundml.ml.model import GNNPolicy
    from boundml.solvers import ModularSolver

    torch.set_num_threads(1)
    torch.manual_seed(0)
    seconds: list[float] = []

    class Timed(GnnBranching):
        def callback(self, model, passive=True):  # type: ignore[no-untyped-def]
            start = perf_counter()
            result = super().callback(model, passive)
            seconds.append(perf_counter() - start)
            return result

    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.pt"
        torch.save(GNNPolicy().state_dict(), weights)
        component = Timed(str(weights), EcoleComponent(ecole.observation.NodeBipartite()))
    solver = ModularSolver(component, scip_params=PARAMETERS | {"limits/totalnodes": node_limit})
    for instance in instances:
        solver.solve(instance)
    milliseconds = 1e3 * np.array(seconds)
    return {
        "boundml_decision_ms_p50": float(np.percentile(milliseconds, 50)),
        "boundml_decision_ms_p99": float(np.percentile(milliseconds, 99)),
        "boundml_n_decisions": len(seconds),
        "threads": torch.get_num_threads(),
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", default="set-cover")
    parser.add_argument("--size", default="easy")
    parser.add_argument("--n-instances", type=int, default=5)
    parser.add_argument("--node-limit", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    arguments = vars(parser.parse_args())
    instances = arguments.pop("measure")
    figures = measure(instances, arguments["node_limit"]) if instances else benchmark(**arguments)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
