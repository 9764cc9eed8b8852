"""What a command takes around its work: the whole of quick ones, and of ``solve`` all but SCIP's own time.

Each command runs in a process of its own. ``solve`` with a policy is measured in three states: the first call ever on a
machine (no kernel is compiled; bytecode is, as pip does that), later calls, and, as the reference, later calls with
SCIP's own rule. SCIP's own time is that of the same solve where everything is loaded already; it stops after a few
tree nodes. Loading goes on beside SCIP where there are two cores, so that wall times count; on a machine with other
work CPU times change less.

    python -m benchmarks.startup --family set-cover --n-repetitions 5
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks.instances import write_instance
from gnn_branching.config import SCIP_RULES
from gnn_branching.policy import list_policies, load_policy
from gnn_branching.solver.settings import SolveLimits
from gnn_branching.solver.solve import prepare_solve

REFERENCE_RULE = "relpscost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """What a process took.

    Args:
        wall_seconds: Wall time.
        cpu_seconds: CPU time.
    """

    wall_seconds: float
    cpu_seconds: float

    def less(self, other: Took) -> Took:
        """Return the difference."""
        return Took(
            wall_seconds=self.wall_seconds - other.wall_seconds, cpu_seconds=self.cpu_seconds - other.cpu_seconds
        )


def benchmark(
    *,
    family: str = "set-cover",
    size: str = "easy",
    seed: int = 0,
    n_repetitions: int = 5,
    n_first: int = 2,
    node_limit: int = 5,
) -> dict[str, float]:
    """Measure; the docstring of this module says what.

    Args:
        family: Of the instance; the shipped policy of that name branches, or else any other one.
        size: Its size.
        seed: Of the instance.
        n_repetitions: Processes per command, of which the median counts, after one that warms up.
        n_first: First calls ever, each with an empty cache of kernels.
        node_limit: Tree nodes after which SCIP stops.
    """
    policy = family if family in list_policies() else next(iter(list_policies()))
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = write_instance(folder, family, size, "test", 0, seed)

        scip = {rule: alone(model, rule, node_limit, n_repetitions) for rule in (policy, REFERENCE_RULE)}

        def solve(rule: str, cache: Path) -> Took:
            options = ["--policy", rule, "--settings", "paper", "--node-limit", str(node_limit)]
            return run(["solve", str(model), *options, "--force"], cache).less(scip[rule])

        def note(key: str, measure: Callable[[], Took], n: int) -> None:
            taken = [measure() for _ in range(n)]
            figures[f"{key}_seconds"] = median(took.wall_seconds for took in taken)
            figures[f"{key}_cpu_seconds"] = median(took.cpu_seconds for took in taken)

        warm = folder / "kernels"
        for key, arguments in (("help", ["--help"]), ("policies", ["policies"]), ("doctor", ["doctor"])):
            run(arguments, warm)
            note(key, lambda arguments=arguments: run(arguments, warm), n_repetitions)  # type: ignore[misc]
        solve(policy, warm)
        note("solve", lambda: solve(policy, warm), n_repetitions)
        note("reference_solve", lambda: solve(REFERENCE_RULE, warm), n_repetitions)
        caches = iter(folder / f"empty-{i}" for i in range(n_first))
        note("first_solve", lambda: solve(policy, next(caches)), n_first)
    figures["policy_adds_seconds"] = figures["solve_seconds"] - figures["reference_solve_seconds"]
    figures["policy_adds_cpu_seconds"] = figures["solve_cpu_seconds"] - figures["reference_solve_cpu_seconds"]
    return figures


def alone(model: Path, rule: str, node_limit: int, n_repetitions: int) -> Took:
    """Return what a solve takes where everything is loaded already; medians."""
    branching = rule if rule in SCIP_RULES else load_policy(rule)
    if not isinstance(branching, str):
        branching.warm_up()
    found = [
        prepare_solve(model, rule=branching, settings="paper", seed=0, limits=SolveLimits(node_limit=node_limit)).run()
        for _ in range(n_repetitions)
    ]
    return Took(
        wall_seconds=median(figures.wall_seconds for figures in found),
        cpu_seconds=median(figures.cpu_seconds for figures in found),
    )


def run(arguments: Sequence[str], cache: Path) -> Took:
    """Run a command in a process of its own, with a cache of kernels."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": os.pathsep.join(sys.path)}
    before, start = _children_cpu_seconds(), perf_counter()
    subprocess.run(
        [sys.executable, "-m", "gnn_branching", *arguments],
        env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return Took(wall_seconds=perf_counter() - start, cpu_seconds=_children_cpu_seconds() - before)


def _children_cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", default="set-cover")
    parser.add_argument("--size", default="easy")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n-repetitions", type=int, default=5)
    parser.add_argument("--n-first", type=int, default=2)
    parser.add_argument("--node-limit", type=int, default=5)
    print(json.dumps(benchmark(**vars(parser.parse_args())), indent=1))


if __name__ == "__main__":
    main()
