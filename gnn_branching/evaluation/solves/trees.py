"""Recorded branch-and-bound trees: the file format, the layout for a picture, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError

from gnn_branching.contracts import FloatArray, InputError, TreeNodeRecord
from gnn_branching.durable import write_durably


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedTree:
    """A tree with a name.

    Args:
        title: Rule and instance, for the picture.
        nodes: Its nodes, in the order they were processed.
    """

    title: str
    nodes: tuple[TreeNodeRecord, ...]

    @property
    def max_depth(self) -> int:
        """Depth of the deepest node; 0 for an empty tree."""
        return max((node.depth for node in self.nodes), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeLayout:
    """Where the nodes of a picture go.

    Args:
        x: float64, (n_nodes,), in [0, 1]: leaves evenly spaced, each parent midway between its outer children.
        depth: float64, (n_nodes,).
        edges: int64, (n_edges, 2): positions of parent and child.
        is_leaf: bool, (n_nodes,).
    """

    x: FloatArray
    depth: FloatArray
    edges: np.typing.NDArray[np.int64]
    is_leaf: np.typing.NDArray[np.bool_]


_LINE = TypeAdapter(tuple[TreeNodeRecord], config=ConfigDict(ser_json_inf_nan="strings"))


def write_tree(path: Path, nodes: Iterable[TreeNodeRecord]) -> None:
    """Write a tree, one node a line as a JSON array of one object; infinities and NaN as strings."""
    write_durably(path, b"".join(_LINE.dump_json((node,)) + b"\n" for node in nodes))


def read_tree(path: Path) -> tuple[TreeNodeRecord, ...]:
    """Read a tree.

    Raises:
        InputError: If the file is missing or a line is no node.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"tree {path} cannot be read: {error.strerror}") from None
    nodes: list[TreeNodeRecord] = []
    for number, line in enumerate(lines, start=1):
        try:
            nodes.append(_LINE.validate_json(line)[0])
        except ValidationError:
            raise InputError(f"tree {path}, line {number} is no tree node; record it again") from None
    return tuple(nodes)


def layout_tree(nodes: Sequence[TreeNodeRecord]) -> TreeLayout:
    """Place the nodes of a tree for drawing; a node whose parent was never processed is drawn as a root of its own.

    Time linear in the number of nodes; no recursion, as trees may be deeper than the interpreter's stack.
    """
    positions = {node.number: position for position, node in enumerate(nodes)}
    children: dict[int, list[int]] = {}
    roots: list[int] = []
    for position, node in enumerate(nodes):
        parent = positions.get(node.parent)
        if parent is None or parent == position:
            roots.append(position)
        else:
            children.setdefault(parent, []).append(position)
    x = _place(roots, children, n_nodes=len(nodes))
    edges = [(parent, child) for parent, own in children.items() for child in own]
    return TreeLayout(
        x=x,
        depth=np.array([node.depth for node in nodes], dtype=np.float64),
        edges=np.array(edges, dtype=np.int64).reshape(-1, 2),
        is_leaf=np.array([position not in children for position in range(len(nodes))], dtype=np.bool_),
    )


def gap_over_time(nodes: Sequence[TreeNodeRecord]) -> tuple[FloatArray, FloatArray]:
    """Return times and primal–dual gaps in per cent, as |primal − dual| / max(|primal|, |dual|), capped at 100.

    SCIP's definition for the primal–dual integral (Berthold 2013): 100 without an incumbent or bounds of unequal sign.

    Returns:
        Two float64 arrays, (n_nodes,), sorted by time.
    """
    ordered = sorted(nodes, key=lambda node: node.wall_seconds)
    seconds = np.array([node.wall_seconds for node in ordered], dtype=np.float64)
    return seconds, np.array([_gap_percent(node.primal_bound, node.dual_bound) for node in ordered], dtype=np.float64)


def _gap_percent(primal: float, dual: float) -> float:
    if primal == dual:
        return 0.0
    if not (np.isfinite(primal) and np.isfinite(dual)) or primal * dual < 0:
        return 100.0
    return min(100.0 * abs(primal - dual) / max(abs(primal), abs(dual)), 100.0)


def _place(roots: Sequence[int], children: Mapping[int, Sequence[int]], *, n_nodes: int) -> FloatArray:
    x = np.zeros(n_nodes)
    n_leaves = 0
    stack = [(root, False) for root in reversed(roots)]
    while stack:
        position, children_placed = stack.pop()
        own = children.get(position, ())
        if not own:
            x[position] = n_leaves
            n_leaves += 1
        elif children_placed:
            x[position] = (x[own[0]] + x[own[-1]]) / 2
        else:
            stack.append((position, True))
            stack.extend((child, False) for child in reversed(own))
    return x / max(n_leaves - 1, 1)
