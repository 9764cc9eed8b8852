"""What the evaluation's harness adds inside the timed region, against ``optimize()`` with nothing around it.

Both solve the same instances under the same settings, seed and rule, in fresh processes, in turns: once as ``evaluate``
does (the clock at the root, the watcher outside that looks at memory and time), once with plain PySCIPOpt and nobody
watching. The trees are the same, so that CPU times may be compared, which other load on the machine changes less than
wall times. What the watcher outside could take away is also bounded directly: all CPU time that it used, over the wall
time of the solves.

    python -m benchmarks.harness --family combinatorial-auction --n-instances 4 --n-repetitions 3
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyscipopt

from benchmarks.instances import write_instance
from gnn_branching.contracts import SolveFigures
from gnn_branching.evaluation.solves.guard import GuardedSolve
from gnn_branching.evaluation.solves.plan import PolicySpec, ResourceLimits, SolveJob, instance_files
from gnn_branching.evaluation.solves.process import solving_environment
from gnn_branching.evaluation.solves.store import dump_job, parse_job
from gnn_branching.solver.settings import NAMED_SETTINGS

SETTINGS = "paper"
RULE = "pscost"
"""A cheap rule: many tree nodes a second, so that whatever costs something at each would show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainSolve:
    """What plain PySCIPOpt took: the reference."""

    wall_seconds: float
    cpu_seconds: float
    n_tree_nodes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One instance, solved both ways.

    Args:
        ours: As the harness reports it.
        plain: The reference.
        watcher_cpu_seconds: CPU time of the watching process meanwhile, starting the solve's process included.
    """

    ours: SolveFigures
    plain: PlainSolve
    watcher_cpu_seconds: float


def benchmark(
    *,
    family: str = "combinatorial-auction",
    size: str = "easy",
    n_instances: int = 4,
    n_repetitions: int = 3,
    seed: int = 0,
) -> dict[str, float]:
    """Solve some instances both ways, in turns.

    Args:
        family: A registered family.
        size: One of its sizes.
        n_instances: Instances to solve.
        n_repetitions: Solves of each.
        seed: Root of the instances' seeds.

    Returns:
        ``overhead_percent`` (geometric mean of CPU time, best of the repetitions, over the reference's, less one), its
        wall-time twin, and ``watcher_percent``, which bounds what the watcher can take from a solve on its own core.
    """
    pairs: list[list[Pair]] = []
    with tempfile.TemporaryDirectory(prefix="gnn-branching-benchmark-") as name:
        folder = Path(name)
        for index in range(n_instances):
            path = write_instance(folder, family, size, "test", index, seed)
            (instance,) = instance_files([path], family=family, size=size)
            job = SolveJob(
                instance=instance,
                policy=PolicySpec(name=RULE),
                settings=SETTINGS,
                seed=seed,
                limits=ResourceLimits(time_limit_seconds=600.0),
            )
            pairs.append([_pair(job, folder, ours_first=turn % 2 == 0) for turn in range(n_repetitions)])
    return _figures(pairs)


def _pair(job: SolveJob, folder: Path, *, ours_first: bool) -> Pair:
    plain = None if ours_first else _run_plainly(job, folder)
    start = time.process_time()
    record = GuardedSolve()(job)
    watcher_cpu_seconds = time.process_time() - start
    assert record is not None
    assert record.figures is not None, record.detail
    plain = plain or _run_plainly(job, folder)
    assert record.figures.n_tree_nodes == plain.n_tree_nodes, "not the same tree: nothing to compare"
    return Pair(ours=record.figures, plain=plain, watcher_cpu_seconds=watcher_cpu_seconds)


def _run_plainly(job: SolveJob, folder: Path) -> PlainSolve:
    """Run :func:`solve_plainly` in a process of its own, as unwatched as can be."""
    file = folder / "job.json"
    file.write_bytes(dump_job(job))
    command = [sys.executable, "-c", f"from benchmarks.harness import solve_plainly; solve_plainly({str(file)!r})"]
    place = Path(__file__).resolve().parent.parent
    environment = solving_environment()
    environment["PYTHONPATH"] = os.pathsep.join([str(place), environment["PYTHONPATH"]])
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return PlainSolve(**json.loads(done.stdout.splitlines()[-1]))


def solve_plainly(job_file: str) -> None:
    """Solve one job with nothing but PySCIPOpt, and print what it took."""
    job = parse_job(Path(job_file).read_bytes())
    model = pyscipopt.Model()
    model.hideOutput()
    model.readProblem(job.instance.path)
    model.setParams(dict(NAMED_SETTINGS[job.settings]))
    model.setParams(
        {
            "randomization/randomseedshift": job.seed,
            "randomization/permutationseed": job.seed,
            "timing/clocktype": 2,
            "limits/time": job.limits.time_limit_seconds,
            f"branching/{job.policy.name}/priority": 1_000_000,
        }
    )
    cpu, wall = time.process_time(), time.perf_counter()
    model.optimize()
    figures = {
        "wall_seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
        "n_tree_nodes": int(model.getNTotalNodes()),
    }
    print(json.dumps(figures))


def _figures(pairs: list[list[Pair]]) -> dict[str, float]:
    everything = [pair for own in pairs for pair in own]
    wall_seconds = sum(pair.ours.wall_seconds for pair in everything)
    # Load only ever adds time: the best of some repetitions is the least disturbed.
    cpu = [(min(p.ours.cpu_seconds for p in own), min(p.plain.cpu_seconds for p in own)) for own in pairs]
    wall = [(min(p.ours.wall_seconds for p in own), min(p.plain.wall_seconds for p in own)) for own in pairs]
    return {
        "overhead_percent": _overhead_percent(cpu),
        "wall_overhead_percent": _overhead_percent(wall),
        "watcher_percent": 100 * sum(pair.watcher_cpu_seconds for pair in everything) / wall_seconds,
        "cpu_seconds": sum(ours for ours, _ in cpu),
        "reference_cpu_seconds": sum(plain for _, plain in cpu),
        "n_tree_nodes": sum(own[0].ours.n_tree_nodes for own in pairs),
        "n_pairs": len(everything),
    }


def _overhead_percent(pairs: list[tuple[float, float]]) -> float:
    ours, plain = np.array(pairs).T
    return float(100 * (np.exp(np.log(ours / plain).mean()) - 1))


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", default="combinatorial-auction")
    parser.add_argument("--size", default="easy")
    parser.add_argument("--n-instances", type=int, default=4)
    parser.add_argument("--n-repetitions", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    print(json.dumps(benchmark(**vars(parser.parse_args())), indent=1))


if __name__ == "__main__":
    main()
