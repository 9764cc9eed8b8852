from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from conftest import toy_plan

from gnn_branching.contracts import InputError
from gnn_branching.evaluation.solves.competitors import parse_policy
from gnn_branching.evaluation.solves.plan import PolicySpec, ResourceLimits, instance_files, with_recording
from gnn_branching.evaluation.solves.store import dump_job, parse_job


def test_every_combination_once_and_blocks_stay_together() -> None:
    jobs = toy_plan(3, seeds=(4, 5), policies=("relpscost", "pscost", "random"), settings=("paper", "default"))
    assert len(jobs) == len({job.job_id for job in jobs}) == 3 * 2 * 3 * 2
    blocks = [jobs[start : start + 6] for start in range(0, len(jobs), 6)]
    for block in blocks:
        assert len({(job.instance.path, job.seed) for job in block}) == 1
        assert len({(job.policy.name, job.settings) for job in block}) == 6
    orders = {tuple((job.policy.name, job.settings) for job in block) for block in blocks}
    assert len(orders) > 1, "a fixed order would always give one method the warmest caches"


def test_first_seed_sees_every_instance_first() -> None:
    assert [job.seed for job in toy_plan(3, seeds=(9, 2))] == [9] * 6 + [2] * 6


def test_plan_is_reproducible_and_ids_survive_json() -> None:
    scip, pscost = "relpscost", "pscost"
    assert [job.policy.name for job in toy_plan()] == [scip, pscost, scip, pscost, pscost, scip, pscost, scip]
    for job in toy_plan():
        assert parse_job(dump_job(job)) == job
        assert parse_job(dump_job(job)).job_id == job.job_id


def test_id_changes_with_whatever_changes_the_outcome() -> None:
    job = toy_plan()[0]
    others = [
        replace(job, seed=17),
        replace(job, settings="default"),
        replace(job, policy=replace(job.policy, fingerprint="retrained")),
        replace(job, instance=replace(job.instance, sha256="1" * 64)),
        replace(job, limits=replace(job.limits, time_limit_seconds=61.0)),
    ]
    assert len({job.job_id, *(other.job_id for other in others)}) == 6


def test_policies_by_rule_name_folder_and_label(tmp_path: Path) -> None:
    folder = tmp_path / "my-run" / "policy"
    folder.mkdir(parents=True)
    (folder / "card.json").write_text("{}")
    assert parse_policy("pscost") == PolicySpec(name="pscost")
    assert not parse_policy("pscost").is_learned
    spec = parse_policy(str(folder))
    assert (spec.name, spec.source, spec.is_learned) == ("my-run", str(folder), True)
    assert parse_policy(f"ours={folder}") == replace(spec, name="ours")
    assert parse_policy(f"{folder}@verified") == replace(spec, name="my-run@verified", preset="verified")
    assert parse_policy("hf://me/mine").source == "hf://me/mine"
    (folder / "model.safetensors").write_bytes(b"other weights")
    assert parse_policy(str(folder)).fingerprint != spec.fingerprint


def test_bad_policies_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is empty"):
        parse_policy("")
    with pytest.raises(InputError, match="is empty"):
        parse_policy("=folder")
    with pytest.raises(InputError, match=r"'bold' of policy .* unknown; there are guarded"):
        parse_policy("mine@bold")
    with pytest.raises(InputError, match="the preset goes behind the folder, mine@plain=folder@plain"):
        parse_policy("mine@plain=folder")
    with pytest.raises(InputError, match="'relpscots' is neither a folder nor one of relpscost"):
        parse_policy("relpscots")
    with pytest.raises(InputError, match="holds no policy"):
        parse_policy(str(tmp_path))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seeds": ()}, "no seed given"),
        ({"seeds": (1, 1)}, "seed '1' is given twice"),
        ({"settings": ("fast",)}, "allowed: paper, default or a SCIP"),
        ({"policies": ("pscost", "pscost")}, "label=folder"),
        ({"n_instances": 0}, "no instance given"),
    ],
)
def test_bad_plans_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        toy_plan(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"time_limit_seconds": 0.0}, "must be positive"),
        ({"time_limit_seconds": float("nan")}, "must be positive"),
        ({"node_limit": -1}, "must not be negative"),
        ({"memory_limit_mib": 10}, "256 MiB"),
    ],
)
def test_impossible_limits_are_refused(changes: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        ResourceLimits(**changes)  # type: ignore[arg-type]


def test_a_recording_is_another_job(tmp_path: Path) -> None:
    job = toy_plan()[0]
    recording = with_recording(job, tmp_path / "tree.jsonl")
    assert recording.recording_path == str(tmp_path / "tree.jsonl")
    assert recording.job_id != job.job_id
    assert replace(recording, recording_path="") == job


def test_files_are_described_with_their_hash(tmp_path: Path) -> None:
    path = tmp_path / "a.lp"
    path.write_bytes(b"")
    (file,) = instance_files([path], family="mine")
    assert file.sha256 == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    with pytest.raises(InputError, match="does not exist"):
        instance_files([tmp_path / "b.lp"], family="mine")
