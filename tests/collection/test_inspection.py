from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from gnn_branching.collection import inspect_dataset, summary_table, write_pictures
from gnn_branching.collection.inspection import label_problem, n_tied_best
from gnn_branching.contracts import InputError, Sample
from gnn_branching.feature_schema import VARIABLE_FEATURES
from gnn_branching.shards import episode_path, write_episode
from tests.shards.samples import random_episode, random_sample

FRACTION = VARIABLE_FEATURES.index("solution_frac")


def sample_with_scores(*scores: float) -> Sample:
    sample = random_sample(np.random.default_rng(0))
    state = replace(sample.state, candidates=np.arange(len(scores)))
    return replace(sample, state=state, scores=np.array(scores))


@pytest.mark.parametrize(
    ("scores", "n_tied"),
    [((1.0, 2.0, 3.0), 1), ((3.0, 1.0, 3.0), 2), ((0.0, 0.0), 2), ((5.0,), 1), ((1.0, 1.0 + 1e-12), 2)],
)
def test_ties_are_counted(scores: tuple[float, ...], n_tied: int) -> None:
    assert n_tied_best(sample_with_scores(*scores)) == n_tied


def test_impossible_labels_are_named() -> None:
    good = sample_with_scores(1.0, 2.0, 3.0)
    assert label_problem(good, expects_fractions=False) == ""
    for candidates, problem in (([0, 0, 1], "appears twice"), ([0, 1, 99], "no variable"), ([], "no candidates")):
        state = replace(good.state, candidates=np.array(candidates, dtype=np.int64))
        bad = replace(good, state=state, scores=np.zeros(len(candidates)))
        assert problem in label_problem(bad, expects_fractions=False)
    good.state.variable_features[:, FRACTION] = 0.5
    assert label_problem(good, expects_fractions=True) == ""
    good.state.variable_features[1, FRACTION] = 0.0
    assert "not fractional" in label_problem(good, expects_fractions=True)
    good.state.row_features[0, 0] = np.nan
    assert "not finite" in label_problem(good, expects_fractions=False)


def test_the_summary_counts_what_is_there(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    expected: list[Sample] = []
    for number in range(3):
        samples = random_episode(rng, number, 4)
        expected += samples
        write_episode(episode_path(tmp_path, "train", number), samples)
    other = replace(random_sample(rng), origin=replace(expected[0].origin, instance_sha256="a" * 64))
    write_episode(episode_path(tmp_path, "test", 0), [other])
    summary = inspect_dataset(tmp_path)
    figures = summary.figures()
    assert figures["train_n_samples"] == 12
    assert figures["train_n_episodes"] == 3
    assert figures["train_n_instances"] == figures["test_n_instances"] == 1
    assert figures["train_depth_max"] == max(sample.origin.depth for sample in expected)
    assert figures["train_n_candidates_mean"] == pytest.approx(
        np.mean([sample.state.n_candidates for sample in expected]), rel=1e-12
    )
    size = sum(path.stat().st_size for path in (tmp_path / "train").iterdir())
    assert figures["train_bytes_per_sample"] == pytest.approx(size / 12, rel=1e-12)
    assert summary.all_problems == ()
    console = Console(width=100, record=True, quiet=True)
    console.print(summary_table(summary))
    assert all(file.stat().st_size > 1000 for file in write_pictures(summary, tmp_path / "pictures"))


def test_leaks_between_splits_and_doubled_nodes_are_problems(tmp_path: Path) -> None:
    samples = random_episode(np.random.default_rng(0), 0, 2)
    write_episode(episode_path(tmp_path, "train", 0), [*samples, samples[0]])
    write_episode(episode_path(tmp_path, "valid", 0), samples)
    assert inspect_dataset(tmp_path).all_problems == (
        "1 instances are in both train and valid",
        "train: sample 2 (episode 0, node 1): its tree node was sampled before",
    )


def test_an_empty_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no samples; collect some first"):
        inspect_dataset(tmp_path)
