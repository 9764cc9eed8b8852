"""Who generates: Ecole where it is, the package elsewhere, and whoever began a folder until it is done."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gnn_branching.config import parse_overrides
from gnn_branching.contracts import InputError
from gnn_branching.instances import generate_instances, get_family, prepare_splits, read_manifest
from gnn_branching.instances.generators import OWN, choose_generator
from gnn_branching.solver.ecole_module import ecole_name
from tests.instances.test_generate import HereExecutor


@pytest.fixture
def hide_ecole(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    return lambda: monkeypatch.setitem(sys.modules, "ecole", None)


def generate(n_instances: int, folder: Path) -> set[str]:
    """Return who wrote the instances of a folder, as its manifest says."""
    generate_instances("set-cover", "easy", n_instances, folder, executor=HereExecutor())
    return {instance.generator for instance in read_manifest(folder, verify=True).instances}


def forget_generators(folder: Path) -> None:
    """Make a manifest one of the versions that knew Ecole alone."""
    document = json.loads((folder / "manifest.json").read_text())
    for entry in document["instances"]:
        del entry["generator"]
    (folder / "manifest.json").write_text(json.dumps(document))


def test_ecole_generates_where_it_is(tmp_path: Path) -> None:
    assert generate(1, tmp_path) == {ecole_name()} == {"ecole 0.10.0"}
    assert choose_generator(get_family("lot-sizing"), ()) == ""


def test_the_package_generates_elsewhere_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hide_ecole: Callable[[], None]
) -> None:
    hide_ecole()
    assert generate(1, tmp_path) == {OWN}
    first = read_manifest(tmp_path).instances[0].sha256
    monkeypatch.undo()
    assert ecole_name()
    assert generate(2, tmp_path) == {OWN}
    assert read_manifest(tmp_path).instances[0].sha256 == first


@pytest.mark.parametrize("is_old", [False, True])
def test_what_ecole_began_is_refused_without_it(tmp_path: Path, hide_ecole: Callable[[], None], is_old: bool) -> None:
    generate(1, tmp_path)
    if is_old:
        forget_generators(tmp_path)
    hide_ecole()
    generate(1, tmp_path)  # nothing is missing, nothing is asked of Ecole
    with pytest.raises(InputError, match=r"set-cover were begun by the generator of ecole.*no Ecole; install it"):
        generate(2, tmp_path)
    assert len(read_manifest(tmp_path, verify=True).instances) == 1


def test_all_splits_of_a_run_have_one_generator(tmp_path: Path, hide_ecole: Callable[[], None]) -> None:
    wanted = parse_overrides(["instances.n_train=2", "instances.n_valid=1", "instances.n_test=1"]).instances
    with pytest.raises(KeyboardInterrupt):
        prepare_splits(wanted, 0, tmp_path, HereExecutor(2))  # type: ignore[arg-type]
    hide_ecole()
    with pytest.raises(InputError, match="begun by the generator of ecole"):
        prepare_splits(wanted, 0, tmp_path, HereExecutor())  # type: ignore[arg-type]
    splits = prepare_splits(wanted, 0, tmp_path / "fresh", HereExecutor())  # type: ignore[arg-type]
    assert {file.generator for split in ("train", "valid", "test") for file in splits.of(split)} == {OWN}
