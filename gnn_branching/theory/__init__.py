"""Small models where the truth is known: one module per paper, each with its table, picture and negative controls."""

from gnn_branching.theory.registry import PAPERS, Paper, run
from gnn_branching.theory.report import TheoryCheck, TheoryReport

__all__ = ["PAPERS", "Paper", "TheoryCheck", "TheoryReport", "run"]
