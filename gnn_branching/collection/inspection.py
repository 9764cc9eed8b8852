"""What is in a dataset, and whether its labels can be right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gnn_branching.contracts import CandidateSet, IndexArray, InputError, Sample
from gnn_branching.feature_schema import VARIABLE_FEATURES
from gnn_branching.labels import tied_for_best
from gnn_branching.shards import ShardReader, episode_path, open_dataset
from gnn_branching.shards.description import SPLITS, DatasetDescription
from gnn_branching.shards.reader import describe_location

FRACTIONAL_TOLERANCE = 1e-9
"""An LP candidate's value is further than this from every integer (SCIP's own feasibility tolerance is 1e-6)."""
_FRACTION = VARIABLE_FEATURES.index("solution_frac")


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSummary:
    """Figures of one split; arrays have one entry per sample.

    Args:
        n_episodes: Episodes with samples.
        n_instances: Different instances.
        n_bytes: Size of the shards; 0 if the dataset is remote.
        n_candidates: int64, (n_samples,).
        n_tied: int64, (n_samples,): candidates tied for the best score, the best one included.
        depths: int64, (n_samples,).
        n_rows: int64, (n_samples,).
        n_variables: int64, (n_samples,).
        n_edges: int64, (n_samples,).
        problems: What cannot be right, one line each.
    """

    n_episodes: int
    n_instances: int
    n_bytes: int
    n_candidates: IndexArray
    n_tied: IndexArray
    depths: IndexArray
    n_rows: IndexArray
    n_variables: IndexArray
    n_edges: IndexArray
    problems: tuple[str, ...]

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return int(self.n_candidates.size)

    def figures(self) -> dict[str, float]:
        """Return the numbers that a table shows; shares are in [0, 1], sizes in bytes per sample."""
        choice = self.n_candidates > 1
        return {
            "n_samples": self.n_samples,
            "n_episodes": self.n_episodes,
            "n_instances": self.n_instances,
            "bytes_per_sample": self.n_bytes / self.n_samples,
            "n_candidates_mean": float(self.n_candidates.mean()),
            "n_candidates_max": int(self.n_candidates.max()),
            "single_candidate_share": float((~choice).mean()),
            "tie_share": float((self.n_tied > 1).mean()),
            "all_tied_share": float((choice & (self.n_tied == self.n_candidates)).mean()),
            "depth_mean": float(self.depths.mean()),
            "depth_max": int(self.depths.max()),
            "n_rows_mean": float(self.n_rows.mean()),
            "n_variables_mean": float(self.n_variables.mean()),
            "n_edges_mean": float(self.n_edges.mean()),
            "n_problems": len(self.problems),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSummary:
    """Figures of a dataset.

    Args:
        splits: Those that have samples, by name.
        problems: What is wrong across splits, one line each.
    """

    splits: Mapping[str, SplitSummary]
    problems: tuple[str, ...]

    @property
    def all_problems(self) -> tuple[str, ...]:
        """Every problem, with its split."""
        inner = [f"{split}: {problem}" for split, summary in self.splits.items() for problem in summary.problems]
        return (*self.problems, *inner)

    def figures(self) -> dict[str, float]:
        """Return a flat mapping of numbers, the split's name before each."""
        flat = {
            f"{split}_{key}": value for split, found in self.splits.items() for key, value in found.figures().items()
        }
        return {**flat, "n_problems": len(self.all_problems)}


def inspect_dataset(location: str | Path) -> DatasetSummary:
    """Read every sample of a dataset once, and sum up.

    Args:
        location: Folder or fsspec URL.

    Raises:
        InputError: If there is no dataset or a shard is corrupt.
    """
    description = describe_location(location)
    summaries: dict[str, SplitSummary] = {}
    instances: dict[str, set[str]] = {}
    for split in SPLITS:
        try:
            reader = open_dataset(location, split)
        except InputError:
            if split in description.splits:
                raise
            continue
        if len(reader):
            summaries[split], instances[split] = _summarise(location, split, reader, _expects_fractions(description))
    if not summaries:
        raise InputError(f"{location} holds no samples; collect some first")
    shared = [
        f"{len(instances[one] & instances[other])} instances are in both {one} and {other}"
        for position, one in enumerate(summaries)
        for other in list(summaries)[position + 1 :]
        if instances[one] & instances[other]
    ]
    return DatasetSummary(splits=summaries, problems=tuple(shared))


def label_problem(sample: Sample, *, expects_fractions: bool) -> str:
    """Return why a sample's labels cannot be right; empty if nothing speaks against them.

    That scores are finite and not negative was checked when the sample was read.
    """
    candidates, state = sample.state.candidates, sample.state
    if candidates.size == 0:
        return "no candidates"
    if candidates.min() < 0 or candidates.max() >= state.n_variables:
        return "a candidate is no variable"
    if np.unique(candidates).size < candidates.size:
        return "a candidate appears twice"
    if expects_fractions and (state.variable_features[candidates, _FRACTION] <= FRACTIONAL_TOLERANCE).any():
        return "a candidate is not fractional in the LP solution"
    if not all(np.isfinite(array).all() for array in (state.row_features, state.variable_features, state.edges.values)):
        return "a feature is not finite"
    return ""


def n_tied_best(sample: Sample) -> int:
    """Return how many candidates have the best score."""
    return int(tied_for_best(sample.scores).sum())


def _summarise(
    location: str | Path, split: str, reader: ShardReader, expects_fractions: bool
) -> tuple[SplitSummary, set[str]]:
    rows, problems = [], []
    episodes, instances, tree_nodes = set(), set(), set()
    for index, sample in enumerate(reader):
        state, origin = sample.state, sample.origin
        rows.append(
            (state.n_candidates, n_tied_best(sample), origin.depth, state.n_rows, state.n_variables, state.n_edges)
        )
        problem = label_problem(sample, expects_fractions=expects_fractions)
        if (origin.episode, origin.tree_node) in tree_nodes:
            problem = problem or "its tree node was sampled before"
        if problem:
            problems.append(f"sample {index} (episode {origin.episode}, node {origin.tree_node}): {problem}")
        episodes.add(origin.episode)
        instances.add(origin.instance_sha256)
        tree_nodes.add((origin.episode, origin.tree_node))
    columns = np.array(rows, dtype=np.int64).T
    files = [episode_path(Path(location), split, episode) for episode in episodes]
    summary = SplitSummary(
        n_episodes=len(episodes),
        n_instances=len(instances),
        n_bytes=sum(file.stat().st_size for file in files if file.is_file()),
        n_candidates=columns[0],
        n_tied=columns[1],
        depths=columns[2],
        n_rows=columns[3],
        n_variables=columns[4],
        n_edges=columns[5],
        problems=tuple(problems),
    )
    return summary, instances


def _expects_fractions(description: DatasetDescription) -> bool:
    """Say whether the candidates are those of the LP; unknown recipes are given the benefit of the doubt."""
    collection = description.recipe.get("collection")
    return isinstance(collection, Mapping) and collection.get("candidates") == CandidateSet.LP
