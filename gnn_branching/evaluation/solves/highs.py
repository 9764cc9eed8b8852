"""HiGHS, the other open solver, as a competitor: the same file, limits and clock, in the same kind of process."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from gnn_branching.contracts import InputError, RuleStatistics, SolveFigures, SolveStatus
from gnn_branching.evaluation.solves.plan import SolveJob
from gnn_branching.libraries import imported
from gnn_branching.seeding import MAX_SCIP_SEED
from gnn_branching.solver.problem import read_problem

READ_BY_HIGHS = (".lp", ".mps", ".lp.gz", ".mps.gz")


def solve_with_highs(job: SolveJob) -> SolveFigures:
    """Solve a job's instance to optimality (gap 0) with HiGHS on one thread; SCIP's settings do not concern it.

    Raises:
        InputError: If HiGHS is missing or cannot read the file.
    """
    highspy: Any = imported("highs", "highspy")
    solver = highspy.Highs()
    options = {
        "output_flag": False,
        "threads": 1,
        "mip_rel_gap": 0.0,
        "mip_abs_gap": 0.0,
        "random_seed": job.seed % MAX_SCIP_SEED,
        "time_limit": float(job.limits.time_limit_seconds),
        **({"mip_max_nodes": job.limits.node_limit} if job.limits.node_limit else {}),
    }
    for name, value in options.items():
        solver.setOptionValue(name, value)
    _read(solver, highspy, Path(job.instance.path))
    start_cpu, start = process_time(), perf_counter()
    solver.run()
    wall_seconds, cpu_seconds = perf_counter() - start, process_time() - start_cpu
    info = solver.getInfo()
    found = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    is_mip = info.mip_node_count >= 0
    maximises = solver.getObjectiveSense()[1] == highspy.ObjSense.kMaximize
    return SolveFigures(
        status=_status(highspy, solver.getModelStatus()),
        wall_seconds=wall_seconds,
        cpu_seconds=cpu_seconds,
        root_seconds=math.nan,  # it does not say when it began to branch
        n_tree_nodes=max(int(info.mip_node_count), 0),
        n_fair_nodes=max(int(info.mip_node_count), 0),
        n_lp_iterations=int(info.simplex_iteration_count),
        n_strong_branching_lp_iterations=0,
        primal_bound=float(info.objective_function_value) if found else -math.inf if maximises else math.inf,
        dual_bound=float(info.mip_dual_bound if is_mip else info.objective_function_value),
        primal_dual_integral=math.nan,
        rule=RuleStatistics(fallbacks={}),
    )


def _read(solver: Any, highspy: Any, path: Path) -> None:
    """Read a file; one of a format that HiGHS does not know is translated by SCIP."""
    with tempfile.TemporaryDirectory() as folder:
        if not path.name.lower().endswith(READ_BY_HIGHS):
            translated = Path(folder) / "model.mps"
            read_problem(path).writeProblem(str(translated), verbose=False)
            path = translated
        if solver.readModel(str(path)) == highspy.HighsStatus.kError:
            raise InputError(f"HiGHS cannot read {path}")


def _status(highspy: Any, status: Any) -> SolveStatus:
    known = highspy.HighsModelStatus
    statuses = {
        known.kOptimal: SolveStatus.OPTIMAL,
        known.kInfeasible: SolveStatus.INFEASIBLE,
        known.kUnbounded: SolveStatus.UNBOUNDED,
        known.kUnboundedOrInfeasible: SolveStatus.INFEASIBLE_OR_UNBOUNDED,
        known.kTimeLimit: SolveStatus.TIME_LIMIT,
        known.kSolutionLimit: SolveStatus.NODE_LIMIT,
    }
    return statuses.get(status, SolveStatus.OTHER_LIMIT)
