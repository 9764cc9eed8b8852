"""Gasse, Chételat, Ferroni, Charlin, Lodi (2019), "Exact combinatorial optimization with graph convolutional networks".

The pipeline itself reproduces this paper: ``train-policy`` and ``evaluate``. Here stand the algebraic facts it leans
on, each on a toy bipartite graph in float64, so that a broken convention fails in a second rather than after a day.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from gnn_branching.diagnostics.advice.picture import Curve, Panel, draw
from gnn_branching.diagnostics.measures.finding import Verdict
from gnn_branching.theory.report import TheoryCheck, TheoryReport, above, below, write_report

CLAIM = "A bipartite graph network imitates strong branching; reproduced by `train-policy` and `evaluate`."
WIDTH = 8
"""Embedding width of the toy convolution."""
SEEN = 1e-3
"""Least change of an output that counts as a reaction to the coefficients."""


class Fault(StrEnum):
    """Deliberate faults; the report must fail under each."""

    NONE = "none"
    LAYER_NORM_EDGES = "layer-norm-edges"


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """Sizes of the toy graph.

    Args:
        seed: Root of every draw.
        fault: Deliberate fault.
        n_rows: Rows of the toy problem.
        n_variables: Its variables.
    """

    seed: int = 0
    fault: Fault = Fault.NONE
    n_rows: int = 7
    n_variables: int = 9

    def run(self, out: Path) -> TheoryReport:
        """Check the facts; write ``gasse2019.png`` and ``gasse2019.json`` into ``out``."""
        started = time.perf_counter()
        graph = toy_graph(self.n_rows, self.n_variables, self.seed)
        convolution = ToyConvolution(self.seed, layer_norm_edges=self.fault is Fault.LAYER_NORM_EDGES)
        blind = ToyConvolution(self.seed, layer_norm_edges=True)
        checks = [
            *_convolution_checks(graph, convolution),
            above(
                "layer-norm edges: matrix seen (negative control)",
                coefficient_effect(graph, blind),
                SEEN,
                "change of the output when coefficients change; a LayerNorm over one feature outputs its bias",
                expected=Verdict.VIOLATED,
            ),
            *_label_checks(),
        ]
        _picture(graph, convolution, blind, out / "gasse2019.png")
        return write_report("gasse2019", CLAIM, checks, out, started)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Graph:
    """A bipartite graph: row and variable embeddings (·, WIDTH), edges (2, E) row then variable, values (E, 1)."""

    rows: Tensor
    variables: Tensor
    edges: Tensor
    values: Tensor


class ToyConvolution(nn.Module):
    """One half-convolution, variables to rows: ``Σ_e W ReLU(L·row + E·edge + R·variable)``."""

    def __init__(self, seed: int, *, layer_norm_edges: bool) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed + 1)
        shapes = {"target": (WIDTH, WIDTH), "edge": (WIDTH, 1), "source": (WIDTH, WIDTH), "message": (WIDTH, WIDTH)}
        self.weights = {name: torch.randn(*s, generator=generator, dtype=torch.float64) for name, s in shapes.items()}
        self.edge_norm: nn.Module = nn.LayerNorm(1).double() if layer_norm_edges else nn.Identity()

    def forward(self, graph: Graph, *, late: bool) -> Tensor:
        """Return new row embeddings, (n_rows, WIDTH); ``late`` applies ``W`` after the sum."""
        row, variable = graph.edges
        weights = self.weights
        hidden = (graph.rows @ weights["target"].T)[row] + (graph.variables @ weights["source"].T)[variable]
        hidden = torch.relu(hidden + self.edge_norm(graph.values) @ weights["edge"].T)
        zero = torch.zeros_like(graph.rows)
        if late:
            return zero.index_add(0, row, hidden) @ weights["message"].T
        return zero.index_add(0, row, hidden @ weights["message"].T)


def toy_graph(n_rows: int, n_variables: int, seed: int) -> Graph:
    """Draw a random bipartite graph with about half of all edges."""
    generator = torch.Generator().manual_seed(seed)
    edges = torch.nonzero(torch.rand(n_rows, n_variables, generator=generator) < 0.5).T
    return Graph(
        rows=torch.randn(n_rows, WIDTH, generator=generator, dtype=torch.float64),
        variables=torch.randn(n_variables, WIDTH, generator=generator, dtype=torch.float64),
        edges=edges,
        values=torch.randn(edges.shape[1], 1, generator=generator, dtype=torch.float64),
    )


def coefficient_effect(graph: Graph, convolution: ToyConvolution) -> float:
    """Return the largest change of an output when every coefficient is doubled."""
    doubled = Graph(rows=graph.rows, variables=graph.variables, edges=graph.edges, values=2.0 * graph.values)
    with torch.no_grad():
        return float((convolution(graph, late=True) - convolution(doubled, late=True)).abs().max())


def _convolution_checks(graph: Graph, convolution: ToyConvolution) -> list[TheoryCheck]:
    order = torch.randperm(len(graph.variables), generator=torch.Generator().manual_seed(7))
    moved = torch.stack([graph.edges[0], torch.argsort(order)[graph.edges[1]]])
    shuffled = Graph(rows=graph.rows, variables=graph.variables[order], edges=moved, values=graph.values)
    with torch.no_grad():
        early, late = convolution(graph, late=False), convolution(graph, late=True)
        permuted = convolution(shuffled, late=True)
    return [
        below(
            "late linear map", float((early - late).abs().max()), 1e-11, "Σ W r against W Σ r: exact, since W is linear"
        ),
        below("permutation", float((late - permuted).abs().max()), 1e-11, "rows do not see the variables' order"),
        above(
            "matrix seen",
            coefficient_effect(graph, convolution),
            SEEN,
            "coefficients must be able to change the output",
        ),
    ]


def _label_checks() -> list[TheoryCheck]:
    scores = np.array([0.2, np.nan, 0.9])
    tied = np.array([0.4, 0.7, 0.7, 0.1])
    hits = float(tied[int(np.argmax(tied))] == tied.max() and tied[2] == tied.max())
    statement = "score picked by argmax when one label is missing, against the best one: argmax returns the NaN"
    return [
        above(
            "NaN label (negative control)",
            float(scores[int(np.argmax(scores))]),
            0.9,
            statement,
            expected=Verdict.VIOLATED,
        ),
        above("ties are hits", hits, 1.0, "either of two equal best candidates counts as a hit"),
    ]


def _picture(graph: Graph, convolution: ToyConvolution, blind: ToyConvolution, path: Path) -> None:
    factors = np.linspace(0.5, 2.0, 31)

    def outputs(network: ToyConvolution) -> list[float]:
        with torch.no_grad():
            scaled = [
                Graph(rows=graph.rows, variables=graph.variables, edges=graph.edges, values=float(f) * graph.values)
                for f in factors
            ]
            return [float(network(one, late=True)[0, 0]) for one in scaled]

    curves = [
        Curve(x=factors, y=outputs(convolution), label="prenorm on edges"),
        Curve(x=factors, y=outputs(blind), label="LayerNorm on the edge feature", dashed=True),
    ]
    draw(
        [
            Panel(
                title="Does the network see the matrix?",
                x_label="factor on all coefficients",
                y_label="an output",
                curves=curves,
            )
        ],
        path,
    )
