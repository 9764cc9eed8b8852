"""Whether all methods found the same optimum, and the known one where there is one."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gnn_branching.contracts import KnownOptimum, SolveRecord, SolveStatus

RELATIVE_TOLERANCE = 1e-5
"""Ten times SCIP's feasibility tolerance, relative to max(1, |value|): rows violated by 1e-6 move the objective so."""
SCIP_INFINITY = 1e20


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """Two statements on one instance that cannot both be true.

    Args:
        instance: The instance.
        first: What one solve, or the list of known optima, says.
        second: What contradicts it.
    """

    instance: str
    first: str
    second: str

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.instance}: {self.first}, but {self.second}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """The interval in which a solve places the optimum; empty for infeasible, (−∞, ∞) for unknown.

    The interval needs no sense of optimisation: the optimum lies between primal and dual bound in either.
    """

    low: float
    high: float
    proof: bool
    status: SolveStatus
    text: str


def find_disagreements(
    records: Sequence[SolveRecord], known: Mapping[str, KnownOptimum] | None = None
) -> tuple[Disagreement, ...]:
    """Return every solve that contradicts the known optimum or, without one, the first proof of its instance.

    Solves stopped by a limit are checked too: their bounds must enclose the optimum. At most one line per solve.

    Args:
        records: All solves, of any methods, settings and seeds.
        known: Known optima by instance, as in the rows.
    """
    claims: dict[str, list[_Claim]] = defaultdict(list)
    for record in records:
        if record.figures is not None:
            claims[record.instance].append(_claim(record))
    found: list[Disagreement] = []
    for instance, own in claims.items():
        optimum = (known or {}).get(instance)
        proofs = [claim for claim in own if claim.proof]
        if optimum is None and not proofs:
            continue
        reference = proofs[0] if optimum is None else _known_claim(optimum)
        found.extend(
            Disagreement(instance=instance, first=reference.text, second=claim.text)
            for claim in own
            if not _compatible(reference, claim)
        )
    return tuple(found)


def _claim(record: SolveRecord) -> _Claim:
    figures = record.figures
    assert figures is not None
    status = record.status
    who = f"{record.policy} ({record.settings}, seed {record.seed})"
    if status is SolveStatus.OPTIMAL:
        low = high = figures.primal_bound
        text = f"{who} says {figures.primal_bound:.12g} is optimal"
    elif status.solved:
        low, high = math.inf, -math.inf
        text = f"{who} says {status.value}"
    else:
        low, high = sorted((_extended(figures.primal_bound), _extended(figures.dual_bound)))
        text = f"{who} stopped ({status.value}) with the optimum within [{low:.12g}, {high:.12g}]"
    return _Claim(low=low, high=high, proof=status.solved, status=status, text=text)


def _known_claim(known: KnownOptimum) -> _Claim:
    if known.status is SolveStatus.OPTIMAL:
        low, high, text = known.value, known.value, f"{known.source} says {known.value:.12g} is optimal"
    else:
        low, high, text = math.inf, -math.inf, f"{known.source} says {known.status.value}"
    return _Claim(low=low, high=high, proof=True, status=known.status, text=text)


def _compatible(reference: _Claim, claim: _Claim) -> bool:
    """Compare a proof with another claim."""
    either = SolveStatus.INFEASIBLE_OR_UNBOUNDED
    optimal = SolveStatus.OPTIMAL
    if claim.proof and optimal not in (reference.status, claim.status):
        return reference.status is claim.status or either in (reference.status, claim.status)
    if claim.proof and (reference.status is optimal) != (claim.status is optimal):
        return False
    if reference.status is not optimal:
        has_incumbent_and_bound = math.isfinite(claim.low) and math.isfinite(claim.high)
        return not has_incumbent_and_bound
    tolerance = RELATIVE_TOLERANCE * max(1.0, abs(reference.low))
    return claim.low - tolerance <= reference.low <= claim.high + tolerance


def _extended(bound: float) -> float:
    return math.copysign(math.inf, bound) if abs(bound) >= SCIP_INFINITY else bound
