"""What does a search for settings cost, and what is a longer one worth? Curves from the trials that `tune` keeps.

    python -m scripts.search_curve runs/tune/set-cover runs/tune/combinatorial-auction --out docs/results/search.svg

The curve is the best ratio of time to the search's start among settings whose race was run to its end, by the search's
wall time. Races share instances, and the best of many is lucky on those it won on: what a recipe is worth, the proof
says.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gnn_branching.contracts import InputError
from gnn_branching.run_folder import RunFolder

CLOSE = 1.05
"""Within 5 % of the best."""
TENTH = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """The best of a search over time.

    Args:
        name: Of the search: its run folder's.
        n_trials: Settings tried.
        minutes: Wall time of the search.
        steps: Minutes and ratio of each new best, the first being the start.
    """

    name: str
    n_trials: int
    minutes: float
    steps: tuple[tuple[float, float], ...]

    @property
    def best(self) -> float:
        """The lowest ratio."""
        return self.steps[-1][1]

    def after(self, minutes: float) -> float:
        """Return the lowest ratio found by then."""
        return min((ratio for at, ratio in self.steps if at <= minutes), default=self.steps[0][1])

    @property
    def minutes_to_close(self) -> float:
        """When the best was within 5 % of the last one."""
        return next(at for at, ratio in self.steps if ratio <= CLOSE * self.best)


def read_curves(runs: Sequence[Path]) -> Iterator[Curve]:
    """Read the trials of every search in run folders.

    Raises:
        InputError: If a folder has no trials.
    """
    for run in runs:
        files = sorted(RunFolder(path=run).search.glob("*/trials.json"))
        if not files:
            raise InputError(f"{run} holds no trials; make some with gnn-branching tune")
        for file in files:
            trials = json.loads(file.read_text())["trials"]
            best, steps = 2.0, []
            for trial in trials:
                if trial["finished"] and trial["ratio"] < best:
                    best = trial["ratio"]
                    steps.append((trial["seconds"] / 60, best))
            yield Curve(
                name=run.name if len(files) == 1 else f"{run.name}, {file.parent.name}",
                n_trials=len(trials),
                minutes=trials[-1]["seconds"] / 60,
                steps=tuple(steps),
            )


def table(curves: Sequence[Curve]) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    yield "| search | minutes | settings tried | best | within 5 % of it after | best after a tenth of the time |"
    yield "|---|---|---|---|---|---|"
    for curve in curves:
        yield (
            f"| {curve.name} | {curve.minutes:.1f} | {curve.n_trials} | {curve.best:.3f} | "
            f"{curve.minutes_to_close:.1f} minutes | {curve.after(TENTH * curve.minutes):.3f} |"
        )


def draw(curves: Sequence[Curve], path: Path) -> None:
    """Draw the curves."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 3.8), layout="constrained")
    axes = figure.add_subplot()
    for curve in curves:
        times, ratios = zip(*curve.steps, (curve.minutes, curve.best), strict=True)
        axes.step(times, ratios, where="post", label=curve.name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("minutes of one core")
    axes.set_ylabel("best time / time at the start")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.grid(visible=True, which="both", alpha=0.25)
    axes.legend(frameon=False)
    figure.savefig(path)


def main() -> None:
    """Print the table, and draw the picture if one is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders of gnn-branching tune or accelerate")
    parser.add_argument("--out", type=Path, help="picture to write, .svg or .png")
    arguments = parser.parse_args()
    curves = list(read_curves(arguments.runs))
    print("\n".join(table(curves)))
    if arguments.out is not None:
        draw(curves, arguments.out)


if __name__ == "__main__":
    main()
