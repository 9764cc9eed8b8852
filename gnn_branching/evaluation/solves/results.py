"""``results.parquet``: one row per solve, readable by anything; the inverse of :class:`SolveRecord` and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gnn_branching.contracts import InputError, RuleStatistics, SolveFigures, SolveRecord, SolveStatus
from gnn_branching.durable import write_durably

RESULTS_FILE = "results.parquet"
SCHEMA_NAME = b"gnn-branching-results-1"

_KEY_COLUMNS = ("instance", "family", "size", "policy")
_FIGURE_COLUMNS: Mapping[str, pa.DataType] = {
    "wall_seconds": pa.float64(),
    "cpu_seconds": pa.float64(),
    "root_seconds": pa.float64(),
    "n_tree_nodes": pa.int64(),
    "n_fair_nodes": pa.int64(),
    "n_lp_iterations": pa.int64(),
    "n_strong_branching_lp_iterations": pa.int64(),
    "primal_bound": pa.float64(),
    "dual_bound": pa.float64(),
    "primal_dual_integral": pa.float64(),
}
_RULE_COLUMNS: Mapping[str, pa.DataType] = {
    "decision_seconds": pa.float64(),
    "feature_seconds": pa.float64(),
    "inference_seconds": pa.float64(),
    "n_decisions": pa.int64(),
}

SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string(), nullable=False) for name in _KEY_COLUMNS),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        *(pa.field(name, kind) for name, kind in _FIGURE_COLUMNS.items()),
        *(pa.field(name, kind) for name, kind in _RULE_COLUMNS.items()),
        pa.field("n_fallbacks", pa.int64()),
        pa.field("versions", pa.string(), nullable=False),
        pa.field("settings", pa.string(), nullable=False),
        pa.field("fallbacks", pa.string()),
        pa.field("n_reductions", pa.int64()),
        pa.field("detail", pa.string(), nullable=False),
    ],
    metadata={b"schema": SCHEMA_NAME},
)
"""Columns in order. Figures are null iff ``status`` is crashed, killed-time or killed-memory; ``fallbacks`` is JSON."""

Cell = str | int | float | None


def write_results(path: Path, records: Iterable[SolveRecord]) -> None:
    """Write records as Parquet, whole or not at all.

    Raises:
        InputError: If the disk is full or the place cannot be written to.
    """
    rows = [_row(record) for record in records]
    columns = {name: [row[name] for row in rows] for name in SCHEMA.names}
    content = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pydict(columns, schema=SCHEMA), content, compression="zstd")
    write_durably(path, content.getvalue().to_pybytes())


def read_results(path: Path) -> tuple[SolveRecord, ...]:
    """Read records back.

    Raises:
        InputError: If the file is missing or another program's.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist; run evaluate first, or give its output folder")
    try:
        table = pq.read_table(path)
    except pa.ArrowInvalid as error:
        raise InputError(f"{path} is not a Parquet file: {error}") from None
    missing = [name for name in SCHEMA.names if name not in table.column_names]
    if missing:
        raise InputError(f"{path} has no column {missing[0]!r}; it was not written by this version of evaluate")
    return tuple(_record(row) for row in table.to_pylist())


def _row(record: SolveRecord) -> dict[str, Cell]:
    figures = record.figures
    row: dict[str, Cell] = {name: getattr(record, name) for name in (*_KEY_COLUMNS, "seed", "settings", "versions")}
    row |= {"status": record.status.value, "detail": record.detail}
    row |= {name: getattr(figures, name, None) for name in _FIGURE_COLUMNS}
    rule = figures.rule if figures else None
    row |= {name: getattr(rule, name, None) for name in (*_RULE_COLUMNS, "n_fallbacks")}
    row["n_reductions"] = rule.n_reductions if rule else None
    row["fallbacks"] = json.dumps(dict(rule.fallbacks), sort_keys=True) if rule else None
    return row


def _record(row: Mapping[str, object]) -> SolveRecord:
    status = SolveStatus(str(row["status"]))
    figures = None
    if not status.crashed:
        rule = RuleStatistics(
            fallbacks=json.loads(str(row["fallbacks"])),
            **{name: row[name] for name in (*_RULE_COLUMNS, "n_reductions")},  # type: ignore[arg-type]
        )
        values = {name: row[name] for name in _FIGURE_COLUMNS}
        figures = SolveFigures(status=status, rule=rule, **values)  # type: ignore[arg-type]
    text = {name: str(row[name]) for name in (*_KEY_COLUMNS, "settings", "versions", "detail")}
    return SolveRecord(seed=int(str(row["seed"])), status=status, figures=figures, **text)
