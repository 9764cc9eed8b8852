"""Generate instances of a family: in parallel, resumably, each determined by its seed alone."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from gnn_branching.contracts import InputError, InstanceFile
from gnn_branching.durable import write_durably
from gnn_branching.execution.protocol import Executor
from gnn_branching.instances.family import Argument, InstanceWriter, get_family
from gnn_branching.instances.files import COMPRESSED_SUFFIX, compress
from gnn_branching.instances.generators import choose_generator, get_writer, known_instances
from gnn_branching.instances.manifest import Manifest, is_unchanged, write_manifest
from gnn_branching.provenance import file_sha256
from gnn_branching.seeding import MAX_SCIP_SEED, derive_seed

SPLITS = ("train", "valid", "test")
MANIFEST_INTERVAL_SECONDS = 2.0
"""How often finished files are entered in the manifest; files without an entry are made again after a crash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationJob:
    """One instance to write.

    Args:
        write: The family's writer.
        arguments: Its arguments.
        seed: Its seed.
        path: Where to.
        plain_suffix: Format that the writer writes.
    """

    write: InstanceWriter
    arguments: Mapping[str, Argument]
    seed: int
    path: Path
    plain_suffix: str


def instance_seed(root: int, family: str, size: str, split: str, index: int) -> int:
    """Return the seed of an instance.

    Splits take turns in one sequence of seeds, so that no seed is in two of them, whatever their lengths.

    Raises:
        InputError: If there is no such split.
    """
    if split not in SPLITS:
        raise InputError(f"split {split!r} is none of {', '.join(SPLITS)}")
    return (derive_seed(root, "instances", family, size) + len(SPLITS) * index + SPLITS.index(split)) % MAX_SCIP_SEED


def generate_instances(
    family: str,
    size: str,
    n_instances: int,
    folder: Path,
    *,
    executor: Executor,
    seed: int = 0,
    split: str = "train",
    compressed: bool = False,
    generator: str | None = None,
    on_instance: Callable[[int], None] = lambda n_done: None,
) -> Manifest:
    """Write instances and a manifest; those that are there already, with the hash they should have, are kept.

    Args:
        family: A registered family.
        size: One of its sizes.
        n_instances: How many there shall be.
        folder: Where to write; may hold instances of other sizes.
        executor: Runs the writers.
        seed: Root of the instances' seeds.
        split: Which of three disjoint sequences of instances: ``train``, ``valid`` or ``test``.
        compressed: Whether to write ``.gz`` files.
        generator: Who writes them, as ``choose_generator`` says; None to let it choose by what is in the folder.
        on_instance: Called with the number of instances that are done.

    Returns:
        The manifest's entries of these instances, in order of their numbers.

    Raises:
        InputError: If there is no such family or size, an instance cannot be written, the disk is full, or Ecole began
            the folder and is not installed.
    """
    kind = get_family(family)
    arguments = kind.arguments(size)
    suffix = kind.suffix + (COMPRESSED_SUFFIX if compressed else "")
    wanted = {
        folder / f"{family}-{size}-{index:06d}{suffix}": instance_seed(seed, family, size, split, index)
        for index in range(n_instances)
    }
    known = {Path(instance.path): instance for instance in known_instances(folder)}
    if generator is None:
        generator = choose_generator(kind, known.values())
    done = {
        path: known[path]
        for path, seed in wanted.items()
        if path in known and (known[path].family, known[path].size, known[path].seed) == (family, size, seed)
        if is_unchanged(known[path])
    }
    others = {path: instance for path, instance in known.items() if path not in wanted}
    missing = [path for path in wanted if path not in done]
    write = get_writer(kind, generator) if missing else kind.write
    jobs = [
        GenerationJob(write=write, arguments=arguments, seed=wanted[path], path=path, plain_suffix=kind.suffix)
        for path in missing
    ]

    def enter(job: GenerationJob, sha256: str) -> None:
        done[job.path] = InstanceFile(
            path=str(job.path), family=family, size=size, seed=job.seed, sha256=sha256, generator=generator
        )
        on_instance(len(done))

    def write_entries() -> None:
        write_manifest(folder, [*others.values(), *(done[path] for path in wanted if path in done)])

    on_instance(len(done))
    _run(jobs, executor, enter, write_entries)
    return Manifest(instances=tuple(done[path] for path in wanted))


def generate_one(job: GenerationJob) -> str:
    """Write one instance in one step, and return its file's SHA-256."""
    with tempfile.TemporaryDirectory(prefix="gnn-branching-instance-") as name:
        plain = Path(name) / f"instance{job.plain_suffix}"
        job.write(plain, job.seed, **job.arguments)
        content = plain.read_bytes()
    write_durably(job.path, compress(content) if job.path.suffix == COMPRESSED_SUFFIX else content)
    return file_sha256(job.path)


def _run(
    jobs: list[GenerationJob],
    executor: Executor,
    enter: Callable[[GenerationJob, str], None],
    write_entries: Callable[[], None],
) -> None:
    """Run the jobs; whatever happens, the manifest names what was finished."""
    last_written = time.monotonic()
    try:
        with closing(executor.run(generate_one, jobs)) as outcomes:
            for outcome in outcomes:
                job = jobs[outcome.index]
                if outcome.result is None:
                    raise InputError(f"cannot generate {job.path}: {outcome.failure}")
                enter(job, outcome.result)
                if time.monotonic() - last_written > MANIFEST_INTERVAL_SECONDS:
                    write_entries()
                    last_written = time.monotonic()
    finally:
        write_entries()
