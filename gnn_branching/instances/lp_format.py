"""Write mixed-binary linear programs as LP files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

TERMS_PER_LINE = 10
"""Readers of the LP format need not accept lines of more than a few hundred characters."""

Terms = Sequence[tuple[float, str]]
"""Coefficients and names of variables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A linear constraint: the sum of the terms, compared with the bound."""

    terms: Terms
    relation: Literal["<=", "=", ">="]
    bound: float


@dataclass(slots=True, kw_only=True)
class LinearProgram:
    """A linear program over binary and non-negative continuous variables.

    Args:
        sense: Whether the objective is to be large or small.
        objective: Its terms.
        rows: The constraints.
        binaries: The binary variables; every other one is continuous and at least zero.
        at_most_one: Continuous variables that are at most one; the others are unbounded.
    """

    sense: Literal["Maximize", "Minimize"]
    objective: list[tuple[float, str]] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    binaries: list[str] = field(default_factory=list)
    at_most_one: list[str] = field(default_factory=list)

    def at_most(self, terms: Terms, bound: float) -> None:
        """Add a row whose terms sum up to the bound or less."""
        self.rows.append(Row(terms=terms, relation="<=", bound=bound))

    def at_least(self, terms: Terms, bound: float) -> None:
        """Add a row whose terms sum up to the bound or more."""
        self.rows.append(Row(terms=terms, relation=">=", bound=bound))

    def equal(self, terms: Terms, bound: float) -> None:
        """Add a row whose terms sum up to the bound."""
        self.rows.append(Row(terms=terms, relation="=", bound=bound))

    def write_lp(self, path: Path) -> None:
        """Write the program in CPLEX's LP format; all variables must be in the objective or in a row."""
        path.write_text("\n".join(self._lines()) + "\n", encoding="ascii")

    def _lines(self) -> Iterator[str]:
        yield self.sense
        yield from _wrapped(" obj:", self.objective)
        yield "Subject To"
        for number, row in enumerate(self.rows):
            *first, last = _wrapped(f" c{number}:", row.terms)
            yield from first
            yield f"{last} {row.relation} {row.bound:.17g}"
        if self.at_most_one:
            yield "Bounds"
            yield from (f" {name} <= 1" for name in self.at_most_one)
        yield "Binaries"
        for start in range(0, len(self.binaries), TERMS_PER_LINE):
            yield " " + " ".join(self.binaries[start : start + TERMS_PER_LINE])
        yield "End"


def _wrapped(label: str, terms: Terms) -> Iterator[str]:
    texts = [f"{coefficient:+.17g} {name}" for coefficient, name in terms]
    for start in range(0, len(texts), TERMS_PER_LINE):
        yield (label if start == 0 else " ") + " " + " ".join(texts[start : start + TERMS_PER_LINE])
