"""Whether the models of a folder can be learned from together: integer variables in each, and one family."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from gnn_branching.contracts import InputError
from gnn_branching.solver.problem import RowKind, read_problem, row_kinds

LEAST_SHARE = 0.1
"""A second family is one if at least this share of the models are of it; fewer are odd ones out, and stay."""


def check_kinship(paths: Sequence[Path]) -> None:
    """Refuse models from which no policy can be learned together.

    Two models are taken to be of different families if each of them has a kind of row (sense, types of its variables,
    whether its coefficients are all ±1) that the other lacks: one family's models differ in size and numbers, and now
    and then lack a kind of row, but do not exchange them.

    Raises:
        InputError: If a model has no integer variable, or there are two families.
    """
    by_kinds: dict[frozenset[RowKind], list[Path]] = defaultdict(list)
    for path in paths:
        model = read_problem(path)
        if model.getNIntVars() + model.getNBinVars() == 0:
            raise InputError(f"{path} has no integer variable, so there is nothing to branch on; take it out")
        by_kinds[row_kinds(model)].append(path)
    groups = [(kinds, found) for kinds, found in by_kinds.items() if len(found) >= LEAST_SHARE * len(paths)]
    for position, (kinds, found) in enumerate(groups):
        for others, rest in groups[:position]:
            if kinds - others and others - kinds:
                raise InputError(
                    f"{rest[0].name} and {found[0].name} are of different families: the one has "
                    f"{_named(others - kinds)}, the other {_named(kinds - others)}; train one policy for each, from a "
                    "folder of its own"
                )


def _named(kinds: frozenset[RowKind]) -> str:
    return "rows of " + str(min(kinds))
