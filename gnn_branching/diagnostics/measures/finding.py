"""The form in which every diagnostic answers: a value, its bound, whether the assumptions held, and a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What a comparison with a bound showed."""

    HOLDS = "holds"
    VIOLATED = "violated"
    NOT_APPLICABLE = "not_applicable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One measured value beside the bound that a theorem or a convention gives for it.

    Args:
        name: Short name, stable across versions (a key in JSON files).
        value: What was measured; NaN if it could not be.
        bound: What it was compared with; NaN if there was nothing to compare with.
        assumptions_met: Whether the assumptions behind the bound were checked and held.
        verdict: ``not_applicable`` iff the assumptions did not hold.
        statement: What was compared, under which assumptions, in one sentence.
    """

    name: str
    value: float
    bound: float
    assumptions_met: bool
    verdict: Verdict
    statement: str

    def __post_init__(self) -> None:
        """Refuse a guarantee whose assumptions were not checked."""
        if self.assumptions_met == (self.verdict is Verdict.NOT_APPLICABLE):
            raise ValueError(f"{self.name}: assumptions_met={self.assumptions_met} contradicts {self.verdict!s}")


def at_most(
    name: str, value: float, bound: float, statement: str, *, assumptions_met: bool = True, slack: float = 0.0
) -> Finding:
    """Compare ``value <= bound + slack``; a NaN on either side counts as a violation.

    Args:
        name: See :class:`Finding`.
        value: See :class:`Finding`.
        bound: Upper bound.
        statement: See :class:`Finding`.
        assumptions_met: False turns the verdict into ``not_applicable`` whatever the numbers say.
        slack: Absolute allowance for rounding, not negative.
    """
    holds = value <= bound + slack
    return _finding(name, value, bound, holds, statement, assumptions_met)


def at_least(
    name: str, value: float, bound: float, statement: str, *, assumptions_met: bool = True, slack: float = 0.0
) -> Finding:
    """Compare ``value >= bound - slack``; otherwise as :func:`at_most`."""
    holds = value >= bound - slack
    return _finding(name, value, bound, holds, statement, assumptions_met)


def _finding(name: str, value: float, bound: float, holds: bool, statement: str, assumptions_met: bool) -> Finding:
    verdict = Verdict.HOLDS if holds else Verdict.VIOLATED
    return Finding(
        name=name,
        value=float(value),
        bound=float(bound),
        assumptions_met=assumptions_met,
        verdict=verdict if assumptions_met else Verdict.NOT_APPLICABLE,
        statement=statement,
    )
