"""The receptive field of a tree node's candidates: the part of its LP that their scores depend on.

Messages travel from variables to rows and back once a round, so that nothing further away than that reaches a candidate
(the neighbourhood of GraphSAGE; Hamilton et al. 2017, section 3.1). Where candidates have few rows, as on facility
location, it is a small part of the LP. Training computes it once a sample; the compiled runtime finds its own, at every
tree node, in buffers that it keeps.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gnn_branching.contracts import BranchingState
from gnn_branching.edges import Edges, read_only


def receptive_field(state: BranchingState, n_rounds: int) -> BranchingState:
    """Return a state without the rows and variables that no message brings to a candidate.

    A network of so many rounds gives the candidates the same scores: every row that is kept has all its variables, and
    every variable whose embedding is needed after a round all its rows.

    Args:
        state: Any state; it is not changed, and returned as it is if all of it is needed.
        n_rounds: Rounds of message passing, at least 1.

    Returns:
        The state of what is left, in the old order; candidates have their order and new numbers.
    """
    edges = state.edges
    row_of_edge = edges.rows
    has_variable = np.zeros(state.n_variables, dtype=bool)
    has_variable[state.candidates] = True
    for _ in range(n_rounds):
        has_row = np.zeros(state.n_rows, dtype=bool)
        has_row[row_of_edge[has_variable[edges.indices]]] = True
        has_edge = has_row[row_of_edge]
        has_variable[edges.indices[has_edge]] = True
    if has_row.all() and has_variable.all():
        return state
    place = np.cumsum(has_variable) - 1
    return replace(
        state,
        row_features=state.row_features[has_row],
        variable_features=state.variable_features[has_variable],
        edges=Edges(
            indptr=read_only(np.concatenate([[0], np.cumsum(np.diff(edges.indptr)[has_row])])),
            indices=read_only(place[edges.indices[has_edge]].astype(np.int32)),
            values=read_only(edges.values[has_edge]),
        ),
        candidates=place[state.candidates],
    )
