from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from records import solved
from synthetic import TIME_LIMIT, made_up_rows, made_up_tree

from gnn_branching.contracts import AgreementRecord, InputError
from gnn_branching.evaluation.report.figures import (
    decision_split,
    method_styles,
    paired_scatter,
    performance_profile,
    ratio_forest,
    solved_over_time,
    tree_sizes,
)
from gnn_branching.evaluation.report.run_figures import (
    MAX_DRAWN_NODES,
    agreement_figure,
    gaps_over_time,
    read_metrics,
    training_curves,
    trees_side_by_side,
)
from gnn_branching.evaluation.report.theme import DARK, LIGHT, VARIABLES, Picture
from gnn_branching.evaluation.solves.trees import RecordedTree
from gnn_branching.evaluation.statistics.branching_agreement import agreement_by_depth
from gnn_branching.evaluation.statistics.comparison import compare
from gnn_branching.evaluation.statistics.pairing import ComparisonOptions, Method

ROWS = made_up_rows()
OPTIONS = ComparisonOptions(time_limit_seconds=TIME_LIMIT, n_resamples=200)
GROUPS = compare(ROWS, OPTIONS)
TREES = [RecordedTree(title=title, nodes=tuple(made_up_tree(n))) for title, n in (("ours & theirs", 63), ("b", 31))]


def pictures() -> list[Picture]:
    records = [
        AgreementRecord(instance="i", depth=i, n_candidates=3, agrees=i < 9, in_top=True, score_ratio=1.0)
        for i in range(20)
    ]
    drawn = [
        ratio_forest(GROUPS, OPTIONS),
        decision_split(GROUPS),
        performance_profile(ROWS, OPTIONS, name="x"),
        solved_over_time(ROWS, OPTIONS, name="x"),
        tree_sizes(ROWS, OPTIONS, name="x"),
        paired_scatter(ROWS, OPTIONS, name="x"),
        trees_side_by_side(TREES, name="x"),
        gaps_over_time(TREES, name="x"),
        agreement_figure({"gcnn": agreement_by_depth(records)}),
        *training_curves({"epoch": [1, 2], "train_loss": [2.0, 1.0], "acc_1": [0.4, 0.5]}, name="x"),
    ]
    return [picture for picture in drawn if picture is not None]


PICTURES = pictures()


def test_every_picture_is_there_once() -> None:
    assert len(PICTURES) == 11
    assert len({picture.name for picture in PICTURES}) == 11


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: str(picture.name))
def test_pictures_are_valid_described_and_leave_colours_to_the_page(picture: Picture) -> None:
    root = ElementTree.fromstring(picture.svg)
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == picture.title
    assert "width" not in root.attrib
    assert "viewBox" in root.attrib
    assert picture.caption
    assert not re.search(r"#0101[01]\d", picture.svg), "a placeholder colour was left"
    fixed = {color for color in re.findall(r"(?<!,)#[0-9a-f]{6}\b", picture.svg) if color not in LIGHT.values()}
    assert not fixed, "these colours would not follow the page into the dark"
    ids = re.findall(r'\bid="([^"]+)"', picture.svg)
    assert all(own.startswith(f"{picture.name}-") for own in ids)
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', picture.svg))
    assert {first or second for first, second in used} <= set(ids)
    document = ElementTree.fromstring(picture.document)
    assert "prefers-color-scheme:dark" in ElementTree.tostring(document, encoding="unicode")


def test_pictures_are_reproducible() -> None:
    first, second = (solved_over_time(ROWS, OPTIONS, name="x").svg for _ in range(2))
    assert first == second


def test_palettes_name_the_same_colours() -> None:
    assert set(LIGHT) == set(DARK) == set(VARIABLES.values())


def test_nothing_to_draw_is_no_picture() -> None:
    only_base = [solved(f"i{i}") for i in range(3)]
    groups = compare(only_base, OPTIONS)
    assert ratio_forest(groups, OPTIONS) is None
    assert decision_split(groups) is None
    assert paired_scatter(only_base, OPTIONS, name="x") is None
    assert agreement_figure({"gcnn": ()}) is None
    assert training_curves({"epoch": [1.0]}, name="x") == ()


def test_one_unsolved_run_can_be_drawn() -> None:
    row = made_up_rows(1, 1)[3]
    assert not row.status.solved or row.policy == "random"
    for draw in (performance_profile, solved_over_time, tree_sizes):
        assert draw([row], OPTIONS, name="x").svg.startswith("<svg")


def test_a_rule_keeps_its_colour_under_all_settings() -> None:
    methods = [Method(settings, policy) for settings in ("default", "paper") for policy in ("b", "relpscost", "a")]
    styles = method_styles(methods, "relpscost")
    assert list(styles)[:2] == [Method("paper", "relpscost"), Method("paper", "a")]
    for policy in ("a", "b", "relpscost"):
        assert styles[Method("paper", policy)] == styles[Method("default", policy)]
    assert len(set(styles.values())) == 3


def test_a_huge_tree_stays_a_light_picture() -> None:
    big = RecordedTree(title="big", nodes=tuple(made_up_tree(5 * MAX_DRAWN_NODES)))
    assert len(trees_side_by_side([big, big], name="x").svg) < 2_000_000


def test_metrics_with_gaps_and_a_cut_off_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"epoch": 1, "train_loss": 2.0, "is_best": true}\n{"epoch": 2, "acc_1": 0.5}\n{"epo')
    metrics = read_metrics(path)
    assert set(metrics) == {"epoch", "train_loss", "acc_1"}
    assert metrics["epoch"] == [1.0, 2.0]
    assert metrics["train_loss"][0] == 2.0
    assert metrics["train_loss"][1] != metrics["train_loss"][1], "NaN where the line has none"
    path.write_text("no\n{}\n")
    with pytest.raises(InputError, match="line 1"):
        read_metrics(path)
