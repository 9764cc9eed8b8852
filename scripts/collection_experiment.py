"""What do samples cost, and what is a policy trained on them worth, by the way in which they are taken?

Every way takes the same number of samples of the same easy instances, with the CPU time that it cost counted. A policy
is trained on each, measured on one common set of held-out samples, taken as published, and solves held-out instances.

    python -m scripts.collection_experiment combinatorial-auction --out OUT

Every way is a line of ``results.jsonl``; what is there is not done again, and what was interrupted goes on.
What a worker does not need is imported where it is used: every episode imports this module in a fresh process.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from time import process_time

from gnn_branching.collection.job import EpisodeJob, sample_with_scip
from gnn_branching.config import ExperimentConfig
from gnn_branching.contracts import Sample
from gnn_branching.pipeline import read_experiment
from gnn_branching.run_folder import RunFolder
from scripts.results_file import append_result, read_results

COMMON = (
    "instances.n_train=200",
    "instances.n_valid=60",
    "instances.n_test=60",
    "collection.n_train_samples=500",
    "collection.n_valid_samples=150",
    "collection.n_test_samples=1",
    "collection.n_samples_per_episode=15",
    "collection.expert_probability=0.05",
    "model.graph=subproblem",
    "training.n_threads=1",
    "training.n_epochs=30",
)
REFERENCE = "p = 0.05, at most 15"
"""The way whose held-out samples measure the accuracy of all."""
EXPLORES = "a policy explores"
"""The way in which the family's shipped policy branches where the expert is not asked; without one, the reference's."""
WAYS: dict[str, tuple[str, ...]] = {
    REFERENCE: ("collection.n_test_samples=400",),
    "p = 0.05, no limit": ("collection.n_samples_per_episode=0",),
    "p = 0.2, at most 15": ("collection.expert_probability=0.2",),
    "p = 0.5, at most 15": ("collection.expert_probability=0.5",),
    "p = 1, at most 15": ("collection.expert_probability=1",),
    "p = 0.2, at most 40": ("collection.expert_probability=0.2", "collection.n_samples_per_episode=40"),
    "50 LP iterations a child": ("collection.strong_branching_iteration_limit=50",),
    "10 LP iterations a child": ("collection.strong_branching_iteration_limit=10",),
    "SCIP's default settings": ("collection.settings=default",),
    "its recipe": ("collection.settings=gnn_branching/policy/shipped/{family}/recipe.set",),
    "its recipe, p = 0.2, at most 40": (
        "collection.settings=gnn_branching/policy/shipped/{family}/recipe.set",
        "collection.expert_probability=0.2",
        "collection.n_samples_per_episode=40",
    ),
    EXPLORES: ("collection.exploration={explorer}",),
    "one child at a time, p = 0.2": ("collection.expert_probability=0.2",),
    "one child at a time, p = 1": ("collection.expert_probability=1",),
    "all unfixed integer variables": ("collection.candidates=pseudo", "collection.n_test_samples=200"),
}
ITS_OWN = "all unfixed"
"""Ways that begin like this are measured on held-out samples of their own, as other candidates are another task."""
ONE_CHILD = "one child"
"""Ways that begin like this dive: the siblings of every tree node that is reached are cut off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One way of taking samples; a line of ``results.jsonl``.

    Args:
        family: Problem family.
        way: Name of the way.
        n_samples: Training samples.
        n_episodes: Solves they took.
        cpu_seconds: CPU time of these solves, the expert's and the sampler's included.
        top_1: Top-1 accuracy on the common held-out samples.
        top_5: Top-5 accuracy there.
    """

    family: str
    way: str
    n_samples: int
    n_episodes: int
    cpu_seconds: float
    top_1: float
    top_5: float


def sample_and_time(log: str, one_child: bool, job: EpisodeJob) -> Sequence[Sample]:
    """Sample an episode, and write down the CPU time that it took."""
    start = process_time()
    if one_child:
        dive()
    samples = sample_with_scip(job)
    line = {"split": job.split, "episode": job.episode, "seconds": process_time() - start}
    with Path(log).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    return samples


def dive() -> None:
    """Make this process's sampler cut off the siblings of every tree node: the optimum is lost, the samples are not."""
    from gnn_branching.solver import sampling

    class Diver(sampling.SamplingRule):
        def branchexeclp(self, allowaddcons: bool) -> dict[str, int]:
            for sibling in self.model.getOpenNodes()[2]:
                self.model.cutoffNode(sibling)
            return super().branchexeclp(allowaddcons)

    sampling.SamplingRule = Diver  # type: ignore[misc]


def experiment_of(family: str, way: str, out: Path) -> ExperimentConfig:
    """Return the configuration of one way."""
    from gnn_branching.policy import list_policies

    explorer = family if family in list_policies() else run_folder(family, REFERENCE, out).policy.absolute()
    overrides = [override.format(family=family, explorer=explorer) for override in WAYS[way]]
    return read_experiment(Path("configs") / f"{family}.toml", [*COMMON, *overrides])


def collect(family: str, way: str, out: Path) -> tuple[int, float]:
    """Take the samples; return how many solves the training samples took, and their CPU seconds."""
    from gnn_branching.collection import collect_dataset
    from gnn_branching.instances import prepare_splits
    from gnn_branching.pipeline.samples import collection_executor
    from gnn_branching.policy import load_policy

    config = experiment_of(family, way, out)
    folder = run_folder(family, way, out)
    executor = collection_executor(folder=folder, workers=1)
    splits = prepare_splits(config.instances, config.seed, out / family / "instances", executor)
    log = folder.path / "seconds.jsonl"
    log.parent.mkdir(parents=True, exist_ok=True)
    description = collect_dataset(
        config,
        splits,
        folder.dataset,
        executor,
        load_policy=load_policy if way == EXPLORES else None,
        sampler=partial(sample_and_time, str(log.absolute()), way.startswith(ONE_CHILD)),
    )
    n_episodes = description.splits["train"].n_episodes
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    seconds = {line["episode"]: line["seconds"] for line in lines if line["split"] == "train"}
    return n_episodes, sum(seconds[episode] for episode in range(n_episodes))


def run_folder(family: str, way: str, out: Path) -> RunFolder:
    """Return where a way's samples and policy lie."""
    name = "".join(c if c.isalnum() else "-" for c in way.lower())
    return RunFolder(path=out / family / name)


def measure(family: str, way: str, out: Path) -> Measured:
    """Take samples in one way, train on them and measure the policy."""
    from gnn_branching.pipeline import train_policy
    from gnn_branching.policy import load_policy
    from gnn_branching.shards import open_dataset
    from gnn_branching.training.metrics import policy_accuracy

    n_episodes, seconds = collect(family, way, out)
    folder = run_folder(family, way, out)
    if not (folder.policy / "card.json").exists():
        train_policy(experiment_of(family, way, out), folder, datasets=[folder.dataset], verdict_seconds=0)
    judge = way if way.startswith(ITS_OWN) else REFERENCE
    held_out = open_dataset(run_folder(family, judge, out).dataset, "test")
    accuracy = policy_accuracy(load_policy(folder.policy), held_out)
    return Measured(
        family=family,
        way=way,
        n_samples=len(open_dataset(folder.dataset, "train")),
        n_episodes=n_episodes,
        cpu_seconds=seconds,
        top_1=accuracy.acc_1,
        top_5=accuracy.acc_5,
    )


def markdown(folders: Sequence[Path]) -> str:
    """Return the table of the rows in some folders."""
    return "\n".join(table([Measured(**line) for folder in folders for line in read_results(folder)]))


def table(measured: Sequence[Measured]) -> Iterator[str]:
    """Yield the lines of a table, as Markdown."""
    yield "| family | samples taken | solves | CPU seconds | samples per CPU second | top-1 | top-5 |"
    yield "|---|---|---|---|---|---|---|"
    for m in measured:
        rate = m.n_samples / m.cpu_seconds
        yield (
            f"| {m.family} | {m.way} | {m.n_episodes} | {m.cpu_seconds:.0f} | {rate:.2f} "
            f"| {m.top_1:.3f} | {m.top_5:.3f} |"
        )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family")
    parser.add_argument("--ways", nargs="*", help="only ways whose names contain one of these")
    parser.add_argument("--out", type=Path, default=Path("runs/ways"))
    given = parser.parse_args()
    for way in WAYS:
        if given.ways and way != REFERENCE and not any(part in way for part in given.ways):
            continue
        if any(line["family"] == given.family and line["way"] == way for line in read_results(given.out)):
            continue
        append_result(given.out, asdict(measure(given.family, way, given.out)))


if __name__ == "__main__":
    main()
