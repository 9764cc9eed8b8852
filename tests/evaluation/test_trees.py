from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from gnn_branching.contracts import InputError, TreeNodeRecord
from gnn_branching.evaluation.solves.trees import gap_over_time, layout_tree, read_tree, write_tree


def tree_node(number: int, parent: int, depth: int, **changes: object) -> TreeNodeRecord:
    values: dict[str, object] = {
        "lower_bound": 1.0,
        "variable": "x",
        "score": 0.5,
        "wall_seconds": 0.1 * number,
        "primal_bound": 10.0,
        "dual_bound": 5.0,
    }
    return TreeNodeRecord(number=number, parent=parent, depth=depth, **{**values, **changes})  # type: ignore[arg-type]


SMALL = (tree_node(1, 0, 0), tree_node(2, 1, 1), tree_node(3, 1, 1), tree_node(4, 2, 2), tree_node(5, 2, 2))


def test_tree_survives_the_file(tmp_path: Path) -> None:
    nodes = (*SMALL, tree_node(6, 3, 2, lower_bound=math.inf, primal_bound=-math.inf, variable="", score=2.0))
    write_tree(tmp_path / "t.jsonl", nodes)
    assert read_tree(tmp_path / "t.jsonl") == nodes
    assert "Infinity" in (tmp_path / "t.jsonl").read_text()


def test_a_damaged_or_missing_tree_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    write_tree(path, SMALL)
    assert [own.name for own in tmp_path.iterdir()] == ["t.jsonl"], "written whole, under its own name at last"
    path.write_text("nonsense\n" + path.read_text())
    with pytest.raises(InputError, match="line 1"):
        read_tree(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_tree(tmp_path / "none")


def test_layout_of_a_small_tree() -> None:
    layout = layout_tree(SMALL)
    np.testing.assert_allclose(layout.x, [0.625, 0.25, 1.0, 0.0, 0.5], rtol=0, atol=1e-15)
    assert layout.edges.tolist() == [[0, 1], [0, 2], [1, 3], [1, 4]]
    assert layout.is_leaf.tolist() == [False, False, True, True, True]


def test_layout_of_nothing_one_node_an_orphan_and_a_deep_chain() -> None:
    assert layout_tree(()).x.size == 0
    assert layout_tree(SMALL[:1]).x.tolist() == [0.0]
    assert layout_tree((tree_node(1, 0, 0), tree_node(9, 7, 4))).edges.size == 0
    chain = [tree_node(i, i - 1, i) for i in range(1, 5001)]
    assert layout_tree(chain).edges.shape == (4999, 2)


def test_gap_over_time_is_scips() -> None:
    nodes = (
        tree_node(2, 1, 1, primal_bound=10.0, dual_bound=8.0),
        tree_node(1, 0, 0, primal_bound=math.inf),
        tree_node(3, 1, 1, primal_bound=1.0, dual_bound=-1.0),
        tree_node(4, 1, 1, primal_bound=0.0, dual_bound=0.0),
    )
    seconds, gap = gap_over_time(nodes)
    np.testing.assert_allclose(seconds, [0.1, 0.2, 0.3, 0.4], rtol=1e-12, atol=0)
    np.testing.assert_allclose(gap, [100.0, 20.0, 100.0, 0.0], rtol=1e-12, atol=0)
