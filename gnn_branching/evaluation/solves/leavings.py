"""What an evaluation leaves beside its rows: conditions, known optima, trees, agreement with strong branching."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from gnn_branching.config import BASELINE_RULE
from gnn_branching.contracts import AgreementRecord, InputError, KnownOptimum
from gnn_branching.durable import write_durably
from gnn_branching.evaluation.solves.trees import RecordedTree, read_tree

Content = TypeVar("Content")

CONDITIONS_FILE = "evaluation.json"
OPTIMA_FILE = "optima.json"
TREES_FILE = "trees.json"
AGREEMENT_FILE = "agreement.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Under what an evaluation was run: ``evaluation.json``.

    Args:
        time_limit_seconds: Of every solve.
        node_limit: Of every solve; 0 means none.
        memory_limit_mib: Of every solve.
        baseline: Rule the others are compared with.
        n_workers: Solves at once.
        executor: Where solves ran.
        solu_files: Lists of known optima.
        time_shift_seconds: Shift of the means of times.
        count_shift: Shift of the means of counts.
        command: The command line; empty if it was run from Python.
    """

    time_limit_seconds: float
    node_limit: int = 0
    memory_limit_mib: int = 0
    baseline: str = BASELINE_RULE
    n_workers: int = 1
    executor: str = "local"
    solu_files: tuple[str, ...] = ()
    time_shift_seconds: float = 1.0
    count_shift: float = 1.0
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeEntry:
    """One recorded tree: a line of ``trees.json``.

    Args:
        instance: The instance.
        policy: The rule.
        settings: Named SCIP settings.
        seed: SCIP's seed.
        path: The tree's file, relative to ``trees.json``.
    """

    instance: str
    policy: str
    settings: str
    seed: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyAgreement:
    """Agreement of one policy at one tree node: a line of ``agreement.jsonl``."""

    policy: str
    record: AgreementRecord


_CONDITIONS = TypeAdapter(Conditions)
_TREES = TypeAdapter(tuple[TreeEntry, ...])
_AGREEMENT = TypeAdapter(PolicyAgreement)
_OPTIMA = TypeAdapter(dict[str, KnownOptimum], config=ConfigDict(ser_json_inf_nan="strings"))


def write_conditions(folder: Path, conditions: Conditions) -> None:
    """Write ``evaluation.json``."""
    write_durably(folder / CONDITIONS_FILE, _CONDITIONS.dump_json(conditions, indent=2) + b"\n")


def write_optima(folder: Path, optima: Mapping[str, KnownOptimum]) -> None:
    """Write ``optima.json``, so that a page made later, elsewhere, checks against the same values."""
    write_durably(folder / OPTIMA_FILE, _OPTIMA.dump_json(dict(optima), indent=2) + b"\n")


def write_tree_index(folder: Path, entries: Sequence[TreeEntry]) -> None:
    """Write ``trees.json``."""
    write_durably(folder / TREES_FILE, _TREES.dump_json(tuple(entries), indent=2) + b"\n")


def write_agreement(path: Path, records: Iterable[PolicyAgreement]) -> None:
    """Write ``agreement.jsonl``."""
    write_durably(path, b"".join(_AGREEMENT.dump_json(record) + b"\n" for record in records))


def read_conditions(path: Path) -> Conditions:
    """Read ``evaluation.json``; raises InputError if it is damaged, as all readers here."""
    return _parse(_CONDITIONS, path.read_bytes(), path)


def read_optima(path: Path) -> dict[str, KnownOptimum]:
    """Read ``optima.json``."""
    return _parse(_OPTIMA, path.read_bytes(), path)


def read_trees(path: Path) -> list[tuple[TreeEntry, RecordedTree]]:
    """Read ``trees.json`` and the trees that it names; those whose files are gone are left out."""
    files = [(entry, path.parent / entry.path) for entry in _parse(_TREES, path.read_bytes(), path)]
    return [(entry, RecordedTree(title=entry.policy, nodes=read_tree(file))) for entry, file in files if file.is_file()]


def read_agreement(path: Path) -> list[PolicyAgreement]:
    """Read ``agreement.jsonl``."""
    return [_parse(_AGREEMENT, line, path) for line in path.read_bytes().splitlines()]


def _parse(adapter: TypeAdapter[Content], data: bytes, path: Path) -> Content:
    try:
        return adapter.validate_json(data)
    except ValidationError as error:
        raise InputError(f"{path} is damaged: {error.errors()[0]['msg']}; run evaluate again") from None
