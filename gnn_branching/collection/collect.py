"""Collect a dataset: the first n samples in episode order, whoever ran the episodes and however often it was killed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from gnn_branching.collection.job import EpisodeJob, LoadPolicy, Sampler, collect_episode, make_job, sample_with_scip
from gnn_branching.collection.ledger import CollectionProgress, SetAside, SplitLedger
from gnn_branching.collection.recipe import (
    begun_recipe,
    choose_labeller,
    known_description,
    make_recipe,
    recipe_difference,
)
from gnn_branching.config import ExperimentConfig
from gnn_branching.contracts import BarrenError, InputError
from gnn_branching.durable import exclusive, remove_partial_files
from gnn_branching.execution.protocol import Executor
from gnn_branching.instances import InstanceSplits
from gnn_branching.instances.generators import ECOLE
from gnn_branching.provenance import collect_provenance
from gnn_branching.shards import DatasetDescription, write_description
from gnn_branching.shards.description import SPLITS

MOST_EPISODES = 10**6
"""More episodes than a split can have: their numbers have six digits."""
N_BARREN_EPISODES = 200
"""So many episodes in a row without a sample end a collection: it would not end by itself."""
BARREN_ROUNDS, LEAST_BARREN_EPISODES = 3, 30
"""With few instances fewer are enough: so many times all of them, and at least this many."""

OnProgress = Callable[[CollectionProgress], None]


def collect_dataset(
    config: ExperimentConfig,
    instances: InstanceSplits,
    dataset: Path,
    executor: Executor,
    *,
    load_policy: LoadPolicy | None = None,
    sampler: Sampler = sample_with_scip,
    on_progress: OnProgress = lambda progress: None,
) -> DatasetDescription:
    """Collect what of a dataset is missing.

    Every episode is committed whole as soon as it is done; kill this process at any moment and call again to go on.
    The same configuration, seed and instances give the same files, bit for bit, as long as no limit in time strikes.

    Args:
        config: The experiment; its seed and the sections on instances and collection matter.
        instances: What to solve.
        dataset: Folder of the dataset; made if it is not there.
        executor: Runs the episodes.
        load_policy: Loads the policy that ``config.collection.exploration`` names, if it names one.
        sampler: Solves and samples.
        on_progress: Called after every episode.

    Returns:
        The finished dataset's description.

    Raises:
        InputError: If the folder holds another dataset, or one that Ecole labelled where there is no Ecole; if the disk
            is full, or episodes give no samples.
    """
    begun = begun_recipe(dataset)
    labelled_by = choose_labeller(config.collection, dataset, begun)
    config = _as_begun(config, begun)
    wanted = config.collection
    counts = dict(zip(SPLITS, (wanted.n_train_samples, wanted.n_valid_samples, wanted.n_test_samples), strict=True))
    with exclusive(dataset, work="process is collecting into"):
        description = _begin(dataset, make_recipe(config, instances, labelled_by))
        for split, n_wanted in counts.items():
            job_of = partial(
                make_job,
                config.seed,
                split,
                instances=instances.of(split),
                config=wanted,
                sampler=sampler,
                load_policy=load_policy,
                with_ecole=labelled_by.startswith(ECOLE),
            )
            ledger = SplitLedger.load(dataset, split, n_wanted)
            on_progress(ledger.progress)
            few = max(BARREN_ROUNDS * len(instances.of(split)), LEAST_BARREN_EPISODES)
            collect_split(ledger, job_of, executor, on_progress, most_barren=min(few, N_BARREN_EPISODES))
            found = ledger.describe()
            before = description.splits.get(split)
            # Samples beyond a smaller number asked for now were once asked for, and stay.
            ledger.drop_after(max(found.n_episodes, before.n_episodes if before else 0))
            description = replace(description, splits={**description.splits, split: found})
            write_description(dataset, description)
    return description


def collect_split(
    ledger: SplitLedger,
    job_of: Callable[[int], EpisodeJob],
    executor: Executor,
    on_progress: OnProgress,
    *,
    most_barren: int = N_BARREN_EPISODES,
) -> None:
    """Run episodes until a split is complete; closing down stops those that are no longer needed."""
    if ledger.is_complete:
        return
    plan = EpisodePlan(ledger, job_of)
    with closing(executor.run(collect_episode, plan)) as outcomes:
        for outcome in outcomes:
            job = plan.job(outcome.index)
            if outcome.result is not None:
                ledger.commit(job.episode, outcome.result.content, outcome.result.n_samples)
            else:
                ledger.put_aside(
                    SetAside(
                        split=job.split,
                        episode=job.episode,
                        instance=job.instance.path,
                        scip_seed=job.scip_seed,
                        reason=outcome.failure,
                    )
                )
            on_progress(ledger.progress)
            if ledger.is_complete:
                return
            if ledger.n_barren >= most_barren:
                raise BarrenError(_explain_barren(ledger))


class EpisodePlan(Sequence[EpisodeJob]):
    """Jobs of the episodes that are not settled yet, made when asked for; ends once no more need to be started."""

    def __init__(self, ledger: SplitLedger, job_of: Callable[[int], EpisodeJob]) -> None:
        self._ledger = ledger
        self._job_of = job_of
        self._upcoming = 0
        self._episodes: list[int] = []

    def __len__(self) -> int:
        """Return how many jobs there can be at most."""
        return MOST_EPISODES

    def __getitem__(self, index: int) -> EpisodeJob:  # type: ignore[override]
        """Return a job; raises IndexError once the episodes before the next one have enough samples on disk."""
        if index == len(self._episodes):
            while self._ledger.is_settled(self._upcoming):
                self._upcoming += 1
            if self._upcoming < MOST_EPISODES and self._ledger.needs(self._upcoming):
                self._episodes.append(self._upcoming)
                self._upcoming += 1
        return self.job(index)

    def job(self, index: int) -> EpisodeJob:
        """Return a job that was asked for before."""
        return self._job_of(self._episodes[index])


def _as_begun(config: ExperimentConfig, begun: Mapping[str, object] | None) -> ExperimentConfig:
    """Leave out the search's features where a dataset was begun without them, and the network does not see them."""
    if begun is None or config.model.search != "none":
        return config
    collection = begun.get("collection")
    if not isinstance(collection, Mapping) or collection.get("search_features") is not False:
        return config
    return replace(config, collection=replace(config.collection, search_features=False))


def _begin(dataset: Path, recipe: Mapping[str, object]) -> DatasetDescription:
    """Claim a folder for a recipe, or check that it is the same one."""
    remove_partial_files(dataset)
    known = known_description(dataset)
    if known is not None:
        difference = recipe_difference(known.recipe, recipe)
        if difference:
            raise InputError(f"{dataset} holds samples of another recipe ({difference}); choose another folder")
        return known
    provenance = collect_provenance()
    description = DatasetDescription(
        recipe=recipe,
        provenance={"packages": provenance.packages, "python": provenance.python, "machine": provenance.machine},
    )
    write_description(dataset, description)
    return description


def _explain_barren(ledger: SplitLedger) -> str:
    reasons = [entry.reason for entry in ledger.set_aside.values()]
    hint = (
        f"{len(reasons)} failed, the last with: {reasons[-1]}"
        if reasons
        else "SCIP solves them at the root, or nearly: there, no branching rule saves anything; take harder instances"
    )
    return f"{ledger.n_barren} episodes in a row gave no {ledger.split} sample; {hint}"
