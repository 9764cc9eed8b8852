"""Rows, tables and files of a reproduced claim."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path

from gnn_branching.diagnostics.measures.finding import Finding, Verdict, at_least, at_most


class Relation(StrEnum):
    """How a row's value is compared; the sign stands before the bound in the table."""

    AT_MOST = "≤"
    AT_LEAST = "≥"
    WITHIN = "±"
    WITHIN_FACTOR = "×÷"


@dataclass(frozen=True, slots=True, kw_only=True)
class TheoryCheck:
    """One asserted number.

    Args:
        finding: Value, bound, assumptions and verdict.
        reference: The number this project measured before, or the closed form; NaN if there is none.
        expected: The verdict this row must have; negative controls expect ``violated`` or ``not_applicable``.
        relation: What the bound means: a limit of the value, or of its distance from the reference.
    """

    finding: Finding
    reference: float = math.nan
    expected: Verdict = Verdict.HOLDS
    relation: Relation = Relation.AT_MOST

    @property
    def passed(self) -> bool:
        """Whether the verdict is the expected one."""
        return self.finding.verdict is self.expected

    @property
    def is_negative_control(self) -> bool:
        """Whether the row shows that the check can fail."""
        return self.expected is not Verdict.HOLDS


@dataclass(frozen=True, slots=True, kw_only=True)
class TheoryReport:
    """What one reproduction showed.

    Args:
        paper: Command-line name of the paper.
        claim: The claim, in this project's words.
        checks: The rows of the table.
        picture: Where the picture was written.
        wall_seconds: Time the reproduction took.
    """

    paper: str
    claim: str
    checks: tuple[TheoryCheck, ...]
    picture: Path
    wall_seconds: float

    @property
    def passed(self) -> bool:
        """Whether every row has the verdict it must have."""
        return all(check.passed for check in self.checks)

    def table(self) -> str:
        """Return the rows as aligned text, one line each."""
        head = f"{'check':<44} {'value':>11} {'reference':>11} {'bound':>13}  {'verdict':<15} {'expected':<15} passed"
        lines = [head]
        for check in self.checks:
            found = check.finding
            numbers = f"{_number(found.value):>11} {_number(check.reference):>11}"
            bound = f"{check.relation} {_number(found.bound)}"
            passed = "yes" if check.passed else "NO"
            lines.append(f"{found.name:<44} {numbers} {bound:>13}  {found.verdict:<15} {check.expected:<15} {passed}")
        return "\n".join(lines)


def exactly(name: str, value: float, reference: float, tolerance: float, statement: str) -> TheoryCheck:
    """Compare ``|value − reference| ≤ tolerance``; the row's bound is the tolerance."""
    distance = at_most(name, abs(value - reference), tolerance, statement)
    return _against(distance, value, tolerance, reference, Relation.WITHIN)


def within_factor(name: str, value: float, reference: float, factor: float, statement: str) -> TheoryCheck:
    """Compare ``reference / factor ≤ value ≤ reference · factor``; the row's bound is the factor."""
    ratio = value / reference
    distance = at_most(name, max(ratio, 1.0 / ratio) if ratio > 0 else math.nan, factor, statement)
    return _against(distance, value, factor, reference, Relation.WITHIN_FACTOR)


def _against(distance: Finding, value: float, bound: float, reference: float, relation: Relation) -> TheoryCheck:
    """Put a value and its reference into the row of their distance's verdict."""
    found = replace(distance, value=float(value), bound=float(bound))
    return TheoryCheck(finding=found, reference=reference, relation=relation)


def bounded(
    relation: Relation,
    name: str,
    value: float,
    bound: float,
    statement: str,
    *,
    reference: float = math.nan,
    expected: Verdict = Verdict.HOLDS,
    assumptions_met: bool = True,
    slack: float = 0.0,
) -> TheoryCheck:
    """Compare ``value ≤ bound``, or ``value ≥ bound`` where the relation is ``AT_LEAST``."""
    compare = at_least if relation is Relation.AT_LEAST else at_most
    found = compare(name, value, bound, statement, assumptions_met=assumptions_met, slack=slack)
    return TheoryCheck(finding=found, reference=reference, expected=expected, relation=relation)


below, above = partial(bounded, Relation.AT_MOST), partial(bounded, Relation.AT_LEAST)


def write_report(paper: str, claim: str, checks: Sequence[TheoryCheck], out: Path, started: float) -> TheoryReport:
    """Assemble the report and write ``out/PAPER.json``; the picture is ``out/PAPER.png``.

    Args:
        paper: Command-line name.
        claim: See :class:`TheoryReport`.
        checks: The rows.
        out: Folder, which exists.
        started: ``time.perf_counter()`` at the start.
    """
    report = TheoryReport(
        paper=paper,
        claim=claim,
        checks=tuple(checks),
        picture=out / f"{paper}.png",
        wall_seconds=time.perf_counter() - started,
    )
    rows = [
        asdict(c.finding)
        | {"reference": c.reference, "relation": c.relation, "expected": c.expected, "passed": c.passed}
        for c in report.checks
    ]
    finite = [{k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()} for row in rows]
    document = {
        "paper": paper,
        "claim": claim,
        "passed": report.passed,
        "wall_seconds": report.wall_seconds,
        "checks": finite,
    }
    (out / f"{paper}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return report


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4g}"
