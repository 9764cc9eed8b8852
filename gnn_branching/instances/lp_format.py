"""Write binary programs as LP files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

TERMS_PER_LINE = 10
"""Readers of the LP format need not accept lines of more than a few hundred characters."""

Terms = Sequence[tuple[float, str]]


@dataclass(slots=True, kw_only=True)
class BinaryProgram:
    """A maximisation over binary variables with less-or-equal rows.

    Args:
        objective: Coefficient and variable of each term.
        rows: Terms and right-hand side of each row.
    """

    objective: list[tuple[float, str]] = field(default_factory=list)
    rows: list[tuple[Terms, float]] = field(default_factory=list)

    def write_lp(self, path: Path) -> None:
        """Write the program in CPLEX's LP format; all variables must be in the objective."""
        path.write_text("\n".join(self._lines()) + "\n", encoding="ascii")

    def _lines(self) -> Iterator[str]:
        yield "Maximize"
        yield from _wrapped(" obj:", self.objective)
        yield "Subject To"
        for number, (terms, bound) in enumerate(self.rows):
            *first, last = _wrapped(f" c{number}:", terms)
            yield from first
            yield f"{last} <= {bound:.17g}"
        yield "Binaries"
        names = [name for _, name in self.objective]
        for start in range(0, len(names), TERMS_PER_LINE):
            yield " " + " ".join(names[start : start + TERMS_PER_LINE])
        yield "End"


def _wrapped(label: str, terms: Terms) -> Iterator[str]:
    texts = [f"{coefficient:+.17g} {name}" for coefficient, name in terms]
    for start in range(0, len(texts), TERMS_PER_LINE):
        yield (label if start == 0 else " ") + " " + " ".join(texts[start : start + TERMS_PER_LINE])
