"""Make what ``docs/results`` says again: a declared experiment in, rows out, and the documents' tables from the rows.

    python -m scripts.results easy               # run what experiments/easy.toml declares, keep the rows, write tables
    python -m scripts.results easy --table-only  # write tables from the rows that are in the repository
    python -m scripts.results                    # list the experiments

A block of a document between ``<!-- results EXPERIMENT BLOCK -->`` and ``<!-- end results -->`` is written by this
command: the block ``commands`` says what makes the rows, every other one is a table. Commands go on where they were
interrupted, as far as they do so by themselves.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from gnn_branching.contracts import InputError
from gnn_branching.durable import write_durably
from gnn_branching.evaluation.report.sources import read_sources
from gnn_branching.evaluation.report.tables import (
    EMPTY,
    Cell,
    Column,
    Table,
    format_number,
    format_ratio,
    number,
    ratio,
    to_markdown,
    words,
)
from gnn_branching.evaluation.report.write import Report, make_report, write_report

ROOT = Path(__file__).parent.parent
EXPERIMENTS, DOCUMENTS = ROOT / "experiments", ROOT / "docs" / "results"
MADE = Path("runs") / "results"
"""Where commands write, seen from the repository; only rows are kept."""
ROWS = ("results.parquet", "evaluation.json", "results.jsonl", "figures.json")
"""Files of an output folder that are rows, or say under what they were made."""
POLICY = "gcnn"
"""Name of the policy in evaluations of several families."""
BLOCK = re.compile(r"(<!-- results (\S+) (\S+) -->\n).*?(<!-- end results -->)", re.DOTALL)
NOT_KEPT = "The rows are not in the repository: `python -m scripts.results {}` makes them, and the table, again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What makes one folder of rows.

    Args:
        commands: Shell words, in order; ``{out}`` is the run's output folder and ``{made}`` that of all experiments.
        rows: Folder below ``docs/results`` that keeps the rows; empty for none.
        pictures: Files of the output folder that ``docs/results`` shows.
    """

    commands: tuple[str, ...]
    rows: str = ""
    pictures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOf:
    """A table of a document.

    Args:
        name: Its block.
        by: Function that makes it, ``module:name``: from the folders of rows and ``given`` to Markdown.
        given: What the function is told beside the rows.
    """

    name: str
    by: str
    given: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One file of ``experiments/``.

    Args:
        name: The file's stem.
        question: What it answers.
        runs: What makes its rows; none where they are those of other experiments.
        rows: Folders below ``docs/results`` that tables and page are made of, in order; those of other experiments too.
        tables: Tables of documents.
        page: HTML page below ``docs/results``, with its picture and its Markdown beside it; empty for none.
        page_is_document: Whether the page's Markdown is the document; else a document of that name is left alone.
    """

    name: str
    question: str
    runs: tuple[Run, ...]
    rows: tuple[str, ...] = ()
    tables: tuple[TableOf, ...] = ()
    page: str = ""
    page_is_document: bool = True

    @property
    def folders(self) -> list[Path]:
        """The folders of rows."""
        return [DOCUMENTS / name for name in self.rows or [run.rows for run in self.runs if run.rows]]

    @property
    def is_kept(self) -> bool:
        """Whether all its rows are in the repository."""
        return bool(self.folders) and all(folder.is_dir() for folder in self.folders)

    def out(self, run: Run) -> Path:
        """Return where a run writes, seen from the repository."""
        return MADE / self.name / (Path(run.rows).name if len(self.runs) > 1 else "")

    def commands(self, run: Run) -> list[str]:
        """Return what a run runs."""
        return [command.format(out=self.out(run), made=MADE) for command in run.commands]

    def make_rows(self) -> None:
        """Run everything, and keep the rows.

        Raises:
            CalledProcessError: If a command fails; the rows of the runs before it are kept.
        """
        for run in self.runs:
            for command in self.commands(run):
                print(f"$ {command}", file=sys.stderr, flush=True)
                program, *arguments = shlex.split(command)
                subprocess.run([_program(program), *arguments], cwd=ROOT, check=True)
            out = ROOT / self.out(run)
            for name in ROWS if run.rows else ():
                if (out / name).is_file():
                    (DOCUMENTS / run.rows).mkdir(parents=True, exist_ok=True)
                    shutil.copy(out / name, DOCUMENTS / run.rows / name)
            for name in run.pictures:
                shutil.copy(out / name, DOCUMENTS / name)

    def blocks(self) -> dict[str, str]:
        """Return what its blocks say; no tables where the rows are not kept."""
        lines = ["```", *(command for run in self.runs for command in self.commands(run)), "```"]
        found = {"commands": "\n".join(lines if self.is_kept else [*lines, "", NOT_KEPT.format(self.name)])}
        if self.is_kept:
            for table in self.tables:
                found[table.name] = resolve_name(table.by)(self.folders, **table.given).strip("\n")
        return found


def _program(name: str) -> str:
    """Return a console script beside this Python, or the name itself."""
    beside = Path(sys.executable).with_name(name)
    return sys.executable if name == "python" else str(beside) if beside.exists() else name


def read_experiment(path: Path) -> Experiment:
    """Read a declaration.

    Raises:
        InputError: If a key is unknown or missing.
    """
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    try:
        runs = tuple(Run(**_tuples(run)) for run in content.pop("run", ()))
        tables = tuple(TableOf(name=t.pop("name"), by=t.pop("by"), given=t) for t in content.pop("table", ()))
        return Experiment(name=path.stem, runs=runs, tables=tables, **_tuples(content))
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: {error}") from None


def _tuples(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}


def experiments() -> dict[str, Experiment]:
    """Return all that are declared, by name."""
    return {path.stem: read_experiment(path) for path in sorted(EXPERIMENTS.glob("*.toml"))}


def rendered(text: str, blocks: Mapping[str, Mapping[str, str]]) -> str:
    """Return a document with its blocks as they should be; a block that nothing is given for stays."""

    def fill(found: re.Match[str]) -> str:
        content = blocks.get(found[2], {}).get(found[3])
        return found[0] if content is None else f"{found[1]}\n{content}\n\n{found[4]}"

    return BLOCK.sub(fill, text)


def write_documents(experiment: Experiment) -> None:
    """Write an experiment's blocks into every document that has them, and its page; print tables that none has."""
    blocks, shown = experiment.blocks(), {"commands"}
    for document in sorted(DOCUMENTS.glob("*.md")):
        text = document.read_text(encoding="utf-8")
        shown |= {found[3] for found in BLOCK.finditer(text) if found[2] == experiment.name}
        if (new := rendered(text, {experiment.name: blocks})) != text:
            write_durably(document, new.encode())
    if experiment.page and experiment.is_kept:
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / experiment.page
            write_report(experiment.folders, page)
            for file in Path(folder).iterdir():
                if file.suffix != ".md" or experiment.page_is_document:
                    shutil.copy(file, DOCUMENTS / file.name)
    for name in blocks.keys() - shown:
        print(blocks[name])


@functools.cache
def _report(*folders: Path) -> Report:
    return make_report(read_sources(folders))


def report_table(folders: Sequence[Path], *, which: str) -> str:
    """Return one table of the report on some folders, by name."""
    return to_markdown(next(table for table in _report(*folders).tables if table.name == which))


def learned_ratios(folders: Sequence[Path], *, title: str, beside: Mapping[str, Sequence[str | float]]) -> str:
    """Return one row a folder for its policy: paired ratios to the baseline, under the settings that it ran under.

    Args:
        folders: Of ``evaluate``, one family each, with the policy under the name ``gcnn``.
        title: Of the table.
        beside: Figures of others: their titles under ``titles``, their values under each family.
    """
    titles = [str(name) for name in beside["titles"]]
    columns = (
        Column(key="instances", title="", is_number=False),
        Column(key="n", title="instances × seeds"),
        Column(key="paper", title="paper settings", has_interval=True),
        Column(key="default", title="SCIP's default settings", has_interval=True),
        Column(key="nodes", title="tree nodes, paper settings", has_interval=True),
        *(Column(key=name, title=name) for name in titles),
    )
    return to_markdown(Table(name="ratios", title=title, columns=columns, rows=tuple(_learned_rows(folders, beside))))


def _learned_rows(folders: Sequence[Path], beside: Mapping[str, Sequence[str | float]]) -> Iterator[tuple[Cell, ...]]:
    for folder in folders:
        (group,) = _report(folder).groups
        ratios = {line.method.settings: line.ratios for line in group.methods if line.method.policy == POLICY}
        yield (
            words(group.family.replace("-", " ")),
            Cell(text=f"{group.n_instances} × {group.n_seeds}"),
            ratio(ratios["paper"]["time"]),
            ratio(ratios["default"]["time"]) if "default" in ratios else words(EMPTY),
            ratio(ratios["paper"]["nodes"]),
            *(Cell(text=format_ratio(float(value)), value=float(value)) for value in beside[group.family]),
        )


def by_rule(folders: Sequence[Path], *, title: str, measure: str, own: str) -> str:
    """Return one row a rule and one column a folder: the paired ratio to the baseline, and the mean time.

    Args:
        folders: Of ``evaluate``, one family each; a rule that a folder lacks has no figure there.
        title: Of the table.
        measure: Key of the ratio, such as ``time``.
        own: What stands for the policy that has the family's name.
    """
    columns, cells = [Column(key="rule", title="", is_number=False)], dict[str, dict[str, Cell]]()
    for folder in folders:
        report = _report(folder)
        (group,) = report.groups
        columns.append(Column(key=group.family, title=group.family.replace("-", " "), has_interval=True))
        baseline = report.options.baseline
        for line in sorted(group.methods, key=lambda line: (line.method.policy != baseline, line.method.policy)):
            found = Cell(text="1") if line.method.policy == baseline else ratio(line.ratios[measure])
            text = f"{found.text} ({format_number(line.means.time_seconds)} s)"
            cells.setdefault(line.method.policy.replace(group.family, own), {})[group.family] = replace(
                found, text=text
            )
    families = [column.key for column in columns[1:]]
    rows = tuple((words(name), *(found.get(key, words(EMPTY)) for key in families)) for name, found in cells.items())
    return to_markdown(Table(name="by-rule", title=title, columns=tuple(columns), rows=rows))


def figures(folders: Sequence[Path], *, title: str) -> str:
    """Return the figures of benchmarks, one column a folder."""
    found = [json.loads((folder / "figures.json").read_text(encoding="utf-8")) for folder in folders]
    columns = (
        Column(key="figure", title="", is_number=False),
        *(Column(key=folder.name, title=folder.name) for folder in folders),
    )
    rows = tuple((words(key), *(number(own.get(key, math.nan)) for own in found)) for key in found[0])
    return to_markdown(Table(name="figures", title=title, columns=columns, rows=rows))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", help="an experiment; none to list them")
    parser.add_argument("--table-only", action="store_true", help="solve and train nothing: tables from the rows kept")
    given = parser.parse_args()
    known = experiments()
    if given.name is None:
        for experiment in known.values():
            kept = "rows kept" if experiment.is_kept else "rows not kept"
            print(f"{experiment.name:20} {kept:15} {experiment.question}")
        return
    if given.name not in known:
        parser.error(f"no experiment {given.name}; choose one of {', '.join(known)}")
    experiment = known[given.name]
    if not given.table_only:
        experiment.make_rows()
    elif not experiment.is_kept:
        parser.error(f"the rows of {given.name} are not kept; leave out --table-only to make them")
    write_documents(experiment)


if __name__ == "__main__":
    main()
