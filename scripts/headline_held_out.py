"""Would other rules name better what helps a training? Each is fitted on all families but one, and judged on that one.

    python -m scripts.headline_held_out --out runs/headline

The rules see what the headline sees. "Margin" is the expected gain, as a share of the noise of the families fitted on,
below which a fitted rule says ``done``.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from gnn_branching.contracts import FloatArray
from gnn_branching.diagnostics.advice.headline import Limit, Signs, Thresholds, limit_of
from scripts.headline_experiment import Outcome, Score, by_family, kept, noise_levels, noise_of, outcomes
from scripts.headline_trainings import read

Fit = Callable[[Sequence[Outcome], Sequence[float]], Callable[[Signs], Limit]]
"""Makes a rule of trainings and the noise of each."""

GRID = [
    Thresholds(overfitted=overfitted, narrow=narrow, stale=stale, falling=falling, close=close)
    for overfitted, narrow, stale, falling, close in itertools.product(
        (0.08, 0.1, 0.12, 0.15, 0.2), (0, 16, 32, 64), (0.2, 0.4, 2.0), (0.03, 0.06, 0.1, 0.15), (0.0, 0.05, 0.1, 1.0)
    )
]
"""Thresholds that are tried; a width of 0 never asks for more, a share of 2 is never stale."""
CHOICES = (Limit.DATA, Limit.OPTIMISATION, Limit.CAPACITY)


def features(signs: Signs) -> list[float]:
    """Return what a fitted rule sees."""
    gap, trend = signs.gap / signs.valid, signs.train_trend / signs.train
    return [gap, trend, signs.n_stale, math.log2(signs.width)]


def thresholds(part: Sequence[Outcome], noise: Sequence[float]) -> Callable[[Signs], Limit]:
    """Choose the headline's thresholds anew: of those most often right, the ones that change fewest."""

    def value(tried: Thresholds) -> tuple[int, int]:
        right = Score.of(part, [limit_of(item.signs, tried) for item in part], noise).n_right
        usual = asdict(Thresholds())
        return right, sum(usual[name] == x for name, x in asdict(tried).items())

    best = max(GRID, key=value)
    return lambda signs: limit_of(signs, best)


def regression(margin: float) -> Fit:
    """Return a fit that expects each gain by ridge regression, and names the largest unless it is below the margin."""

    def fit(part: Sequence[Outcome], noise: Sequence[float]) -> Callable[[Signs], Limit]:
        seen = np.array([features(item.signs) for item in part])
        gains = np.array([[item.gain_of(limit) for limit in CHOICES] for item in part])
        model = make_pipeline(StandardScaler(), Ridge(alpha=1.0)).fit(seen, gains)
        least = margin * noise_of(part)

        def say(signs: Signs) -> Limit:
            expected: FloatArray = model.predict(np.array([features(signs)]))[0]
            return CHOICES[int(expected.argmax())] if expected.max() > least else Limit.DONE

        return say

    return fit


def classifier(make: Callable[[], object]) -> Fit:
    """Return a fit that learns what should have been said."""

    def fit(part: Sequence[Outcome], noise: Sequence[float]) -> Callable[[Signs], Limit]:
        wanted = [str(item.best(level)) for item, level in zip(part, noise, strict=True)]
        model = make_pipeline(StandardScaler(), make()).fit([features(item.signs) for item in part], wanted)
        return lambda signs: Limit(model.predict([features(signs)])[0])

    return fit


FITS: dict[str, Fit] = {
    "the headline's rules, thresholds fitted": thresholds,
    **{f"ridge regression of the gains, margin {margin:g}": regression(margin) for margin in (0.0, 0.5, 1.0, 1.5)},
    "decision tree of depth 2": classifier(lambda: DecisionTreeClassifier(max_depth=2, random_state=0)),
    "decision tree of depth 3": classifier(lambda: DecisionTreeClassifier(max_depth=3, random_state=0)),
}


def held_out(found: Sequence[Outcome], fit: Fit) -> list[Limit]:
    """Return what is said of each training by the rule that was fitted on the other families."""
    levels, rules = noise_levels(found), {}
    for family in by_family(found):
        part = [item for item in found if item.setting.family != family]
        rules[family] = fit(part, [levels[item.setting] for item in part])
    return [rules[item.setting.family](item.signs) for item in found]


def lines(found: Sequence[Outcome]) -> str:
    """Return a line for each rule, as Markdown."""
    levels = noise_levels(found)
    noise = [levels[item.setting] for item in found]
    told = ["| rule | right | harmless | brought, nats |", "|---|---|---|---|"]
    said = {"the headline as it is": [limit_of(item.signs) for item in found]}
    said |= {name: held_out(found, fit) for name, fit in FITS.items()}
    for name, answers in said.items():
        score = Score.of(found, answers, noise)
        told.append(f"| {name} | {score.n_right} of {score.n} | {score.n_harmless} of {score.n} | {score.gain:+.3f} |")
    return "\n".join(told)


def held_out_table(folders: Sequence[Path]) -> str:
    """Return the table of a folder of rows."""
    return lines(kept(folders))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/headline"))
    print(lines(outcomes(read(parser.parse_args().out))))


if __name__ == "__main__":
    main()
