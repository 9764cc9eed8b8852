"""What came of accelerating a folder of models, and how it is said."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gnn_branching.evaluation.report.tables import Cell, Column, Table, Tone, to_html, words
from gnn_branching.evaluation.report.tables import to_markdown as table_to_markdown
from gnn_branching.policy.card import Verdict

NOTE = (
    "Ratios of shifted geometric means of time with 95 % intervals, each model solved by all. Gained by settings: "
    "against the same rule under SCIP's own. Gained by learning: against SCIP's own rule with the same help, which is "
    "none or as long a search. All solves are in proof/report.html."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the comparison.

    Args:
        name: Who solved.
        verdict: Its time against untouched SCIP's.
        by_settings: Against the same rule under SCIP's settings as they come; None where they are.
        by_learning: A policy's against SCIP's own rule with the same help; None for what is no policy.
    """

    name: str
    verdict: Verdict
    by_settings: Verdict | None = None
    by_learning: Verdict | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceleration:
    """What came of it; a table in a notebook.

    Args:
        best: The winner's line; None if nothing is clearly faster than SCIP as it comes.
        command: How to solve a model with it.
        lines: The whole comparison, untouched SCIP left out; empty if there was nothing to compare.
        notes: What else a user should know, one line each.
        seconds: Wall time used, over all starts.
    """

    best: Line | None
    command: str
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    seconds: float

    def _repr_html_(self) -> str:
        return to_html(table(self))


def sentence(done: Acceleration) -> str:
    """Return the verdict in one sentence."""
    if done.best is None:
        return "Stay with SCIP's default: nothing that was tried is clearly faster on models held back."
    return (
        f"Use {done.best.name}: {done.best.verdict.time_with_interval} of untouched SCIP's time on "
        f"{done.best.verdict.n_instances} models held back."
    )


def acceleration_figures(done: Acceleration) -> dict[str, object]:
    """Return the figures, for ``--json``: the winner's against untouched SCIP, or the closest loser's."""
    figures: dict[str, object] = {"best": None, "command": done.command, "seconds": done.seconds}
    figures |= dict.fromkeys(("time_ratio", "time_ratio_low", "time_ratio_high")) | {"verdict": "no-difference"}
    ours = [line for line in done.lines if line.name != "highs" and line.verdict.time_ratio is not None]
    shown = done.best or min(ours, key=lambda line: line.verdict.time_ratio or 0.0, default=None)
    if shown is not None:
        names = ("verdict", "time_ratio", "time_ratio_low", "time_ratio_high", "n_instances", "n_pairs")
        figures |= {name: getattr(shown.verdict, name) for name in names}
    if done.best is not None:
        figures["best"] = done.best.name
    for line in done.lines:
        figures[f"{line.name}.time_ratio"] = line.verdict.time_ratio
    return figures


def to_markdown(done: Acceleration) -> str:
    """Return the verdict, the comparison and how to use the winner, as Markdown."""
    parts = [f"# Verdict\n\n{sentence(done)}", f"    {done.command}"]
    if done.lines:
        parts.append(table_to_markdown(replace(table(done), title="Time on models held back")).rstrip())
    parts += [f"- {note}" for note in done.notes]
    return "\n\n".join([*parts, f"{done.seconds / 60:.1f} minutes."]) + "\n"


def table(done: Acceleration) -> Table:
    """Return the comparison as a table, under the verdict."""
    columns = (
        Column(key="who", title="", is_number=False),
        Column(key="time_ratio", title="time against untouched SCIP", has_interval=True),
        Column(key="by_settings", title="gained by settings", has_interval=True),
        Column(key="by_learning", title="gained by learning", has_interval=True),
        Column(key="n_instances", title="models"),
    )
    rows = tuple(
        (
            words(line.name),
            *map(_ratio, (line.verdict, line.by_settings, line.by_learning)),
            Cell(text=str(line.verdict.n_instances), value=line.verdict.n_instances),
        )
        for line in done.lines
    )
    return Table(name="verdict", title=sentence(done), note=NOTE if rows else "", columns=columns, rows=rows)


def _ratio(verdict: Verdict | None) -> Cell:
    if verdict is None:
        return words("")
    tone = {"faster": Tone.GOOD, "slower": Tone.BAD}.get(verdict.verdict, Tone.PLAIN)
    return Cell(
        text=verdict.time_with_interval,
        value=verdict.time_ratio,
        low=verdict.time_ratio_low,
        high=verdict.time_ratio_high,
        tone=tone,
    )
