"""How does the collection of 100,000 samples scale to a thousand workers?

The collector itself runs (its plan of episodes, its ledger, its order of samples), on a simulated cluster: an executor
whose episodes take no time but advance a clock by what real ones took, and whose driver is busy with every outcome for
as long as a real one. Real episodes come from ``scripts.collection_experiment``, whose folders this reads.

    python -m scripts.cluster_study driver --out OUT    # what an outcome costs Ray's driver
    python -m scripts.cluster_study run WAYS --out OUT  # WAYS: a family's folder there; draws, too
"""

from __future__ import annotations

import argparse
import heapq
import json
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, TypeVar

from gnn_branching.collection.collect import collect_split
from gnn_branching.collection.job import EpisodeJob, EpisodeShard, sample_with_scip
from gnn_branching.collection.ledger import SplitLedger
from gnn_branching.config import CollectionConfig
from gnn_branching.contracts import InstanceFile
from gnn_branching.durable import write_durably
from gnn_branching.execution.protocol import JobOutcome
from gnn_branching.seeding import derive_seed
from gnn_branching.shards.description import parse_description
from scripts.collection_experiment import WAYS, run_folder
from scripts.results_file import append_result, read_results

Result = TypeVar("Result")

N_SAMPLES = 100_000
WORKERS = (1, 10, 50, 100, 200, 500, 1000)
JOBS_PER_PROCESS = 20
"""As in ``execution.ray_cluster``: then a worker starts anew."""
START_SECONDS = 2.0
"""What a worker takes to import SCIP and the package."""
SHARD_BYTES = 15 * 33_000
"""Of an episode of 15 samples."""
N_DRIVER_JOBS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """What a real episode took and gave.

    Args:
        seconds: CPU seconds.
        n_samples: Samples.
    """

    seconds: float
    n_samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """One collection on one cluster; a line of ``results.jsonl``.

    Args:
        way: How samples were taken.
        n_workers: Workers of the cluster.
        driver_seconds: What an outcome costs the driver.
        hours: From start to end.
        efficiency: CPU time of the episodes that count, over the workers' time.
        n_episodes: Episodes that count.
        n_in_vain: Episodes that ran ahead and do not count.
        driver_load: Share of the time in which the driver was busy.
        tail_seconds: From the moment at which the first worker had nothing left to do to the end.
    """

    way: str
    n_workers: int
    driver_seconds: float
    hours: float
    efficiency: float
    n_episodes: int
    n_in_vain: int
    driver_load: float
    tail_seconds: float


@dataclass(slots=True, kw_only=True)
class SimulatedCluster:
    """An executor on which jobs take simulated time; hands out jobs as ``execution.ray_cluster`` does.

    Args:
        n_workers: Jobs at once.
        driver_seconds: What an outcome costs the driver.
        duration: Seconds of a job.
        result: What a job returns.
    """

    n_workers: int
    driver_seconds: float
    duration: Callable[[Any], float]
    result: Callable[[Any], Any]
    now: float = 0.0
    driver_busy: float = 0.0
    first_idle: float = field(default=0.0)

    def run(self, function: object, payloads: Sequence[Any]) -> Generator[JobOutcome[Any], None, None]:
        """Yield outcomes in order of completion."""
        upcoming = iter(enumerate(payloads))
        running: list[tuple[float, int, Any]] = []
        n_started = 0
        while True:
            while len(running) < self.n_workers and (following := next(upcoming, None)) is not None:
                index, payload = following
                start = START_SECONDS if n_started % JOBS_PER_PROCESS == 0 or n_started < self.n_workers else 0.0
                n_started += 1
                heapq.heappush(running, (self.now + start + self.duration(payload), index, payload))
            if len(running) < self.n_workers and not self.first_idle:
                self.first_idle = self.now
            if not running:
                return
            end, index, payload = heapq.heappop(running)
            self.now = max(self.now, end) + self.driver_seconds
            self.driver_busy += self.driver_seconds
            yield JobOutcome(index=index, result=self.result(payload))


def read_episodes(folder: Path) -> list[Episode]:
    """Return the episodes of the training split of a way's folder."""
    description = parse_description((folder / "dataset" / "dataset.json").read_bytes(), str(folder))
    n_samples = {entry.episode: entry.n_samples for entry in description.splits["train"].episodes}
    lines = [json.loads(line) for line in (folder / "seconds.jsonl").read_text(encoding="utf-8").splitlines()]
    seconds = {line["episode"]: line["seconds"] for line in lines if line["split"] == "train"}
    # The last one was cut to the number asked for.
    return [Episode(seconds=seconds[n], n_samples=n_samples.get(n, 0)) for n in range(max(n_samples))]


def simulate(way: str, episodes: Sequence[Episode], n_workers: int, driver_seconds: float) -> Scaling:
    """Collect on a simulated cluster."""

    def drawn(episode: int) -> Episode:
        return episodes[derive_seed(0, "cluster study", episode) % len(episodes)]

    def job_of(episode: int) -> EpisodeJob:
        nothing = InstanceFile(path="", family="", size="", seed=0, sha256="")
        config = CollectionConfig()
        return EpisodeJob(
            split="train", episode=episode, scip_seed=0, instance=nothing, config=config, sampler=sample_with_scip
        )

    def result(job: EpisodeJob) -> EpisodeShard:
        return EpisodeShard(content=b"", n_samples=drawn(job.episode).n_samples)

    cluster = SimulatedCluster(
        n_workers=n_workers,
        driver_seconds=driver_seconds,
        duration=lambda job: drawn(job.episode).seconds,
        result=result,
    )
    with tempfile.TemporaryDirectory(prefix="cluster-study-", dir=_memory()) as name:
        ledger = SplitLedger.load(Path(name), "train", N_SAMPLES)
        collect_split(ledger, job_of, cluster, lambda progress: None)
        n_episodes = ledger.describe().n_episodes
        n_run = len(ledger.committed)
    useful = sum(drawn(number).seconds for number in range(n_episodes))
    return Scaling(
        way=way,
        n_workers=n_workers,
        driver_seconds=driver_seconds,
        hours=cluster.now / 3600,
        efficiency=useful / (n_workers * cluster.now),
        n_episodes=n_episodes,
        n_in_vain=n_run - n_episodes,
        driver_load=cluster.driver_busy / cluster.now,
        tail_seconds=cluster.now - cluster.first_idle if cluster.first_idle else 0.0,
    )


def _memory() -> str | None:
    """Return a folder in memory, where there is one: a thousand runs of fsync are not what is studied."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def make_shard(number: int) -> bytes:
    """Return as many bytes as a shard has: a job of the driver's measurement."""
    return bytes([number % 256]) * SHARD_BYTES


def measure_driver(out: Path) -> dict[str, float]:
    """Return the driver's CPU seconds per outcome with Ray, and the wall seconds of writing a shard."""
    from gnn_branching.execution import make_executor

    executor = make_executor("ray", workers=1)
    start, n_done = 0.0, 0
    for outcome in executor.run(make_shard, range(N_DRIVER_JOBS)):
        assert outcome.result is not None, outcome.failure
        n_done += 1
        if n_done == N_DRIVER_JOBS // 4:  # started, and warm
            start = process_time()
    per_outcome = (process_time() - start) / (n_done - N_DRIVER_JOBS // 4)
    out.mkdir(parents=True, exist_ok=True)
    probe = out / "probe.bin"
    begin = perf_counter()
    for number in range(50):
        write_durably(probe, make_shard(number))
    written = (perf_counter() - begin) / 50
    probe.unlink()
    return {"ray_seconds": per_outcome, "write_seconds": written}


def markdown(folders: Sequence[Path]) -> str:
    """Return the table of the rows in some folders."""
    return "\n".join(table([Scaling(**line) for folder in folders for line in read_results(folder)]))


def table(rows: Sequence[Scaling]) -> Iterator[str]:
    """Yield the rows as Markdown."""
    columns = ("samples taken", "driver, ms an outcome", "workers", "hours", "efficiency", "driver busy")
    yield f"| {' | '.join(columns)} | last stragglers, s | episodes | in vain |"
    yield "|---" * 9 + "|"
    for row in rows:
        yield (
            f"| {row.way} | {1e3 * row.driver_seconds:.1f} | {row.n_workers} | {row.hours:.2f} | {row.efficiency:.2f} "
            f"| {row.driver_load:.1%} | {row.tail_seconds:.0f} | {row.n_episodes} | {row.n_in_vain} |"
        )


def draw(rows: Sequence[Scaling], path: Path) -> None:
    """Draw efficiency against workers."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 3.8), layout="constrained")
    axes = figure.add_subplot()
    ways = list(dict.fromkeys(row.way for row in rows))
    costs = list(dict.fromkeys(row.driver_seconds for row in rows))
    for way in ways:
        for cost in costs:
            own = [row for row in rows if (row.way, row.driver_seconds) == (way, cost)]
            style = {"color": f"C{ways.index(way)}", "linestyle": ("-", "--")[costs.index(cost) % 2], "marker": "o"}
            label = f"{way}; {1e3 * cost:.1f} ms of the driver"
            axes.semilogx([row.n_workers for row in own], [row.efficiency for row in own], label=label, **style)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("workers")
    axes.set_ylabel(f"efficiency of collecting {N_SAMPLES:,} samples")
    axes.grid(visible=True, alpha=0.3)
    axes.legend(frameon=False, fontsize=8, loc="lower left")
    figure.savefig(path)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("driver", "run"))
    parser.add_argument("ways", nargs="?", type=Path, help="a family's folder of scripts.collection_experiment")
    parser.add_argument("--only", nargs="*", help="names of the ways' folders")
    parser.add_argument("--driver-seconds", nargs="*", type=float, default=[0.005])
    parser.add_argument("--out", type=Path, default=Path("runs/cluster-study"))
    given = parser.parse_args()
    if given.action == "driver":
        print(json.dumps(measure_driver(given.out)))
        return
    if given.ways is None:
        parser.error("run needs a folder of scripts.collection_experiment")
    names = {run_folder("", way, Path()).path.name: way for way in WAYS}
    for folder in sorted(given.ways.iterdir()):
        if not (folder / "dataset" / "dataset.json").exists() or (given.only and folder.name not in given.only):
            continue
        episodes, way = read_episodes(folder), names.get(folder.name, folder.name)
        for driver_seconds in given.driver_seconds:
            for n_workers in WORKERS:
                append_result(given.out, asdict(simulate(way, episodes, n_workers, driver_seconds)))
    draw([Scaling(**line) for line in read_results(given.out)], given.out / "cluster.svg")


if __name__ == "__main__":
    main()
