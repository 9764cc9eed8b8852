"""The papers by their command-line names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from gnn_branching.contracts import InputError
from gnn_branching.theory import du2018, gasse2019, li2020, liu2020, lucas2021, senen_cerda2020
from gnn_branching.theory.report import TheoryReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """One reproduction.

    Args:
        claim: The claim, in one sentence.
        faults: Names of the deliberate faults it can be given; its report must fail under each.
        reproduce: Takes the output folder, the seed and the name of a fault (``none`` for none).
    """

    claim: str
    faults: tuple[str, ...]
    reproduce: Callable[[Path, int, str], TheoryReport]


PAPERS: Mapping[str, Paper] = MappingProxyType(
    {
        "liu2020": Paper(
            claim=liu2020.CLAIM,
            faults=tuple(liu2020.Fault)[1:],
            reproduce=lambda out, seed, fault: liu2020.Experiment(seed=seed, fault=liu2020.Fault(fault)).run(out),
        ),
        "du2018": Paper(
            claim=du2018.CLAIM,
            faults=tuple(du2018.Fault)[1:],
            reproduce=lambda out, seed, fault: du2018.Experiment(seed=seed, fault=du2018.Fault(fault)).run(out),
        ),
        "lucas2021": Paper(
            claim=lucas2021.CLAIM,
            faults=tuple(lucas2021.Fault)[1:],
            reproduce=lambda out, seed, fault: lucas2021.Experiment(seed=seed, fault=lucas2021.Fault(fault)).run(out),
        ),
        "li2020": Paper(
            claim=li2020.CLAIM,
            faults=tuple(li2020.Fault)[1:],
            reproduce=lambda out, seed, fault: li2020.Experiment(seed=seed, fault=li2020.Fault(fault)).run(out),
        ),
        "senen-cerda2020": Paper(
            claim=senen_cerda2020.CLAIM,
            faults=tuple(senen_cerda2020.Fault)[1:],
            reproduce=lambda out, seed, fault: senen_cerda2020.Experiment(
                seed=seed, fault=senen_cerda2020.Fault(fault)
            ).run(out),
        ),
        "gasse2019": Paper(
            claim=gasse2019.CLAIM,
            faults=tuple(gasse2019.Fault)[1:],
            reproduce=lambda out, seed, fault: gasse2019.Experiment(seed=seed, fault=gasse2019.Fault(fault)).run(out),
        ),
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
    with threadpool_limits(limits=1):
        return PAPERS[paper].reproduce(out, seed, fault)
