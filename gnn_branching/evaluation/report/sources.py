"""Everything a report can be made of, as files in a folder."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from gnn_branching.contracts import AgreementRecord, InputError, KnownOptimum, SolveRecord
from gnn_branching.evaluation.report.run_figures import read_metrics
from gnn_branching.evaluation.solves.leavings import (
    AGREEMENT_FILE,
    CONDITIONS_FILE,
    OPTIMA_FILE,
    TREES_FILE,
    Conditions,
    TreeEntry,
    read_agreement,
    read_conditions,
    read_optima,
    read_trees,
)
from gnn_branching.evaluation.solves.results import RESULTS_FILE, read_results
from gnn_branching.evaluation.solves.trees import RecordedTree

METRICS_FILE = "metrics.jsonl"
DIAGNOSIS_FILE = "diagnosis.json"


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
class FoundHeadline:
    """What limits a training, as found in ``diagnosis.json``.

    Args:
        limit: ``data``, ``optimisation``, ``capacity``, ``expert`` or ``done``.
        advice: What to do.
        evidence: Lines.
        record: How often such headlines were right; empty in diagnoses of earlier versions.
    """

    limit: str
    advice: str
    evidence: tuple[str, ...]
    record: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundDiagnosis:
    """What ``diagnose`` left in a folder.

    Args:
        name: The training's name.
        headline: What limits it; None if that could not be said.
        findings: Values beside their bounds.
        advice: Recommendations.
        pictures: PNG files, by name.
    """

    name: str
    headline: FoundHeadline | None
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
        records: All rows, each solve once; settings from a file go by a short name.
        settings_files: The settings as they were given, by these names.
        conditions: Under what they were run, one entry a folder that says so.
        optima: Optima known beforehand, by instance.
        n_repeated: Rows left out because another folder holds the same solve.
        trees: Recorded trees, those of one solve next to each other.
        agreement: Agreement with strong branching by policy.
        metrics: Training metrics by run.
        diagnoses: Diagnoses of trainings.
    """

    records: tuple[SolveRecord, ...]
    settings_files: Mapping[str, str]
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


_FINDINGS = TypeAdapter(tuple[FoundFinding, ...])
_HEADLINE = TypeAdapter(FoundHeadline | None)
_ADVICE = TypeAdapter(tuple[FoundAdvice, ...])


def settings_as_shown(names: Iterable[str]) -> dict[str, str]:
    """Return a short name for each: of a parameter file, the last parts of its path that no other file ends with."""
    distinct = set(names)
    endings = Counter(ending for name in distinct for ending in _endings(name))
    return {name: next((ending for ending in _endings(name) if endings[ending] == 1), name) for name in distinct}


def _endings(name: str) -> list[str]:
    """Return a path's endings, the shortest first."""
    parts = Path(name).parts
    return ["/".join(parts[start:]) for start in reversed(range(len(parts)))]


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
    trees = [tree for path in files(TREES_FILE) for tree in read_trees(path)]
    shown = settings_as_shown([*(row.settings for row in once.values()), *(entry.settings for entry, _ in trees)])
    agreement: dict[str, list[AgreementRecord]] = {}
    for path in files(AGREEMENT_FILE):
        for own in read_agreement(path):
            agreement.setdefault(own.policy, []).append(own.record)
    sources = Sources(
        records=tuple(replace(row, settings=shown[row.settings]) for row in once.values()),
        settings_files={name: given for given, name in shown.items()},
        conditions=tuple(read_conditions(path) for path in files(CONDITIONS_FILE)),
        optima={name: known for path in files(OPTIMA_FILE) for name, known in read_optima(path).items()},
        n_repeated=len(rows) - len(once),
        trees=tuple((replace(entry, settings=shown[entry.settings]), tree) for entry, tree in trees),
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
        headline = _HEADLINE.validate_python(document.get("headline"))
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is no diagnosis ({str(error).splitlines()[0]}); run diagnose again") from None
    name = str(document.get("name") or _run_name(path))
    return FoundDiagnosis(
        name=name,
        headline=headline,
        findings=findings,
        advice=advice,
        pictures=tuple(sorted(path.parent.glob("*.png"))),
    )


def _run_name(path: Path) -> str:
    return path.resolve().parent.name
