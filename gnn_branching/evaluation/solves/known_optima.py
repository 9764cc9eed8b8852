"""Optimal values known beforehand: MIPLIB's ``.solu`` lists and ``.sol`` files."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from gnn_branching.contracts import InputError, KnownOptimum, SolveStatus

SUFFIXES = frozenset({".lp", ".mps", ".cip", ".opb", ".wbo", ".nl", ".zpl", ".pip", ".gz", ".bz2", ".sol"})

_STATUS = re.compile(r"^\s*solution status:\s*(.+?)\s*$", re.IGNORECASE)
_OBJECTIVE = re.compile(r"^\s*(?:objective value:|=obj=|#\s*objective value\s*=)\s*(\S+)", re.IGNORECASE)
_MAX_HEADER_LINES = 20


def instance_stem(path: str) -> str:
    """Return a problem file's name without folder and known suffixes: ``data/p0033.mps.gz`` → ``p0033``."""
    name = Path(path)
    while name.suffix.lower() in SUFFIXES:
        name = name.with_suffix("")
    return name.name


def read_solu(path: Path) -> dict[str, KnownOptimum]:
    """Read a ``.solu`` list by stem: ``=opt= name value``, ``=inf= name``, ``=unbd= name``.

    ``=best=`` and ``=unkn=`` lines are no proofs and are left out.

    Raises:
        InputError: If the file is missing or a line cannot be understood.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise InputError(f"solution list {path} cannot be read: {error.strerror}") from None
    known: dict[str, KnownOptimum] = {}
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words or words[0] in {"=best=", "=unkn=", "=feas=", "#"}:
            continue
        try:
            known[instance_stem(words[1])] = _solu_entry(words, source=path.name)
        except (IndexError, KeyError, ValueError):
            raise InputError(f"{path}, line {number}: {line!r} is not '=opt= name value', '=inf= name'") from None
    return known


def read_sol(path: Path) -> KnownOptimum | None:
    """Read the objective value of a ``.sol`` or ``.sol.gz`` file.

    None if its head names none, or states another status than optimal or infeasible, as SCIP does after a time-out.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", errors="replace") as stream:
        for _, line in zip(range(_MAX_HEADER_LINES), stream, strict=False):
            status = _STATUS.match(line)
            if status and status.group(1).lower() not in {"optimal", "infeasible"}:
                return None
            found = _OBJECTIVE.match(line)
            if found:
                return KnownOptimum(status=SolveStatus.OPTIMAL, value=float(found.group(1)), source=path.name)
            if "infeasible" in line.lower():
                return KnownOptimum(status=SolveStatus.INFEASIBLE, value=float("nan"), source=path.name)
    return None


def known_optima(instances: Iterable[str], solu_files: Iterable[Path] = ()) -> Mapping[str, KnownOptimum]:
    """Return what lists say, and what ``<stem>.sol[.gz]`` beside an instance says, by instance; lists go first.

    Raises:
        InputError: If a list cannot be read.
    """
    lists = [read_solu(path) for path in solu_files]
    known: dict[str, KnownOptimum] = {}
    for instance in instances:
        stem = instance_stem(instance)
        beside = (Path(instance).parent / f"{stem}{suffix}" for suffix in (".sol", ".sol.gz"))
        found = [read_sol(path) for path in beside if path.is_file()]
        found += [own[stem] for own in lists if stem in own]
        for optimum in found:
            if optimum is not None:
                known[instance] = optimum
    return known


def _solu_entry(words: list[str], *, source: str) -> KnownOptimum:
    kinds = {"=opt=": SolveStatus.OPTIMAL, "=inf=": SolveStatus.INFEASIBLE, "=unbd=": SolveStatus.UNBOUNDED}
    status = kinds[words[0]]
    value = float(words[2]) if status is SolveStatus.OPTIMAL else float("nan")
    return KnownOptimum(status=status, value=value, source=source)
