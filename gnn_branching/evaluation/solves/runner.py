"""Do a plan's solves, several at once, resuming where an earlier run stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass

from gnn_branching.contracts import SolveRecord, SolveStatus
from gnn_branching.evaluation.solves.guard import SCIP_SOLVER, GuardedSolve
from gnn_branching.evaluation.solves.plan import SolveJob, make_row
from gnn_branching.evaluation.solves.store import RowStore
from gnn_branching.execution.protocol import Executor, JobOutcome, Outcomes
from gnn_branching.provenance import available_cores


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerOptions:
    """How solves are run.

    Args:
        n_workers: Solves at once, each on one thread; 0 means the cores there are.
        target: ``module:function`` that solves one job in the new process.
        executor: Where to run instead of on this machine; times are only comparable on one kind of machine.
        retry_failures: Whether rows of crashed and killed solves are done again.
    """

    n_workers: int = 0
    target: str = SCIP_SOLVER
    executor: Executor | None = None
    retry_failures: bool = False


def run_plan(
    jobs: Sequence[SolveJob],
    store: RowStore,
    options: RunnerOptions,
    on_row: Callable[[SolveJob, SolveRecord], None] = lambda job, record: None,
) -> tuple[SolveRecord, ...]:
    """Solve what the store does not hold yet, and return all rows in the order of the plan.

    Each row is on disk before the next is waited for. An interrupt kills the running solves and keeps the rows.

    Args:
        jobs: The plan.
        store: Where rows are and go.
        options: How to run.
        on_row: Called in this thread with each new row.
    """
    store.remove_partial_files()
    if options.retry_failures:
        for job in jobs:
            if any(record.status.crashed for record in store.read([job])):
                store.discard(job)
    missing = [job for job in jobs if job not in store]
    with closing(_outcomes(missing, options)) as outcomes:
        for outcome in outcomes:
            job = missing[outcome.index]
            lost = outcome.failure or "the executor returned nothing"
            record = outcome.result or make_row(job, SolveStatus.CRASHED, detail=lost)
            store.add(job, record)
            on_row(job, record)
    return store.read(jobs)


def _outcomes(jobs: Sequence[SolveJob], options: RunnerOptions) -> Outcomes[SolveRecord | None]:
    if options.executor is not None:
        yield from options.executor.run(GuardedSolve(target=options.target), jobs)
        return
    stop = threading.Event()
    solve = GuardedSolve(target=options.target, stop=stop)
    n_workers = min(options.n_workers or available_cores(), max(len(jobs), 1))
    pool = ThreadPoolExecutor(n_workers, thread_name_prefix="solve")
    try:
        # In the plan's order; each thread only waits for its process.
        indices = {pool.submit(solve, job): index for index, job in enumerate(jobs)}
        for future in as_completed(indices):
            yield JobOutcome(index=indices[future], result=future.result())
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
