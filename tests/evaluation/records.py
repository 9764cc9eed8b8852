"""Hand-made rows with known truth."""

from __future__ import annotations

from gnn_branching.contracts import RuleStatistics, SolveFigures, SolveRecord, SolveStatus


def solved(
    instance: str = "i0",
    policy: str = "relpscost",
    *,
    seed: int = 0,
    seconds: float = 10.0,
    root_seconds: float = 1.0,
    nodes: int = 100,
    value: float = 7.0,
    settings: str = "paper",
    status: SolveStatus = SolveStatus.OPTIMAL,
    dual: float | None = None,
    family: str = "set-cover",
    size: str = "easy",
    rule: RuleStatistics | None = None,
    versions: str = '{"cpu":"toy"}',
) -> SolveRecord:
    figures = SolveFigures(
        status=status,
        wall_seconds=seconds,
        cpu_seconds=0.9 * seconds,
        root_seconds=root_seconds,
        n_tree_nodes=nodes,
        n_fair_nodes=nodes + 2,
        n_lp_iterations=50 * nodes,
        n_strong_branching_lp_iterations=10 * nodes,
        primal_bound=value,
        dual_bound=value if dual is None else dual,
        primal_dual_integral=12.5,
        rule=rule or RuleStatistics(fallbacks={}),
    )
    return SolveRecord(
        instance=instance,
        family=family,
        size=size,
        policy=policy,
        settings=settings,
        seed=seed,
        status=status,
        figures=figures,
        versions=versions,
    )


def failed(
    instance: str = "i0",
    policy: str = "relpscost",
    *,
    seed: int = 0,
    status: SolveStatus = SolveStatus.CRASHED,
    settings: str = "paper",
) -> SolveRecord:
    return SolveRecord(
        instance=instance,
        family="set-cover",
        size="easy",
        policy=policy,
        settings=settings,
        seed=seed,
        status=status,
        figures=None,
        detail="died of SIGSEGV",
        versions='{"cpu":"toy"}',
    )
