"""Hand-made solving functions: what a solver may do to the process it runs in."""

from __future__ import annotations

import ctypes
import os
import signal
import time

from gnn_branching.contracts import RuleStatistics, SolveFigures, SolveStatus
from gnn_branching.evaluation.solves.plan import SolveJob


def figures(**changes: object) -> SolveFigures:
    values: dict[str, object] = {
        "status": SolveStatus.OPTIMAL,
        "wall_seconds": 1.0,
        "cpu_seconds": 0.9,
        "root_seconds": 0.25,
        "n_tree_nodes": 10,
        "n_fair_nodes": 12,
        "n_lp_iterations": 100,
        "n_strong_branching_lp_iterations": 40,
        "primal_bound": 7.0,
        "dual_bound": 7.0,
        "primal_dual_integral": 3.5,
        "rule": RuleStatistics(fallbacks={}),
    }
    return SolveFigures(**{**values, **changes})  # type: ignore[arg-type]


def solve_well(job: SolveJob) -> SolveFigures:
    return figures(wall_seconds=1.0 + job.seed, n_tree_nodes=len(job.policy.name))


def report_threads(job: SolveJob) -> SolveFigures:
    return figures(n_tree_nodes=int(os.environ["OMP_NUM_THREADS"]), n_lp_iterations=os.getpid())


def raise_error(job: SolveJob) -> SolveFigures:
    raise ValueError(f"no such\nproblem: {job.instance.path}")


def segfault(job: SolveJob) -> SolveFigures:
    ctypes.string_at(0)
    raise AssertionError


def exit_silently(job: SolveJob) -> SolveFigures:
    os._exit(0)


def eat_memory_slowly(job: SolveJob) -> SolveFigures:
    hoard = []
    while True:
        hoard.append(bytearray(os.urandom(1) * (16 * 2**20)))
        time.sleep(0.01)


def eat_memory_at_once(job: SolveJob) -> SolveFigures:
    return figures(n_tree_nodes=len(bytearray(64 * 2**30)))


def sleep_forever(job: SolveJob) -> SolveFigures:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(3600)
    raise AssertionError


def solve_by_name(job: SolveJob) -> SolveFigures:
    """Do what the instance's name says."""
    behaviours = {"segfault": segfault, "raise": raise_error, "sleep": sleep_forever}
    return behaviours.get(job.instance.family, solve_well)(job)


def nap(job: SolveJob) -> SolveFigures:
    time.sleep(0.05)
    return solve_well(job)


def spin(job: SolveJob) -> SolveFigures:
    """Use the processor for as long as the instance's seed says, as a solve does."""
    start = time.perf_counter()
    while (seconds := time.perf_counter() - start) < (job.instance.seed or 0):
        pass
    return figures(wall_seconds=seconds)
