"""Rows, tables and files of a reproduced claim."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from gnn_branching.diagnostics.finding import Finding, Verdict, at_least, at_most


@dataclass(frozen=True, slots=True, kw_only=True)
class TheoryCheck:
    """One asserted number.

    Args:
        finding: Value, bound, assumptions and verdict.
        reference: The number this project measured before, or the closed form; NaN if there is none.
        expected: The verdict this row must have; negative controls expect ``violated`` or ``not_applicable``.
    """

    finding: Finding
    reference: float = math.nan
    expected: Verdict = Verdict.HOLDS

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
        head = f"{'check':<44} {'value':>11} {'bound':>11} {'reference':>11}  {'verdict':<15} {'expected':<15} passed"
        lines = [head]
        for check in self.checks:
            found = check.finding
            numbers = " ".join(f"{_number(v):>11}" for v in (found.value, found.bound, check.reference))
            passed = "yes" if check.passed else "NO"
            lines.append(f"{found.name:<44} {numbers}  {found.verdict:<15} {check.expected:<15} {passed}")
        return "\n".join(lines)


def exactly(
    name: str, value: float, reference: float, tolerance: float, statement: str, *, assumptions_met: bool = True
) -> TheoryCheck:
    """Compare ``|value − reference| ≤ tolerance``; the row's bound is the tolerance."""
    distance = at_most(name, abs(value - reference), tolerance, statement, assumptions_met=assumptions_met)
    found = Finding(
        name=name,
        value=float(value),
        bound=float(tolerance),
        assumptions_met=assumptions_met,
        verdict=distance.verdict,
        statement=statement,
    )
    return TheoryCheck(finding=found, reference=reference)


def below(
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
    """Compare ``value ≤ bound``."""
    found = at_most(name, value, bound, statement, assumptions_met=assumptions_met, slack=slack)
    return TheoryCheck(finding=found, reference=reference, expected=expected)


def above(
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
    """Compare ``value ≥ bound``."""
    found = at_least(name, value, bound, statement, assumptions_met=assumptions_met, slack=slack)
    return TheoryCheck(finding=found, reference=reference, expected=expected)


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
        asdict(c.finding) | {"reference": c.reference, "expected": c.expected, "passed": c.passed}
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
