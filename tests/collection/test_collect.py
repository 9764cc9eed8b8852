from __future__ import annotations

import fcntl
import io
import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from gnn_branching.collection import CollectionDisplay, CollectionProgress, collect_dataset
from gnn_branching.collection import collect as module
from gnn_branching.contracts import InputError
from gnn_branching.execution import LocalExecutor
from gnn_branching.shards import episode_path, open_dataset, open_episode
from gnn_branching.shards.description import DESCRIPTION_NAME
from tests.collection.toys import contents, toy_config, toy_instances, toy_sampler


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("reference")
    collect_dataset(
        toy_config(), toy_instances(folder / "i"), folder / "d", LocalExecutor(workers=1), sampler=toy_sampler
    )
    return contents(folder / "d")


def test_the_dataset_is_the_first_samples_in_episode_order(tmp_path: Path) -> None:
    states: list[CollectionProgress] = []
    description = collect_dataset(
        toy_config(),
        toy_instances(tmp_path / "i"),
        tmp_path / "d",
        LocalExecutor(workers=2),
        sampler=toy_sampler,
        on_progress=states.append,
    )
    for split, count in (("train", 60), ("valid", 12), ("test", 5)):
        samples = list(open_dataset(tmp_path / "d", split))
        assert len(samples) == count == description.splits[split].n_samples
        places = [(sample.origin.episode, sample.origin.tree_node) for sample in samples]
        assert places == sorted(set(places))
        assert {state.n_wanted for state in states if state.split == split} == {count}
        assert [state.is_complete for state in states if state.split == split][-1]
    assert description.recipe["seed"] == 3


@pytest.mark.parametrize("workers", [2, 5])
def test_workers_change_nothing(workers: int, tmp_path: Path, reference: dict[str, bytes]) -> None:
    executor = LocalExecutor(workers=workers)
    collect_dataset(toy_config(), toy_instances(tmp_path / "i"), tmp_path / "d", executor, sampler=toy_sampler)
    assert contents(tmp_path / "d") == reference


def test_another_seed_gives_other_samples(tmp_path: Path, reference: dict[str, bytes]) -> None:
    executor = LocalExecutor(workers=2)
    instances = toy_instances(tmp_path / "i")
    collect_dataset(toy_config(seed=4), instances, tmp_path / "d", executor, sampler=toy_sampler)
    assert contents(tmp_path / "d")["train/episode-000000.arrow"] != reference["train/episode-000000.arrow"]
    seeds = {sample.origin.scip_seed for sample in open_dataset(tmp_path / "d", "train")}
    assert len(seeds) == len({sample.origin.episode for sample in open_dataset(tmp_path / "d", "train")})


def test_killed_processes_of_episodes_change_nothing(tmp_path: Path) -> None:
    for name, text in (("calm", "good"), ("wild", "dies once")):
        instances = toy_instances(tmp_path / name, text)
        executor = LocalExecutor(workers=2)
        collect_dataset(toy_config(), instances, tmp_path / f"{name}-dataset", executor, sampler=toy_sampler)
    assert list((tmp_path / "wild").glob("train-0.train*"))
    assert contents(tmp_path / "wild-dataset") == contents(tmp_path / "calm-dataset")


def test_a_broken_instance_is_set_aside_and_the_rest_goes_on(tmp_path: Path) -> None:
    datasets = []
    for workers in (1, 3):
        instances = toy_instances(tmp_path / "i", "broken", "crashes")
        dataset = tmp_path / f"d{workers}"
        executor = LocalExecutor(workers=workers)
        description = collect_dataset(toy_config(), instances, dataset, executor, sampler=toy_sampler)
        assert len(open_dataset(dataset, "train")) == 60
        entries = [json.loads(line) for line in (dataset / "set-aside.jsonl").read_text().splitlines()]
        assert {entry["reason"] for entry in entries} == {
            "SCIP cannot read train-0.lp: broken",
            "process died of SIGSEGV, 3 times",
        }
        assert [entry["episode"] for entry in entries] == sorted({entry["episode"] for entry in entries})
        assert description.splits["train"].n_failed_episodes == len(entries)
        datasets.append(contents(dataset))
    assert datasets[0] == datasets[1]


def test_a_finished_dataset_is_left_alone_and_can_grow(tmp_path: Path, reference: dict[str, bytes]) -> None:
    instances, executor = toy_instances(tmp_path / "i"), LocalExecutor(workers=2)
    for counts in ((20, 12, 5), (20, 12, 5), (60, 12, 5)):
        collect_dataset(toy_config(*counts), instances, tmp_path / "d", executor, sampler=toy_sampler)
        assert len(open_dataset(tmp_path / "d", "train")) == counts[0]
    assert contents(tmp_path / "d") == reference
    collect_dataset(toy_config(7, 12, 5), instances, tmp_path / "d", executor, sampler=toy_sampler)
    assert len(open_dataset(tmp_path / "d", "train")) == 7
    assert contents(tmp_path / "d").keys() == reference.keys()


def test_a_damaged_shard_is_collected_again(tmp_path: Path, reference: dict[str, bytes]) -> None:
    instances, executor = toy_instances(tmp_path / "i"), LocalExecutor(workers=2)
    collect_dataset(toy_config(), instances, tmp_path / "d", executor, sampler=toy_sampler)
    damaged, missing = (episode_path(tmp_path / "d", "train", number) for number in (2, 5))
    damaged.write_bytes(damaged.read_bytes()[:-3])
    missing.unlink()
    (tmp_path / "d" / "train" / ".episode-000009.arrow.1.partial").write_bytes(b"rubbish")
    collect_dataset(toy_config(), instances, tmp_path / "d", executor, sampler=toy_sampler)
    assert contents(tmp_path / "d") == reference


def test_a_gap_is_filled_even_if_later_episodes_have_samples_enough(
    tmp_path: Path, reference: dict[str, bytes]
) -> None:
    """As a collector leaves it that is killed when a later episode has just overtaken an earlier one."""
    instances, executor = toy_instances(tmp_path / "i"), LocalExecutor(workers=2)
    collect_dataset(toy_config(), instances, tmp_path / "d", executor, sampler=toy_sampler)
    whole = [sample.origin for sample in open_dataset(tmp_path / "d", "train")]
    gap = next(sample.episode for sample in whole)
    episode_path(tmp_path / "d", "train", gap).unlink()
    (tmp_path / "d" / DESCRIPTION_NAME).unlink()
    collect_dataset(toy_config(20, 12, 5), instances, tmp_path / "d", executor, sampler=toy_sampler)
    assert [sample.origin for sample in open_dataset(tmp_path / "d", "train")] == whole[:20]
    name = f"train/{episode_path(tmp_path, 'train', gap).name}"
    assert contents(tmp_path / "d")[name] == reference[name]


def test_another_recipe_is_refused(tmp_path: Path) -> None:
    instances, executor = toy_instances(tmp_path / "i"), LocalExecutor(workers=2)
    collect_dataset(toy_config(5, 2, 2), instances, tmp_path / "d", executor, sampler=toy_sampler)
    with pytest.raises(InputError, match=r"another recipe \(seed is 3 there, 4 asked\); choose another folder"):
        collect_dataset(toy_config(5, 2, 2, seed=4), instances, tmp_path / "d", executor, sampler=toy_sampler)
    fewer = toy_instances(tmp_path / "other", "good too")
    with pytest.raises(InputError, match=r"another recipe \(instances\.train is"):
        collect_dataset(toy_config(5, 2, 2), fewer, tmp_path / "d", executor, sampler=toy_sampler)


def test_a_dataset_of_before_the_search_features_goes_on_without_them(tmp_path: Path) -> None:
    instances, executor = toy_instances(tmp_path / "i"), LocalExecutor(workers=2)
    config = toy_config(5, 2, 2)
    without = replace(config, collection=replace(config.collection, search_features=False))
    collect_dataset(without, instances, tmp_path / "d", executor, sampler=toy_sampler)
    path = tmp_path / "d" / DESCRIPTION_NAME
    described = json.loads(path.read_text())
    del described["recipe"]["collection"]["search_features"]
    del described["recipe"]["collection"]["schema"]
    path.write_text(json.dumps(described))
    for asked in (without, config):  # a network that does not see them needs none
        collect_dataset(asked, instances, tmp_path / "d", executor, sampler=toy_sampler)
    searching = replace(config, model=replace(config.model, search="head"))
    with pytest.raises(InputError, match=r"another recipe \(collection\.search_features is False there, True asked\)"):
        collect_dataset(searching, instances, tmp_path / "d", executor, sampler=toy_sampler)


def test_a_second_collector_is_kept_away(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with closing((tmp_path / "d" / ".lock").open("w")) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another process is collecting into"):
            collect_dataset(toy_config(), toy_instances(tmp_path / "i"), tmp_path / "d", LocalExecutor())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("solved at the root", "6 episodes in a row gave no train sample; SCIP solves them at the root, or nearly"),
        ("broken", r"6 episodes in a row gave no train sample; \d+ failed, the last with: SCIP cannot read"),
    ],
)
def test_a_barren_collection_ends(content: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "N_BARREN_EPISODES", 6)
    instances = toy_instances(tmp_path / "i")
    Path(instances.train[0].path).write_text(content)
    with pytest.raises(InputError, match=message):
        collect_dataset(toy_config(), instances, tmp_path / "d", LocalExecutor(workers=1), sampler=toy_sampler)


def test_an_interrupt_keeps_what_is_finished(tmp_path: Path, reference: dict[str, bytes]) -> None:
    def interrupt(progress: CollectionProgress) -> None:
        if progress.n_samples > 20:
            raise KeyboardInterrupt

    instances, executor = toy_instances(tmp_path / "i"), LocalExecutor(workers=2)
    with pytest.raises(KeyboardInterrupt):
        collect_dataset(toy_config(), instances, tmp_path / "d", executor, sampler=toy_sampler, on_progress=interrupt)
    kept = sorted((tmp_path / "d" / "train").iterdir())
    assert sum(open_episode(path).n_samples for path in kept) > 20
    collect_dataset(toy_config(), instances, tmp_path / "d", executor, sampler=toy_sampler)
    assert contents(tmp_path / "d") == reference


def test_the_display_shows_counts_speed_and_failures() -> None:
    console = Console(force_terminal=True, width=150, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    with CollectionDisplay(console) as display:
        for n_samples in (5, 40):
            display.update(
                CollectionProgress(split="train", n_samples=n_samples, n_wanted=80, n_episodes=9, n_failed_episodes=2)
            )
    text = console.export_text()
    for part in ("train", "40/80 samples", "samples/s", "9 episodes", "2 failed"):
        assert part in text


@pytest.mark.parametrize(("seconds", "n_lines"), [(0.0, 3), (1e6, 1)])
def test_without_a_terminal_lines_come_now_and_then(seconds: float, n_lines: int) -> None:
    stream = io.StringIO()
    with CollectionDisplay(Console(file=stream, width=150), seconds_between_lines=seconds) as display:
        for n_samples in (5, 40, 80, 80):
            progress = CollectionProgress(
                split="train",
                n_samples=n_samples,
                n_wanted=80,
                n_episodes=9,
                n_failed_episodes=2,
                is_complete=n_samples == 80,
            )
            display.update(progress)
    lines = stream.getvalue().splitlines()
    assert len(lines) == n_lines
    assert lines[-1] == "train: 80 samples, 9 episodes, 2 failed"
    if n_lines > 1:
        assert lines[0] == "train: 5 of 80 samples, 9 episodes, 2 failed"
