"""Everything a report can be made of, as files in a folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, ValidationError

from gnn_branching.contracts import AgreementRecord, InputError, SolveRecord
from gnn_branching.durable import write_durably
from gnn_branching.evaluation.optima import KnownOptimum
from gnn_branching.evaluation.results import RESULTS_FILE, read_results
from gnn_branching.evaluation.run_figures import read_metrics
from gnn_branching.evaluation.trees import RecordedTree, read_tree

CONDITIONS_FILE = "evaluation.json"
OPTIMA_FILE = "optima.json"
TREES_FILE = "trees.json"
AGREEMENT_FILE = "agreement.jsonl"
METRICS_FILE = "metrics.jsonl"
DIAGNOSIS_FILE = "diagnosis.json"


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
    baseline: str = "relpscost"
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


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundAdvice:
    """A recommendation, as found in ``diagnosis.json``.

    Args:
        topic: What it is about.
        recommendation: What to do.
        measured: What was measured, with its value.
        assumptions: What it rests on.
        assumptions_met: Whether that was checked and held.
    """

    topic: str
    recommendation: str
    measured: str = ""
    assumptions: str = ""
    assumptions_met: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundDiagnosis:
    """What ``diagnose`` left in a folder.

    Args:
        name: The training's name.
        findings: Values beside their bounds.
        advice: Recommendations.
        pictures: PNG files, by name.
    """

    name: str
    findings: tuple[FoundFinding, ...]
    advice: tuple[FoundAdvice, ...]
    pictures: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFinding:
    """A diagnostic's answer, as found in ``diagnosis.json``.

    Args:
        name: Its name.
        value: What was measured; None if it could not be.
        bound: What it was compared with; None if with nothing.
        verdict: ``holds``, ``violated`` or ``not_applicable``.
        statement: What was compared.
    """

    name: str
    value: float | None
    bound: float | None
    verdict: str
    statement: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What was found.

    Args:
        records: All rows, each solve once.
        conditions: Under what they were run, one entry a folder that says so.
        optima: Optima known beforehand, by instance.
        n_repeated: Rows left out because another folder holds the same solve.
        trees: Recorded trees, those of one solve next to each other.
        agreement: Agreement with strong branching by policy.
        metrics: Training metrics by run.
        diagnoses: Diagnoses of trainings.
    """

    records: tuple[SolveRecord, ...]
    conditions: tuple[Conditions, ...]
    optima: Mapping[str, KnownOptimum]
    n_repeated: int
    trees: tuple[tuple[TreeEntry, RecordedTree], ...]
    agreement: Mapping[str, tuple[AgreementRecord, ...]]
    metrics: Mapping[str, Mapping[str, Sequence[float]]]
    diagnoses: tuple[FoundDiagnosis, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to report."""
        return not (self.records or self.metrics or self.diagnoses or self.trees)


_CONDITIONS = TypeAdapter(Conditions)
_TREES = TypeAdapter(tuple[TreeEntry, ...])
_AGREEMENT = TypeAdapter(PolicyAgreement)
_OPTIMA = TypeAdapter(dict[str, KnownOptimum], config=ConfigDict(ser_json_inf_nan="strings"))
_FINDINGS = TypeAdapter(tuple[FoundFinding, ...])
_ADVICE = TypeAdapter(tuple[FoundAdvice, ...])


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


def read_sources(folders: Sequence[Path], *, recursive: bool = True) -> Sources:
    """Read everything in some folders, and below them if asked to, that a report can show.

    Raises:
        InputError: If a folder is missing, a file is damaged, or there is nothing to show.
    """
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder; give an output folder of evaluate or train-policy")

    def files(name: str) -> list[Path]:
        pattern = f"**/{name}" if recursive else name
        return list({path.resolve(): path for folder in folders for path in sorted(folder.glob(pattern))}.values())

    rows = [record for path in files(RESULTS_FILE) for record in read_results(path)]
    once = {(row.instance, row.settings, row.policy, row.seed): row for row in rows}
    agreement: dict[str, list[AgreementRecord]] = {}
    for path in files(AGREEMENT_FILE):
        for own in _read_agreement(path):
            agreement.setdefault(own.policy, []).append(own.record)
    sources = Sources(
        records=tuple(once.values()),
        conditions=tuple(_read_conditions(path) for path in files(CONDITIONS_FILE)),
        optima={name: known for path in files(OPTIMA_FILE) for name, known in _read_optima(path).items()},
        n_repeated=len(rows) - len(once),
        trees=tuple(tree for path in files(TREES_FILE) for tree in _read_trees(path)),
        agreement={policy: tuple(records) for policy, records in agreement.items()},
        metrics={_run_name(path): read_metrics(path) for path in files(METRICS_FILE)},
        diagnoses=tuple(read_diagnosis(path) for path in files(DIAGNOSIS_FILE)),
    )
    if sources.is_empty:
        raise InputError(f"{folders[0]} holds neither {RESULTS_FILE} nor {METRICS_FILE}; run evaluate or train-policy")
    return sources


def read_diagnosis(path: Path) -> FoundDiagnosis:
    """Read ``diagnosis.json`` and what pictures lie beside it; fields that this page does not show are ignored.

    Raises:
        InputError: If the file is no diagnosis.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        findings = _FINDINGS.validate_python(document.get("findings", []))
        advice = _ADVICE.validate_python(document.get("advice", []))
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is no diagnosis ({str(error).splitlines()[0]}); run diagnose again") from None
    name = str(document.get("name") or _run_name(path))
    return FoundDiagnosis(
        name=name, findings=findings, advice=advice, pictures=tuple(sorted(path.parent.glob("*.png")))
    )


def _read_conditions(path: Path) -> Conditions:
    try:
        return _CONDITIONS.validate_json(path.read_bytes())
    except ValidationError as error:
        raise InputError(f"{path} is damaged: {error.errors()[0]['msg']}; run evaluate again") from None


def _read_optima(path: Path) -> dict[str, KnownOptimum]:
    try:
        return _OPTIMA.validate_json(path.read_bytes())
    except ValidationError as error:
        raise InputError(f"{path} is damaged: {error.errors()[0]['msg']}; run evaluate again") from None


def _read_trees(path: Path) -> list[tuple[TreeEntry, RecordedTree]]:
    try:
        entries = _TREES.validate_json(path.read_bytes())
    except ValidationError as error:
        raise InputError(f"{path} is damaged: {error.errors()[0]['msg']}; run evaluate again") from None
    trees: list[tuple[TreeEntry, RecordedTree]] = []
    for entry in entries:
        file = path.parent / entry.path
        if file.is_file():
            trees.append((entry, RecordedTree(title=entry.policy, nodes=read_tree(file))))
    return trees


def _read_agreement(path: Path) -> list[PolicyAgreement]:
    try:
        return [_AGREEMENT.validate_json(line) for line in path.read_bytes().splitlines()]
    except ValidationError as error:
        raise InputError(f"{path} is damaged: {error.errors()[0]['msg']}; run evaluate again") from None


def _run_name(path: Path) -> str:
    return path.resolve().parent.name
