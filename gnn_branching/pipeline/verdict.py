"""The truth about a policy before anyone uses it: timed against SCIP's default rule on instances held back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf, isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from gnn_branching.config import BASELINE_RULE, EXPERT, ExperimentConfig
from gnn_branching.contracts import InstanceFile, SolveRecord, SolveStatus
from gnn_branching.counting import counting
from gnn_branching.durable import exclusive
from gnn_branching.policy.card import Outcome, PolicyCard, Verdict
from gnn_branching.provenance import available_cores
from gnn_branching.run_folder import RunFolder

if TYPE_CHECKING:
    from gnn_branching.evaluation.solves.plan import SolveJob

N_PAIRS = 12
"""Pairs of solves that a verdict is made of, time permitting: held-back instances times seeds."""
VERDICT_SECONDS = 600.0
"""Time for all of them, unless a budget says otherwise."""
GUARDED = "guarded"
PRESETS_TRIED = (GUARDED, "verified-top")
"""Ways of using the policy; the card keeps the faster one."""
LEAST_TIME_LIMIT_SECONDS = 20.0
"""A solve is given this much, however short the time."""
SHARE_OF_A_SOLVE = 0.1
"""And otherwise this part of the time for all of them."""
N_EXPERT, EXPERT_SHARE = 4, 0.2
"""Instances that strong branching as a choice solves too, and the part of the time that these solves may take."""
LEAST_NODES = 10
"""Smaller trees say nothing about a choice."""


def held_back(folder: RunFolder) -> tuple[InstanceFile, ...]:
    """Return the instances of a run that nothing was trained on: first those for the test, then for validation."""
    from gnn_branching.instances import read_manifest

    found: list[InstanceFile] = []
    for split in ("test", "valid"):
        place = folder.instances / split
        if place.is_dir():
            found += read_manifest(place).instances
    return tuple(instance for instance in found if Path(instance.path).is_file())


def judge(
    config: ExperimentConfig, folder: RunFolder, card: PolicyCard, *, seconds: float = VERDICT_SECONDS
) -> Verdict | None:
    """Solve held-back instances with the run's policy, used in two ways, and with SCIP's default rule; resumes.

    Pairs are solved until there are ``N_PAIRS`` of them or the time is up; solves done before an interrupt count.

    Args:
        config: The experiment; solves are under the settings that its samples were taken under.
        folder: Of the run, with its policy.
        card: The policy's.
        seconds: Wall time for the solves, on all cores together.

    Returns:
        What came out; None if there is no instance, or no time for a single pair.
    """
    from gnn_branching.evaluation.solves.plan import PolicySpec, ResourceLimits, build_plan
    from gnn_branching.evaluation.solves.runner import RunnerOptions, run_plan
    from gnn_branching.evaluation.solves.store import RowStore

    settings = config.collection.settings
    learned = [
        PolicySpec(name=preset, source=str(folder.policy), fingerprint=card.fingerprint, preset=preset)
        for preset in PRESETS_TRIED
    ]
    limits = ResourceLimits(time_limit_seconds=max(LEAST_TIME_LIMIT_SECONDS, SHARE_OF_A_SOLVE * seconds))
    store, n_cores = RowStore(folder.verdict), available_cores()
    records: list[SolveRecord] = []
    with (
        exclusive(folder.verdict, work="verdict is made in"),
        counting("verdict", (1 + len(learned)) * N_PAIRS) as show,
    ):
        pairs = pairs_of(held_back(folder), N_PAIRS)
        for start in range(0, len(pairs), n_cores):
            if sum(_wall_seconds(record) for record in records) > (1 - EXPERT_SHARE) * seconds * n_cores:
                break
            jobs = [
                job
                for instance, seed in pairs[start : start + n_cores]
                for job in build_plan(
                    [instance],
                    [PolicySpec(name=BASELINE_RULE), *learned],
                    seeds=[seed],
                    settings=[settings],
                    limits=limits,
                )
            ]
            records += run_plan(jobs, store, RunnerOptions())
            show(len(records))
        jobs = _experts_jobs(records, pairs, settings, EXPERT_SHARE * seconds * n_cores)
        experts = list(run_plan(jobs, store, RunnerOptions()))
    if not records:
        return None
    limit_seconds = limits.time_limit_seconds
    tried = [
        paired_verdict(records, preset, BASELINE_RULE, settings=settings, preset=preset, limit_seconds=limit_seconds)
        for preset in PRESETS_TRIED
    ]
    best = min(tried, key=lambda verdict: inf if verdict.time_ratio is None else verdict.time_ratio)
    known = paired_verdict(
        [*records, *experts], GUARDED, EXPERT, settings=settings, preset=GUARDED, limit_seconds=limit_seconds
    )
    n_expert = known.n_instances if known.nodes_ratio is not None else 0
    return replace(best, expert_nodes_ratio=known.nodes_ratio, n_expert=n_expert)


def _experts_jobs(
    records: Sequence[SolveRecord], pairs: Sequence[tuple[InstanceFile, int]], settings: str, core_seconds: float
) -> list[SolveJob]:
    """Return the solves of strong branching as a choice: of the smallest trees that are trees, with a limit in time."""
    from gnn_branching.evaluation.solves.plan import PolicySpec, ResourceLimits, build_plan

    nodes = {
        (record.instance, record.seed): record.figures.n_tree_nodes
        for record in records
        if record.policy == GUARDED and record.figures is not None and record.status is SolveStatus.OPTIMAL
    }
    found = [(nodes.get((instance.path, seed), 0), instance, seed) for instance, seed in pairs]
    small = sorted((entry for entry in found if entry[0] >= LEAST_NODES), key=lambda entry: entry[0])[:N_EXPERT]
    limits = ResourceLimits(time_limit_seconds=max(core_seconds / N_EXPERT, 1.0))
    return [
        job
        for _, instance, seed in small
        for job in build_plan([instance], [PolicySpec(name=EXPERT)], seeds=[seed], settings=[settings], limits=limits)
    ]


def pairs_of(instances: Sequence[InstanceFile], n_pairs: int) -> tuple[tuple[InstanceFile, int], ...]:
    """Return instances and seeds: every instance once before any of them a second time; none of no instances."""
    if not instances:
        return ()
    return tuple((instances[number % len(instances)], number // len(instances)) for number in range(n_pairs))


def _wall_seconds(record: SolveRecord) -> float:
    return 0.0 if record.figures is None else record.figures.wall_seconds


def paired_verdict(
    records: Sequence[SolveRecord], ours: str, theirs: str, *, settings: str, preset: str, limit_seconds: float
) -> Verdict:
    """Compare two competitors by the rows of their solves, paired by instance and seed.

    Args:
        records: Rows, of these competitors and perhaps others.
        ours: Name of the competitor that is judged.
        theirs: Name of the one that it is judged against.
        settings: Those of the comparison, the same in the rows of both.
        preset: How the policy is used, for the record.
        limit_seconds: What an unsolved instance counts for.
    """
    from gnn_branching.evaluation.statistics.measures import MEASURES, TIME
    from gnn_branching.evaluation.statistics.pairing import ComparisonOptions, Method, ratio_of, runs_by_method

    runs = runs_by_method(records)
    own, other = (runs.get(Method(settings, name), {}) for name in (ours, theirs))
    options = ComparisonOptions(baseline=theirs, time_limit_seconds=limit_seconds)
    time = ratio_of(own, other, TIME, options)
    nodes = ratio_of(own, other, next(measure for measure in MEASURES if measure.key == "nodes"), options)
    outcome: Outcome = "faster" if time.high < 1 else "slower" if time.low > 1 else "no-difference"
    return Verdict(
        verdict=outcome,
        preset=preset,
        baseline=theirs,
        settings=settings,
        time_ratio=_known(time.value),
        time_ratio_low=_known(time.low),
        time_ratio_high=_known(time.high),
        nodes_ratio=_known(nodes.value),
        n_pairs=time.n_pairs,
        n_instances=time.n_instances,
        time_limit_seconds=limit_seconds,
    )


def _known(value: float) -> float | None:
    return value if isfinite(value) else None
