"""Curves of searches, from the trials that they keep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gnn_branching.contracts import InputError
from gnn_branching.run_folder import RunFolder
from scripts.search_curve import draw, read_curves, table


def trial(ratio: float, seconds: float, *, finished: bool = True) -> dict[str, object]:
    return {"ratio": ratio, "seconds": seconds, "finished": finished}


def test_the_curve_goes_by_races_that_were_run_to_their_end(tmp_path: Path) -> None:
    trials = [trial(1.0, 60), trial(0.1, 90, finished=False), trial(0.5, 120), trial(0.7, 240), trial(0.48, 1200)]
    for name in ("one", "two"):
        file = RunFolder(path=tmp_path / name).search / "policy" / "trials.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({"trials": trials}))
    first, _ = read_curves([tmp_path / "one", tmp_path / "two"])
    assert first.steps == ((1.0, 1.0), (2.0, 0.5), (20.0, 0.48))
    assert (first.best, first.minutes, first.minutes_to_close) == (0.48, 20.0, 2.0)
    assert [first.after(minutes) for minutes in (0.5, 1.0, 2.0, 19.0, 20.0)] == [1.0, 1.0, 0.5, 0.5, 0.48]
    assert list(table([first]))[-1] == "| one | 20.0 | 5 | 0.480 | 2.0 minutes | 0.500 |"
    draw([first], tmp_path / "curve.svg")
    assert (tmp_path / "curve.svg").stat().st_size > 1000


def test_a_folder_without_a_search_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no trials"):
        list(read_curves([tmp_path]))
