"""Which solves an evaluation consists of, in which order, and what identifies each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from gnn_branching.config import DEFAULT_PRESET
from gnn_branching.contracts import InputError, InstanceFile, SolveFigures, SolveRecord, SolveStatus
from gnn_branching.provenance import collect_provenance, file_sha256
from gnn_branching.seeding import generator

HIGHS = "highs"
"""Name under which the other open solver competes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceLimits:
    """What one solve may use; held by SCIP, and from outside by :mod:`gnn_branching.evaluation.solves.guard`.

    Args:
        time_limit_seconds: Wall time inside ``optimize()``.
        node_limit: Tree nodes; 0 means no limit.
        memory_limit_mib: Resident memory of the solving process, MiB.
    """

    time_limit_seconds: float = 3600.0
    node_limit: int = 0
    memory_limit_mib: int = 8192

    def __post_init__(self) -> None:
        """Refuse limits under which nothing can run."""
        if not self.time_limit_seconds > 0:
            raise InputError(f"time limit {self.time_limit_seconds} s must be positive; try 3600")
        if self.node_limit < 0:
            raise InputError(f"node limit {self.node_limit} must not be negative; 0 means no limit")
        if self.memory_limit_mib < 256:
            raise InputError(f"memory limit {self.memory_limit_mib} MiB is below the 256 MiB that SCIP itself needs")


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySpec:
    """One branching rule of the comparison.

    Args:
        name: Name in tables; unique within the evaluation.
        source: Name or folder of a learned policy; empty for SCIP's own rule called ``name``.
        fingerprint: Hash of a policy folder's files, so that a retrained policy is solved with again; else empty.
        preset: How a learned policy is used, a name in ``solver.settings.PRESETS``.
        recipe: SCIP parameter file to solve under, whatever the settings of the comparison; empty for none.
        rule: SCIP's own rule where that is not the name.
    """

    name: str
    source: str = ""
    fingerprint: str = ""
    preset: str = DEFAULT_PRESET
    recipe: str = ""
    rule: str = ""

    @property
    def scip_rule(self) -> str:
        """The rule of SCIP that branches, or :data:`HIGHS`; meaningless for a learned policy."""
        return self.rule or self.name

    @property
    def has_own_settings(self) -> bool:
        """Whether the settings of a comparison do not concern it."""
        return bool(self.recipe) or self.scip_rule == HIGHS

    @property
    def is_learned(self) -> bool:
        """Whether it is a policy rather than one of SCIP's rules."""
        return bool(self.source)


@dataclass(frozen=True, slots=True, kw_only=True)
class SolveJob:
    """One solve to do: (instance, rule, settings, seed) under limits.

    Args:
        instance: The problem file.
        policy: Who branches.
        settings: Named SCIP settings, ``paper`` or ``default``, or a parameter file.
        seed: SCIP's seed.
        limits: What it may use.
        recording_path: Where a recording of the solve goes; empty in all solves that are timed.
    """

    instance: InstanceFile
    policy: PolicySpec
    settings: str
    seed: int
    limits: ResourceLimits
    recording_path: str = ""

    @property
    def job_id(self) -> str:
        """Return 24 hexadecimal digits that change with anything the outcome depends on, and with nothing else."""
        instance, limits = self.instance, self.limits
        bounds = [float(limits.time_limit_seconds), limits.node_limit, limits.memory_limit_mib]
        policy = asdict(self.policy)
        # As before there were recipes, so that folders written then go on.
        policy = {key: value for key, value in policy.items() if value or key not in ("recipe", "rule")}
        key = [instance.path, instance.sha256, policy, self.settings, self.seed, bounds]
        text = json.dumps([*key, bool(self.recording_path)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]


def make_row(
    job: SolveJob, status: SolveStatus, *, figures: SolveFigures | None = None, detail: str = "", versions: str = ""
) -> SolveRecord:
    """Return the row of a solve; versions are this process's unless its own said them."""
    return SolveRecord(
        instance=job.instance.path,
        family=job.instance.family,
        size=job.instance.size,
        policy=job.policy.name,
        settings=job.settings,
        seed=job.seed,
        status=status,
        figures=figures,
        detail=detail,
        versions=versions or collect_provenance().to_json(),
    )


def build_plan(
    instances: Sequence[InstanceFile],
    policies: Sequence[PolicySpec],
    *,
    seeds: Sequence[int],
    settings: Sequence[str] = ("paper",),
    limits: ResourceLimits,
) -> tuple[SolveJob, ...]:
    """List the solves: all methods of one (instance, seed) in a row, in shuffled order, so that drift hits all alike.

    Args:
        instances: Problem files.
        policies: Rules and policies, names unique.
        seeds: SCIP seeds; the outer loop, so that an interrupted evaluation has seen every instance.
        settings: Named SCIP settings to cross with the policies; those with settings of their own are solved once.
        limits: Of every solve.

    Raises:
        InputError: If something is empty, repeated or unknown.
    """
    _check(instances, policies, seeds=seeds, settings=settings)
    home = "default" if "default" in settings else settings[0]
    methods = [
        (policy, setting)
        for setting in settings
        for policy in policies
        if setting == home or not policy.has_own_settings
    ]
    jobs: list[SolveJob] = []
    for seed in seeds:
        for instance in instances:
            order = generator(seed, "evaluation-order", instance.path).permutation(len(methods))
            for position in order:
                policy, setting = methods[position]
                jobs.append(SolveJob(instance=instance, policy=policy, settings=setting, seed=seed, limits=limits))
    return tuple(jobs)


def with_recording(job: SolveJob, path: Path) -> SolveJob:
    """Return the same solve, done again to record something: recording takes time, so it is never a row."""
    return replace(job, recording_path=str(path))


def instance_files(paths: Iterable[Path], *, family: str, size: str = "") -> tuple[InstanceFile, ...]:
    """Describe problem files that no manifest describes.

    Raises:
        InputError: If a file does not exist.
    """
    files: list[InstanceFile] = []
    for path in paths:
        if not path.is_file():
            raise InputError(f"instance {path} does not exist; give .lp, .mps, .cip or one of these with .gz")
        files.append(InstanceFile(path=str(path), family=family, size=size, seed=None, sha256=file_sha256(path)))
    return tuple(files)


def _check(
    instances: Sequence[InstanceFile],
    policies: Sequence[PolicySpec],
    *,
    seeds: Sequence[int],
    settings: Sequence[str],
) -> None:
    for what, keys in (
        ("instance", [instance.path for instance in instances]),
        ("policy", [policy.name for policy in policies]),
        ("seed", [str(seed) for seed in seeds]),
        ("settings", list(settings)),
    ):
        if not keys:
            raise InputError(f"no {what} given; an evaluation needs at least one")
        repeated = sorted({key for key in keys if keys.count(key) > 1})
        if repeated:
            remedy = "; tell them apart with label=folder" if what == "policy" else ""
            raise InputError(f"{what} {repeated[0]!r} is given twice{remedy}")
    from gnn_branching.solver.settings import NAMED_SETTINGS  # reports read plans where there is no SCIP

    unknown = [name for name in settings if name not in NAMED_SETTINGS and not Path(name).is_file()]
    if unknown:
        allowed = f"{', '.join(NAMED_SETTINGS)} or a SCIP parameter file"
        raise InputError(f"settings {unknown[0]!r} are unknown; allowed: {allowed}")
