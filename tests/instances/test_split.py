from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from gnn_branching.config import InstancesConfig
from gnn_branching.contracts import InputError, InstanceFile
from gnn_branching.execution import LocalExecutor
from gnn_branching.instances import InstanceSplits, family, prepare_splits, read_manifest, register_family, split_folder
from gnn_branching.instances.split import _cuts
from tests.instances.toys import write_toy


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "mine"
    found.mkdir()
    for seed in range(20):
        write_toy(found / f"{seed}.lp", seed, 4)
    (found / "notes.txt").write_text("not an instance")
    (found / "3-again.lp.gz").write_bytes(gzip.compress((found / "3.lp").read_bytes()))
    return found


def names(instances: tuple[InstanceFile, ...]) -> set[str]:
    return {Path(instance.path).name for instance in instances}


def test_a_folder_is_split_by_content(folder: Path) -> None:
    splits = split_folder(folder, (6, 2, 2), seed=1)
    assert [len(splits.of(name)) for name in ("train", "valid", "test")] == [12, 4, 4]
    everything = names(splits.train) | names(splits.valid) | names(splits.test)
    assert len(everything) == 20
    assert len({"3.lp", "3-again.lp.gz"} & everything) == 1
    assert split_folder(folder, (6, 2, 2), seed=1) == splits
    assert names(split_folder(folder, (6, 2, 2), seed=2).train) != names(splits.train)


def test_ready_made_splits_are_kept_unless_they_leak(folder: Path, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    for split, numbers in (("train", (0, 1)), ("valid", (2,)), ("test", (3,))):
        (ready / split).mkdir(parents=True)
        for number in numbers:
            (ready / split / f"{number}.lp").write_bytes((folder / f"{number}.lp").read_bytes())
    assert names(split_folder(ready, (1, 1, 1), seed=0).train) == {"0.lp", "1.lp"}
    (ready / "test" / "hidden.lp.gz").write_bytes(gzip.compress((folder / "1.lp").read_bytes()))
    with pytest.raises(InputError, match=r"1\.lp \(train\) and .*hidden\.lp\.gz \(test\) are the same instance"):
        split_folder(ready, (1, 1, 1), seed=0)
    for path in (ready / "valid").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="valid holds no instances"):
        split_folder(ready, (1, 1, 1), seed=0)


def test_too_few_instances_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        split_folder(tmp_path / "none", (1, 1, 1), seed=0)
    write_toy(tmp_path / "a.lp", 1, 3)
    write_toy(tmp_path / "b.mps", 2, 3)
    with pytest.raises(InputError, match=r"holds 2 different instances .* at least 3"):
        split_folder(tmp_path, (1, 1, 1), seed=0)


@pytest.mark.parametrize("n_instances", [3, 4, 10, 100])
@pytest.mark.parametrize("proportions", [(10_000, 1, 1), (1, 1, 10_000), (1, 1, 1)])
def test_no_part_is_empty(n_instances: int, proportions: tuple[int, ...]) -> None:
    first, second = _cuts(n_instances, proportions)
    assert 0 < first < second < n_instances


def test_an_instance_in_two_splits_is_refused() -> None:
    def file(name: str, content: str) -> InstanceFile:
        return InstanceFile(path=name, family="f", size="", seed=None, sha256=content)

    with pytest.raises(InputError, match=r"a\.lp \(train\) and c\.lp \(test\) are the same instance; remove one"):
        InstanceSplits(train=(file("a.lp", "0"),), valid=(file("b.lp", "1"),), test=(file("c.lp", "0"),))


def test_generated_splits_mix_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    family.family_names()
    monkeypatch.setattr(family, "_registered", dict(family._registered))
    register_family("toy", write_toy, sizes={"tiny": {"n_variables": 3}, "small": {"n_variables": 5}})
    config = InstancesConfig(family="toy", sizes=("tiny", "small"), n_train=5, n_valid=2, n_test=1)
    told: list[tuple[str, int]] = []
    splits = prepare_splits(
        config, 7, tmp_path, LocalExecutor(workers=2), lambda split, n_done: told.append((split, n_done))
    )
    assert [instance.size for instance in splits.train] == ["tiny"] * 3 + ["small"] * 2
    assert [len(splits.valid), len(splits.test)] == [2, 1]
    assert ("train", 5) in told
    assert read_manifest(tmp_path / "train", verify=True).instances == splits.train
    assert prepare_splits(config, 7, tmp_path, LocalExecutor(workers=1)) == splits


def test_a_users_folder_is_recorded_not_copied(folder: Path, tmp_path: Path) -> None:
    config = InstancesConfig(folder=folder, n_train=6, n_valid=2, n_test=2)
    splits = prepare_splits(config, 0, tmp_path / "out", LocalExecutor())
    assert read_manifest(tmp_path / "out" / "valid", verify=True).instances == splits.valid
    assert [path.name for path in (tmp_path / "out" / "valid").iterdir()] == ["manifest.json"]
