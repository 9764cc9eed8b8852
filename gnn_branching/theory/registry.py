"""The papers by their command-line names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from gnn_branching.contracts import InputError
from gnn_branching.theory import du2018, li2020, liu2020, lucas2021, senen_cerda2020
from gnn_branching.theory.report import TheoryReport


class Experiment(Protocol):
    """One reproduction, set up."""

    def run(self, out: Path) -> TheoryReport:
        """Reproduce the claim; pictures and figures go to ``out``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """One reproduction.

    Args:
        claim: The claim, in one sentence.
        fault: The deliberate faults it can be given, none first; its report must fail under each other one.
        experiment: Takes the seed and the fault.
    """

    claim: str
    fault: type[StrEnum]
    experiment: Callable[..., Experiment]

    @property
    def faults(self) -> tuple[str, ...]:
        """Names of the deliberate faults."""
        return tuple(self.fault)[1:]


PAPERS: Mapping[str, Paper] = MappingProxyType(
    {
        name: Paper(claim=module.CLAIM, fault=module.Fault, experiment=module.Experiment)
        for name, module in (
            ("liu2020", liu2020),
            ("du2018", du2018),
            ("lucas2021", lucas2021),
            ("li2020", li2020),
            ("senen-cerda2020", senen_cerda2020),
        )
    }
)
"""Every paper, in the order in which ``theory --all`` runs them."""


def run(paper: str, out: Path, seed: int = 0, fault: str = "none") -> TheoryReport:
    """Reproduce one paper's claim on one thread; write ``PAPER.png`` and ``PAPER.json`` into ``out``.

    Args:
        paper: A key of :data:`PAPERS`.
        out: Folder; it is made if missing.
        seed: Root of every draw.
        fault: A deliberate fault of that paper, or ``none``.

    Raises:
        InputError: If the paper or the fault is unknown.
    """
    if paper not in PAPERS:
        raise InputError(f"unknown paper {paper!r}: choose one of {', '.join(PAPERS)}")
    allowed = ("none", *PAPERS[paper].faults)
    if fault not in allowed:
        raise InputError(f"unknown fault {fault!r} of {paper}: choose one of {', '.join(allowed)}")
    out.mkdir(parents=True, exist_ok=True)
    experiment = PAPERS[paper].experiment(seed=seed, fault=PAPERS[paper].fault(fault))
    with threadpool_limits(limits=1):
        return experiment.run(out)
