"""The search: real solves, interrupted and continued, and what must not win."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("optuna")

from gnn_branching.contracts import InputError, SolveFigures, SolveStatus
from gnn_branching.evaluation.solves import solving
from gnn_branching.evaluation.solves.competitors import parse_policy
from gnn_branching.evaluation.solves.plan import ResourceLimits, SolveJob, instance_files
from gnn_branching.evaluation.solves.runner import RunnerOptions
from gnn_branching.tuning.search import NothingToSaveError, Search, Trial, differences
from gnn_branching.tuning.space import RULE, point, rules_for

STARTS = ({RULE: "guarded", **point()}, {RULE: "guarded", **point(heuristics="off", separating="off")})


def liar(job: SolveJob) -> SolveFigures:
    """Without heuristics, be fast and wrong."""
    figures = solving.solve_job(job)
    if "heuristics/rins/freq = -1" not in Path(job.settings).read_text():
        return replace(figures, cpu_seconds=10.0)
    return replace(figures, cpu_seconds=1.0, primal_bound=figures.primal_bound + 1, dual_bound=figures.dual_bound + 1)


def slow_where_untouched(job: SolveJob) -> SolveFigures:
    figures = solving.solve_job(job)
    return replace(figures, cpu_seconds=10.0 if "freq = -1" not in Path(job.settings).read_text() else 1.0)


def at_once(job: SolveJob) -> SolveFigures:
    return replace(solving.solve_job(job), cpu_seconds=0.01)


def at_the_limit(job: SolveJob) -> SolveFigures:
    return replace(solving.solve_job(job), status=SolveStatus.TIME_LIMIT)


@pytest.fixture
def search(small_instances: Mapping[str, list[Path]], tmp_path: Path) -> Search:
    files = instance_files(small_instances["set-cover"], family="set-cover")
    return Search(
        folder=tmp_path / "search",
        policy=parse_policy("set-cover"),
        rules=rules_for("set-cover"),
        starts=STARTS,
        race=[(file, 0) for file in files[:3]],
        finals=[(file, 1) for file in files[3:5]],
        limits=ResourceLimits(time_limit_seconds=20.0),
        seconds=3600.0,
        most_trials=3,
        runner=RunnerOptions(n_workers=2, target="tests.tuning.test_search:slow_where_untouched"),
    )


def test_what_is_faster_wins(search: Search) -> None:
    seen: list[Trial] = []
    search.on_trial = seen.append
    found = search.run()
    assert found.trials[0].ratio == pytest.approx(1.0)
    assert found.trials[0].options == {}
    assert found.trials[1].options == {"heuristics": "off", "separating": "off"}
    assert found.trials[1].ratio == pytest.approx(1.1 / 10.1)
    assert differences(found.best) != {}
    assert found.ratio == pytest.approx(1.1 / 10.1)
    assert search.parameter_file(found.best).read_text()
    assert tuple(seen) == found.trials
    written = json.loads((search.folder / "trials.json").read_text())["trials"]
    assert [trial["number"] for trial in written] == [trial.number for trial in found.trials]


def test_interrupted_it_goes_on_and_solves_nothing_twice(search: Search) -> None:
    class KilledError(Exception):
        pass

    def kill(trial: Trial) -> None:
        raise KilledError

    search.on_trial = kill
    with pytest.raises(KilledError):
        search.run()
    rows = {path: path.stat().st_mtime_ns for path in (search.folder / "rows").iterdir()}
    again = replace(search, on_trial=lambda trial: None)
    found = again.run()
    assert found.trials[0].number == 0
    assert len({trial.number for trial in found.trials}) == len(found.trials) >= 2
    assert {path: path.stat().st_mtime_ns for path in rows} == rows
    asked = again.run()
    assert (asked.best, asked.n_solves) == (found.best, found.n_solves)  # once the time is up, the same answer


def test_a_wrong_optimum_loses_however_fast(search: Search) -> None:
    search.runner = RunnerOptions(n_workers=2, target="tests.tuning.test_search:liar")
    found = search.run()
    wrong = [trial for trial in found.trials if trial.options.get("heuristics") == "off"]
    assert wrong
    assert all(trial.ratio > 1 and not trial.finished for trial in wrong)
    assert differences(found.best) == {} or found.best["heuristics"] not in ("off", "fast")


def test_what_cannot_be_searched_is_refused(search: Search) -> None:
    with pytest.raises(InputError, match="2 instances are too few to search on; give 6 or more"):
        replace(search, race=search.race[:2]).run()
    limited = RunnerOptions(n_workers=2, target="tests.tuning.test_search:at_the_limit")
    with pytest.raises(InputError, match="none of these models is solved within the time limit"):
        replace(search, runner=limited, folder=search.folder / "limited").run()
    with pytest.raises(NothingToSaveError, match="leaves nothing to save"):
        replace(search, runner=RunnerOptions(target="tests.tuning.test_search:at_once")).run()
