"""The space of settings: exact, known to SCIP, and each option does something."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyscipopt
import pytest

from gnn_branching.contracts import (
    FEATURE_SCHEMA,
    BranchingState,
    CandidateSet,
    FeatureRanges,
    FloatArray,
    InputError,
)
from gnn_branching.feature_schema import ROW_FEATURES, VARIABLE_FEATURES
from gnn_branching.solver.settings import (
    EXACT,
    PRESETS,
    ParameterValue,
    SolveLimits,
    file_parameters,
    parameter_file,
    read_parameters,
)
from gnn_branching.solver.solve import prepare_solve
from gnn_branching.tuning.space import (
    GUARDED_PRESETS,
    RULE,
    SCIP_DEFAULT,
    SPACE,
    is_policy,
    point,
    rules_for,
    settings_of,
)
from tests.solver.test_random_programs import write_program

N_PROGRAMS = 100
INEXACT = ("limits/", "numerics/", "randomization/", "timing/", "branching/", "reoptimization/", "benders/", "misc/")
"""Beginnings of names that can end a solve early, change what a solution is, or belong to somebody else."""


def random_point(seed: int) -> dict[str, str]:
    rng = np.random.default_rng(seed)
    return {name: str(rng.choice(list(options))) for name, options in SPACE.items()}


def parameters(text: str) -> dict[str, str]:
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return dict(line.split(" = ", 1) for line in lines if line)


@pytest.mark.parametrize("name", SPACE)
def test_every_option_keeps_a_solve_exact(name: str) -> None:
    for option in SPACE[name]:
        for parameter in parameters(settings_of({name: option})):
            assert parameter.startswith(EXACT)
            assert parameter == "misc/usesymmetry" or not parameter.startswith(INEXACT)
            assert "tol" not in parameter


def test_scip_as_it_comes_is_the_origin() -> None:
    assert parameters(settings_of(point())) == {}
    assert all(SPACE[name][SCIP_DEFAULT] == {} for name in SPACE)


def test_bundles_come_before_single_parameters() -> None:
    text = parameter_file({"heuristics/rins/freq": 7, "heuristics/emphasis": "off"})
    assert parameters(text)["heuristics/rins/freq"] == "7"
    assert parameters(text)["heuristics/rens/freq"] == "-1"


def test_diving_off_leaves_no_dive_that_scip_comes_with() -> None:
    off = parameters(settings_of(point(diving="off")))
    frequencies = {name: value for name, value in pyscipopt.Model().getParams().items() if name.endswith("diving/freq")}
    dives = {name for name, value in frequencies.items() if value > 0}
    assert off.keys() == dives - {"heuristics/adaptivediving/freq"}


def test_any_scip_reads_the_file(tmp_path: Path) -> None:
    file = tmp_path / "recipe.set"
    for seed in range(20):
        file.write_text(settings_of(random_point(seed)))
        model = pyscipopt.Model()
        read_parameters(model, file)
        model.writeParams(str(tmp_path / "again.set"), comments=False, onlychanged=True, verbose=False)
        assert parameters((tmp_path / "again.set").read_text()) == parameters(file.read_text())


def test_a_hundred_random_programs_under_random_points(tmp_path: Path) -> None:
    settings = tmp_path / "point.set"
    for seed in range(N_PROGRAMS):
        path = tmp_path / f"{seed}.lp"
        write_program(path, seed)
        settings.write_text(settings_of(random_point(seed)))
        theirs, ours = (
            prepare_solve(path, rule="relpscost", settings=name, seed=0, limits=SolveLimits()).run()
            for name in ("default", str(settings))
        )
        assert ours.status is theirs.status, path
        assert ours.primal_bound == pytest.approx(theirs.primal_bound, rel=1e-6, abs=1e-6), path


class Foreigner:
    """A policy that was made for other models, under some settings."""

    name, feature_schema, candidate_set = "foreigner", FEATURE_SCHEMA, CandidateSet.LP
    ranges = FeatureRanges(
        row=np.full((2, len(ROW_FEATURES)), 1e9),
        edge=np.full((2, 1), 1e9),
        variable=np.full((2, len(VARIABLE_FEATURES)), 1e9),
    )

    def __init__(self, recipe: Path) -> None:
        self._recipe = recipe

    def scores(self, state: BranchingState) -> FloatArray:
        raise AssertionError("it never branches")

    def recipe_parameters(self) -> Mapping[str, ParameterValue]:
        return file_parameters(self._recipe)


def test_random_points_are_left_at_the_root_of_random_programs(tmp_path: Path) -> None:
    settings = tmp_path / "point.set"
    n_left = 0
    for seed in range(N_PROGRAMS):
        path = tmp_path / f"{seed}.lp"
        write_program(path, seed)
        settings.write_text(settings_of(random_point(seed)))
        theirs, ours = (
            prepare_solve(path, rule=rule, settings=name, seed=0, limits=SolveLimits(), rule_settings="guarded").run()
            for rule, name in (("relpscost", "default"), (Foreigner(settings), str(settings)))
        )
        assert ours.status is theirs.status, path
        assert ours.primal_bound == pytest.approx(theirs.primal_bound, rel=1e-6, abs=1e-6), path
        assert ours.rule.n_decisions == 0
        assert set(ours.rule.fallbacks) <= {"guard-recipe", "guard-input"}
        n_left += ours.rule.fallbacks.get("guard-recipe", 0)
    assert n_left > 20


def test_what_is_unknown_is_refused() -> None:
    with pytest.raises(InputError, match="no dimension 'cutting'"):
        point(cutting="off")
    with pytest.raises(InputError, match="'slow' is no option; there are default, fast, off, aggressive"):
        settings_of({"heuristics": "slow"})
    with pytest.raises(InputError, match="SCIP does not take these parameters"):
        parameter_file({"separating/nosuch": 3})
    with pytest.raises(InputError, match="neither a preset of a policy nor a rule of SCIP"):
        is_policy("best")


def test_who_may_branch() -> None:
    assert rules_for("set-cover") == ("guarded", "verified-top", "relpscost", "pscost")
    assert all(PRESETS[preset].guard for preset in GUARDED_PRESETS)
    assert rules_for("pscost") == ("pscost", "relpscost")
    assert [is_policy(rule) for rule in ("guarded", "relpscost")] == [True, False]
    assert RULE not in SPACE
