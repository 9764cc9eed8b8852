"""Maximum independent set instances on Barabási–Albert graphs (Bergman et al. 2016), as in Gasse et al. 2019."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gnn_branching.contracts import InputError
from gnn_branching.instances.lp_format import LinearProgram

GRAPH_TYPE = "barabasi_albert"

Neighbours = list[set[int]]
"""Of each vertex."""


def draw_graph(rng: np.random.Generator, n_vertices: int, affinity: int) -> Neighbours:
    """Draw a Barabási–Albert graph.

    It begins with a star of ``affinity`` rays; every further vertex is joined to ``affinity`` others, drawn one after
    the other in proportion to their degrees.

    Raises:
        InputError: If the affinity is impossible.
    """
    if not 1 <= affinity < n_vertices:
        raise InputError(f"affinity {affinity} must lie in [1, {n_vertices - 1}]")
    neighbours: Neighbours = [set() for _ in range(n_vertices)]
    degrees = np.zeros(n_vertices)

    def join(one: int, other: int) -> None:
        neighbours[one].add(other)
        neighbours[other].add(one)
        degrees[[one, other]] += 1

    for ray in range(1, affinity + 1):
        join(0, ray)
    for vertex in range(affinity + 1, n_vertices):
        # The first to ring among clocks of these rates, and the next ones: draws without replacement.
        rings = rng.exponential(size=vertex) / degrees[:vertex]
        for other in np.argpartition(rings, affinity - 1)[:affinity].tolist():
            join(vertex, other)
    return neighbours


def clique_partition(rng: np.random.Generator, neighbours: Neighbours) -> list[list[int]]:
    """Divide the vertices into cliques, greedily: each begins with, and grows by, the vertex of highest degree."""
    degrees = np.array([len(found) for found in neighbours])
    shuffled = rng.permutation(len(neighbours))  # among vertices of one degree, any
    order = shuffled[np.argsort(-degrees[shuffled], kind="stable")].tolist()
    place = {vertex: number for number, vertex in enumerate(order)}
    left, cliques = set(order), []
    for first in order:
        if first not in left:
            continue
        clique = [first]
        for vertex in sorted(neighbours[first] & left, key=place.__getitem__):
            if neighbours[vertex].issuperset(clique):
                clique.append(vertex)
        left.difference_update(clique)
        cliques.append(clique)
    return cliques


def write_independent_set(path: Path, seed: int, n_nodes: int, graph_type: str, affinity: int) -> None:
    """Write a maximum independent set instance: as many vertices as possible, no two of them joined.

    A row for each clique of a partition, and one for each edge that is in none of them.

    Raises:
        InputError: If the graph is of another type, or the affinity impossible.
    """
    if graph_type != GRAPH_TYPE:
        raise InputError(f"graph_type {graph_type!r} needs Ecole's generator; without it, there is {GRAPH_TYPE!r}")
    rng = np.random.default_rng(seed)
    neighbours = draw_graph(rng, n_nodes, affinity)
    cliques = clique_partition(rng, neighbours)
    clique_of = {vertex: number for number, clique in enumerate(cliques) for vertex in clique}
    program = LinearProgram(sense="Maximize", binaries=[f"x{vertex}" for vertex in range(n_nodes)])
    program.objective += [(1, name) for name in program.binaries]
    for clique in cliques:
        program.at_most([(1, f"x{vertex}") for vertex in sorted(clique)], 1)
    for one in range(n_nodes):
        for other in sorted(neighbours[one]):
            if one < other and clique_of[one] != clique_of[other]:
                program.at_most([(1, f"x{one}"), (1, f"x{other}")], 1)
    program.write_lp(path)
