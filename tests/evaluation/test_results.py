from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from records import failed, solved

from gnn_branching.contracts import InputError, RuleStatistics, SolveStatus
from gnn_branching.evaluation.evaluate import publish
from gnn_branching.evaluation.report.sources import read_sources
from gnn_branching.evaluation.solves.results import RESULTS_FILE, read_results, write_results
from gnn_branching.evaluation.statistics.summary import SUMMARY_FILE

CONTRACT = [
    "instance",
    "family",
    "size",
    "policy",
    "seed",
    "status",
    "wall_seconds",
    "cpu_seconds",
    "root_seconds",
    "n_tree_nodes",
    "n_fair_nodes",
    "n_lp_iterations",
    "n_strong_branching_lp_iterations",
    "primal_bound",
    "dual_bound",
    "primal_dual_integral",
    "decision_seconds",
    "feature_seconds",
    "inference_seconds",
    "n_decisions",
    "n_fallbacks",
    "versions",
]


def test_records_survive_the_round_trip(tmp_path: Path) -> None:
    rule = RuleStatistics(
        n_decisions=7,
        n_reductions=1,
        decision_seconds=0.5,
        feature_seconds=0.1,
        inference_seconds=0.3,
        fallbacks={"no candidates": 2},
    )
    records = (
        solved(rule=rule),
        solved(seed=2**31 - 2, status=SolveStatus.TIME_LIMIT, value=float("inf"), dual=float("-inf")),
        failed(status=SolveStatus.KILLED_MEMORY),
    )
    path = tmp_path / "results.parquet"
    write_results(path, records)
    assert read_results(path) == records
    assert [entry.name for entry in tmp_path.iterdir()] == ["results.parquet"]


def test_columns_are_the_documented_ones_and_failures_are_null(tmp_path: Path) -> None:
    path = tmp_path / "results.parquet"
    write_results(path, [failed()])
    table = pq.read_table(path)
    assert table.column_names[: len(CONTRACT)] == CONTRACT
    assert table.column_names[len(CONTRACT) :] == ["settings", "fallbacks", "n_reductions", "detail"]
    assert table["status"].to_pylist() == ["crashed"]
    for name in CONTRACT[6:-1]:
        assert table[name].to_pylist() == [None], name


def test_no_rows_make_an_empty_table(tmp_path: Path) -> None:
    write_results(tmp_path / "r.parquet", [])
    assert read_results(tmp_path / "r.parquet") == ()


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run evaluate first"):
        read_results(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("no")
    with pytest.raises(InputError, match="not a Parquet file"):
        read_results(tmp_path / "text.parquet")
    pq.write_table(pa.table({"x": [1]}), tmp_path / "other.parquet")
    with pytest.raises(InputError, match="has no column 'instance'"):
        read_results(tmp_path / "other.parquet")


def test_settings_from_files_are_shown_by_as_little_as_tells_them_apart(tmp_path: Path) -> None:
    given = ("paper", "/a/tuned.set", "/a/first/recipe.set", "/a/second/recipe.set", "recipe.set")
    write_results(tmp_path / RESULTS_FILE, [solved("i", "relpscost", settings=name) for name in given])
    shown = [record.settings for record in read_sources([tmp_path]).records]
    assert shown == ["paper", "tuned.set", "first/recipe.set", "second/recipe.set", "recipe.set"]
    publish(tmp_path)
    lines = json.loads((tmp_path / SUMMARY_FILE).read_text())["results"]
    assert {line["settings"] for line in lines} == set(given), "a machine reads the names that the rows have"
