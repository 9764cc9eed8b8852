from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from gnn_branching.contracts import InputError
from gnn_branching.execution import LocalExecutor
from gnn_branching.execution.protocol import JobOutcome, Outcomes
from gnn_branching.instances import content_sha256, family, generate_instances, read_manifest, register_family
from gnn_branching.instances.generate import instance_seed
from tests.instances.toys import write_toy


class HereExecutor:
    """Runs jobs in this process, and stops after so many as if interrupted."""

    def __init__(self, n_jobs: int | None = None) -> None:
        self.n_jobs = n_jobs
        self.n_done = 0

    def run(self, function: Callable[..., object], payloads: Sequence[object]) -> Outcomes[object]:
        for index, payload in enumerate(payloads):
            if self.n_done == self.n_jobs:
                raise KeyboardInterrupt
            self.n_done += 1
            yield JobOutcome(index=index, result=function(payload))


@pytest.fixture(autouse=True)
def toy_family(monkeypatch: pytest.MonkeyPatch) -> None:
    family.family_names()
    monkeypatch.setattr(family, "_registered", dict(family._registered))
    register_family("toy", write_toy, sizes={"tiny": {"n_variables": 3}, "small": {"n_variables": 5}})


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("compressed", [False, True])
def test_instances_and_their_manifest(tmp_path: Path, compressed: bool) -> None:
    counts: list[int] = []
    made = generate_instances(
        "toy", "tiny", 4, tmp_path, executor=HereExecutor(), seed=5, compressed=compressed, on_instance=counts.append
    )
    assert counts == [0, 1, 2, 3, 4]
    assert read_manifest(tmp_path, verify=True) == made
    assert len({instance.sha256 for instance in made.instances}) == 4
    first = Path(made.instances[0].path)
    assert first.name == "toy-tiny-000000.lp" + (".gz" if compressed else "")
    text = gzip.decompress(first.read_bytes()) if compressed else first.read_bytes()
    write_toy(tmp_path / "again", instance_seed(5, "toy", "tiny", "train", 0), 3)
    assert text == (tmp_path / "again").read_bytes()


def test_processes_change_nothing(tmp_path: Path) -> None:
    for folder, executor in ((tmp_path / "here", HereExecutor()), (tmp_path / "there", LocalExecutor(workers=2))):
        generate_instances("set-cover", "easy", 3, folder, executor=executor, compressed=True)
    assert contents(tmp_path / "here") == contents(tmp_path / "there")


def test_an_interrupted_generation_goes_on(tmp_path: Path) -> None:
    generate_instances("toy", "tiny", 6, tmp_path / "whole", executor=HereExecutor())
    folder = tmp_path / "parts"
    with pytest.raises(KeyboardInterrupt):
        generate_instances("toy", "tiny", 6, folder, executor=HereExecutor(4))
    assert len(read_manifest(folder, verify=True).instances) == 4
    (folder / "toy-tiny-000001.lp").write_text("damaged")
    (folder / "toy-tiny-000002.lp").unlink()
    executor = HereExecutor()
    generate_instances("toy", "tiny", 6, folder, executor=executor)
    assert executor.n_done == 4
    assert contents(folder) == contents(tmp_path / "whole")


def test_sizes_share_a_folder_and_another_seed_replaces(tmp_path: Path) -> None:
    generate_instances("toy", "tiny", 2, tmp_path, executor=HereExecutor())
    generate_instances("toy", "small", 1, tmp_path, executor=HereExecutor())
    assert [instance.size for instance in read_manifest(tmp_path, verify=True).instances] == ["tiny", "tiny", "small"]
    before = contents(tmp_path)
    generate_instances("toy", "tiny", 2, tmp_path, executor=HereExecutor(), seed=9)
    after = contents(tmp_path)
    assert {name for name in before if before[name] != after[name]} == {
        "manifest.json",
        "toy-tiny-000000.lp",
        "toy-tiny-000001.lp",
    }


def test_no_seed_is_in_two_splits() -> None:
    seeds = [
        instance_seed(root, "toy", "tiny", split, index)
        for root in (0,)
        for split in ("train", "valid", "test")
        for index in range(20_000)
    ]
    assert len(set(seeds)) == len(seeds)
    with pytest.raises(InputError, match="split 'dev' is none of train, valid, test"):
        instance_seed(0, "toy", "tiny", "dev", 0)


def test_a_failing_writer_is_named(tmp_path: Path) -> None:
    register_family("sick", write_toy, sizes={"easy": {"n_variables": 3, "depth": 2}})
    with pytest.raises(InputError, match=r"cannot generate .*sick-easy-000000\.lp: TypeError: .*'depth'"):
        generate_instances("sick", "easy", 2, tmp_path, executor=LocalExecutor(workers=1))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no manifest"),
        ("[]", "is no manifest"),
        ('{"version": 9}', "has version 9, this release reads 1"),
        ('{"version": 1}', "is damaged"),
        ('{"version": 1, "instances": [{"path": "a.lp"}]}', "is damaged"),
    ],
)
def test_a_damaged_manifest_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(InputError, match=message):
        read_manifest(tmp_path)


def test_a_manifest_finds_changed_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist; generate the instances first"):
        read_manifest(tmp_path)
    generate_instances("toy", "tiny", 2, tmp_path, executor=HereExecutor())
    (tmp_path / "toy-tiny-000001.lp").write_text("other")
    assert len(read_manifest(tmp_path).instances) == 2
    with pytest.raises(InputError, match=r"toy-tiny-000001\.lp is missing or is not the file of"):
        read_manifest(tmp_path, verify=True)
    assert "/" not in json.loads((tmp_path / "manifest.json").read_text())["instances"][0]["path"]


def test_content_is_what_counts(tmp_path: Path) -> None:
    write_toy(tmp_path / "a.lp", 1, 3)
    (tmp_path / "b.lp.gz").write_bytes(gzip.compress((tmp_path / "a.lp").read_bytes()))
    assert content_sha256(tmp_path / "a.lp") == content_sha256(tmp_path / "b.lp.gz")
    (tmp_path / "c.lp.gz").write_bytes(b"no gzip")
    with pytest.raises(InputError, match=r"c\.lp\.gz cannot be read"):
        content_sha256(tmp_path / "c.lp.gz")
