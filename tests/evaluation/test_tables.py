from __future__ import annotations

import csv
import io
import math
import re

import pytest
from records import failed, solved
from rich.console import Console

from gnn_branching.contracts import RuleStatistics
from gnn_branching.evaluation.report.comparison_tables import (
    effort_table,
    failure_table,
    instance_table,
    outcome_table,
    price_table,
    ratio_table,
)
from gnn_branching.evaluation.report.tables import (
    Column,
    Table,
    Tone,
    format_number,
    format_p,
    number,
    ratio,
    to_csv,
    to_latex,
    to_markdown,
    to_terminal,
    words,
)
from gnn_branching.evaluation.statistics.comparison import compare
from gnn_branching.evaluation.statistics.estimators import RatioEstimate
from gnn_branching.evaluation.statistics.pairing import ComparisonOptions

OPTIONS = ComparisonOptions(time_limit_seconds=100.0, n_resamples=200)
RULE = RuleStatistics(
    n_decisions=10, decision_seconds=0.02, feature_seconds=0.01, inference_seconds=0.005, fallbacks={}
)
RECORDS = [
    *(solved(f"data/i{i}.lp", seed=seed, seconds=10.0 + i) for i in range(6) for seed in range(2)),
    *(solved(f"data/i{i}.lp", "a_b", seed=seed, seconds=5.0 + i, rule=RULE) for i in range(6) for seed in range(2)),
    failed("data/i6.lp", "a_b"),
]
GROUPS = compare(RECORDS, OPTIONS)
TABLES = [
    outcome_table(GROUPS, OPTIONS),
    ratio_table(GROUPS, OPTIONS),
    effort_table(GROUPS),
    price_table(GROUPS),
    instance_table(RECORDS, OPTIONS),
    failure_table(RECORDS),
]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (3.14159, "3.14"),
        (0.01234, "0.0123"),
        (1234567.0, "1,234,567"),
        (2.5e9, "2.50e+09"),
        (99.96, "100.0"),
    ],
)
def test_numbers_are_short_and_plain(value: float, text: str) -> None:
    assert format_number(value) == text


def test_p_values_and_gaps() -> None:
    assert [format_p(p) for p in (1e-9, 0.04, math.nan)] == ["< 0.001", "0.040", "–"]
    assert number(math.nan).text == "–"
    assert number(math.nan).value is None


def estimate(value: float, low: float, high: float, p: float = 0.01) -> RatioEstimate:
    return RatioEstimate(value=value, low=low, high=high, p=p, n_pairs=9, n_instances=9)


def test_only_clear_differences_are_toned() -> None:
    assert ratio(estimate(0.6, 0.5, 0.7)).tone is Tone.GOOD
    assert ratio(estimate(1.6, 1.5, 1.7)).tone is Tone.BAD
    assert ratio(estimate(0.9, 0.7, 1.1)).tone is Tone.PLAIN
    assert ratio(estimate(0.9, 0.8, 0.99, p=0.2)).tone is Tone.PLAIN
    assert ratio(estimate(0.9, math.nan, math.nan)).text == "0.90"
    assert ratio(estimate(0.65, 0.6, 0.712)).text == "0.65 [0.60, 0.71]"


@pytest.mark.parametrize("table", TABLES, ids=lambda table: str(table.name))
def test_every_table_prints_everywhere(table: Table) -> None:
    assert table.rows
    console = Console(file=io.StringIO(), width=200)
    console.print(to_terminal(table))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert table.rows[0][0].text in shown
    markdown = to_markdown(table).splitlines()
    body = [line for line in markdown if line.startswith("|")]
    assert len(body) == 2 + len(table.rows)
    assert len({line.replace(r"\|", "").count("|") for line in body}) == 1
    parsed = list(csv.reader(io.StringIO(to_csv(table))))
    assert len(parsed) == 1 + len(table.rows)
    assert len({len(row) for row in parsed}) == 1
    latex = to_latex(table)
    assert latex.count(r"\\") == 1 + len(table.rows)
    assert "a_b" not in latex.replace(r"a\_b", "")


@pytest.mark.parametrize("table", TABLES, ids=lambda table: str(table.name))
def test_eighty_columns_are_enough_for_every_figure(table: Table) -> None:
    console = Console(file=io.StringIO(), width=80)
    console.print(to_terminal(table))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    letters = re.sub(r"\s", "", shown)
    for row in table.rows:
        for cell, column in zip(row, table.columns, strict=True):
            if column.is_number and "[" not in cell.text:
                assert re.sub(r"\s", "", cell.text) in letters, (column.title, cell.text)
            elif column.is_number:
                assert all(part in letters for part in cell.text.split()), (column.title, cell.text)


def test_csv_carries_full_numbers_and_intervals() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(outcome_table(GROUPS, OPTIONS)))))
    ours = next(row for row in rows if row["policy"] == "a_b")
    line = next(line for line in GROUPS[0].methods if line.method.policy == "a_b")
    assert float(ours["time_ratio"]) == line.ratios["time"].value
    assert float(ours["time_ratio_low"]) == line.ratios["time"].low
    assert float(ours["time_seconds"]) == line.means.time_seconds


def test_unsolved_instances_and_failures_are_visible() -> None:
    table = instance_table(RECORDS, OPTIONS)
    row = next(row for row in table.rows if row[0].text == "i6")
    assert row[4].text.endswith("(0/1)")
    assert row[4].tone is Tone.BAD
    assert row[3].text == "–", "the baseline was not run on it"
    (bad,) = failure_table(RECORDS).rows
    assert [cell.text for cell in bad][-2:] == ["crashed", "died of SIGSEGV"]


def test_latex_and_markdown_escape_what_they_would_act_on() -> None:
    table = Table(
        name="t",
        title="50 % of $x_1$",
        columns=(Column(key="a", title="a&b", is_number=False),),
        rows=((words("x|y_z"),),),
    )
    assert r"50 \% of \$x\_1\$" in to_latex(table)
    assert r"a\&b" in to_latex(table)
    assert r"x\|y\_z" in to_markdown(table)


def test_ragged_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="does not have 1 cells"):
        Table(name="t", title="t", columns=(Column(key="a", title="a"),), rows=((),))
