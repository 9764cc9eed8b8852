"""Solves done again, after the timed ones, to look inside: their trees, and agreement with strong branching."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from gnn_branching.durable import write_durably
from gnn_branching.evaluation.solves.guard import GuardedSolve
from gnn_branching.evaluation.solves.leavings import AGREEMENT_FILE, TreeEntry, write_tree_index
from gnn_branching.evaluation.solves.plan import SolveJob, with_recording

TREE_RECORDER = "gnn_branching.evaluation.solves.solving:record_tree"
AGREEMENT_RECORDER = "gnn_branching.evaluation.solves.solving:record_agreement"
TREES_FOLDER = "trees"
AGREEMENT_FOLDER = "agreement"


def record_trees(jobs: Sequence[SolveJob], folder: Path, *, baseline: str) -> Iterator[str]:
    """Record trees of learned rules and the baseline (without learned rules, of all) that are not there yet.

    Yields:
        A line for each that failed.
    """
    any_learned = any(job.policy.is_learned for job in jobs)
    entries: list[TreeEntry] = []
    for job in jobs:
        if any_learned and not job.policy.is_learned and job.policy.name != baseline:
            continue
        path = f"{TREES_FOLDER}/{job.job_id}.jsonl"
        failure = _record(job, folder / path, target=TREE_RECORDER)
        if failure:
            yield f"tree of {job.policy.name} on {job.instance.path}: {failure}"
            continue
        instance, policy = job.instance.path, job.policy.name
        entries.append(TreeEntry(instance=instance, policy=policy, settings=job.settings, seed=job.seed, path=path))
    if entries:
        entries.sort(key=lambda entry: (entry.instance, entry.policy == baseline))
        write_tree_index(folder, entries)


def record_agreements(jobs: Sequence[SolveJob], folder: Path) -> Iterator[str]:
    """Ask strong branching along the trees of learned rules, where that was not done yet.

    Yields:
        A line for each that failed.
    """
    parts: list[bytes] = []
    for job in jobs:
        if not job.policy.is_learned:
            continue
        path = folder / AGREEMENT_FOLDER / f"{job.job_id}.jsonl"
        failure = _record(job, path, target=AGREEMENT_RECORDER)
        if failure:
            yield f"agreement of {job.policy.name} on {job.instance.path}: {failure}"
        else:
            parts.append(path.read_bytes())
    if parts:
        write_durably(folder / AGREEMENT_FILE, b"".join(parts))


def _record(job: SolveJob, path: Path, *, target: str) -> str:
    """Make a recording unless it is there; return why it failed, or nothing."""
    if path.exists():
        return ""
    path.parent.mkdir(parents=True, exist_ok=True)
    record = GuardedSolve(target=target)(with_recording(job, path))
    if path.exists():
        return ""
    return f"{record.status} – {record.detail}" if record else "stopped"
