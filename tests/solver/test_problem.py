"""Bad problem files and settings get one clear line."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path

import pytest

from gnn_branching.contracts import InputError
from gnn_branching.evaluation.solves.plan import PolicySpec, ResourceLimits, build_plan, instance_files
from gnn_branching.solver.ecole_module import write_generated
from gnn_branching.solver.problem import read_problem
from gnn_branching.solver.settings import NAMED_SETTINGS, SolveLimits, apply_settings, prefer_scip_rule


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("bad.lp", "Minimize\n obj: x\nSubject To\n c1 x + + y >= \nfoo\n", "Syntax error in line 4"),
        ("bad.mps", "NAME x\nROWS\n N obj\n L c\nCOLUMNS\n  x zz 3\n", "Syntax error in line 6"),
        ("empty.lp", "\n", "neither variables nor constraints"),
        ("model.txt", "Minimize", "ends in none of .lp, .mps"),
    ],
)
def test_malformed_files(tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        read_problem(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_problem(tmp_path / "none.lp")
    with pytest.raises(InputError, match="it is a folder"):
        read_problem(tmp_path)


def test_compressed_files_read_like_plain_ones(small_instances: Mapping[str, list[Path]], tmp_path: Path) -> None:
    plain = small_instances["set-cover"][0]
    packed = tmp_path / "packed.lp.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read_problem(packed).getNVars() == read_problem(plain).getNVars()


@pytest.mark.parametrize("name", NAMED_SETTINGS)
def test_named_settings_reach_scip(small_instances: Mapping[str, list[Path]], name: str) -> None:
    model = read_problem(small_instances["set-cover"][0])
    apply_settings(model, name, seed=3)
    wanted = NAMED_SETTINGS[name]
    assert {parameter: model.getParam(parameter) for parameter in wanted} == dict(wanted)
    (instance,) = instance_files(small_instances["set-cover"][:1], family="set-cover")
    rule = PolicySpec(name="relpscost")
    (job,) = build_plan([instance], [rule], seeds=[0], settings=[name], limits=ResourceLimits())
    assert job.settings == name


def test_settings_rules_and_limits_are_checked(small_instances: Mapping[str, list[Path]], tmp_path: Path) -> None:
    model = read_problem(small_instances["set-cover"][0])
    with pytest.raises(InputError, match="'fast' are neither one of paper, default nor a parameter file"):
        apply_settings(model, "fast", seed=0)
    with pytest.raises(InputError, match="no branching rule 'best'; it has relpscost"):
        prefer_scip_rule(model, "best")
    with pytest.raises(InputError, match="node_limit = -1 must be zero or more"):
        SolveLimits(node_limit=-1)
    parameters = tmp_path / "mine.set"
    parameters.write_text("limits/nodes = 17\n")
    apply_settings(model, str(parameters), seed=4, limits=SolveLimits(time_limit_seconds=9.0))
    assert model.getParam("limits/nodes") == 17
    assert model.getParam("limits/time") == 9.0
    assert model.getParam("randomization/randomseedshift") == 4


def test_generation_depends_on_the_seed_alone(tmp_path: Path) -> None:
    arguments = {"n_rows": 20, "n_cols": 30, "density": 0.2}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_generated("SetCover", arguments, seed, tmp_path / f"{name}.lp")
    texts = [(tmp_path / f"{name}.lp").read_text() for name in "abc"]
    assert texts[0] == texts[1] != texts[2]
    with pytest.raises(InputError, match="no generator 'Cover'; it has"):
        write_generated("Cover", {}, 0, tmp_path / "d.lp")
    with pytest.raises(InputError, match=r"refuses \{'n_row': 3\}"):
        write_generated("SetCover", {"n_row": 3}, 0, tmp_path / "d.lp")
    with pytest.raises(InputError, match="Incompatible dimension"):
        write_generated("SetCover", {"n_rows": 20, "n_cols": 30, "density": 0.05}, 0, tmp_path / "d.lp")
