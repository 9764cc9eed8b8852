"""Would other rules name better what helps a training? Each is fitted on all families but one, and judged on that one.

    python -m scripts.headline_held_out --out runs/headline
    python -m scripts.headline_held_out --fit

The rules see what the headline sees. "Margin" is the expected gain, as a share of the noise of the families fitted on,
below which a fitted rule says ``done``. With ``--fit``, the coefficients of the headline itself, from the trainings
that it was fitted on.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from gnn_branching.contracts import FloatArray
from gnn_branching.diagnostics.advice.headline import Limit, Signs, limit_of
from scripts.headline_experiment import Outcome, Score, by_family, kept, noise_levels, noise_of, outcomes
from scripts.headline_trainings import read, read_rows

Fit = Callable[[Sequence[Outcome], Sequence[float]], Callable[[Signs], Limit]]
"""Makes a rule of trainings and the noise of each."""

CHOICES = (Limit.DATA, Limit.OPTIMISATION, Limit.CAPACITY)
FITTED_ON = Path("docs", "results", "headline", "fitted-on.jsonl")
"""Trainings with their changes, of one seed or two, on which the headline was fitted."""


def fitted(part: Sequence[Outcome]) -> Pipeline:
    """Fit the gains of ``CHOICES``, relative to the validation loss, by ridge regression."""
    seen = np.array([item.signs.relative for item in part])
    gains = np.array([[item.gain_of(limit) / item.signs.valid for limit in CHOICES] for item in part])
    return make_pipeline(StandardScaler(), Ridge(alpha=1.0)).fit(seen, gains)


def coefficients(part: Sequence[Outcome]) -> dict[Limit, list[float]]:
    """Return a constant and a coefficient for each sign, by choice."""
    scaler, ridge = (step for _, step in fitted(part).steps)
    slopes = ridge.coef_ / scaler.scale_
    constants = ridge.intercept_ - slopes @ scaler.mean_
    return {choice: [float(c), *map(float, row)] for choice, c, row in zip(CHOICES, constants, slopes, strict=True)}


def gain_error(found: Sequence[Outcome]) -> float:
    """Return the 0.9 quantile of the relative error of the gain of twice the samples, of families left out."""
    errors = []
    for family, items in by_family(found).items():
        model = fitted([item for item in found if item.setting.family != family])
        expected = model.predict(np.array([item.signs.relative for item in items]))[:, 0]
        errors += [abs(e - i.own["samples"] / i.signs.valid) for e, i in zip(expected, items, strict=True)]
    return float(np.quantile(errors, 0.9))


def regression(margin: float) -> Fit:
    """Return a fit that expects each gain by ridge regression, and names the largest unless it is below the margin."""

    def fit(part: Sequence[Outcome], noise: Sequence[float]) -> Callable[[Signs], Limit]:
        model = fitted(part)
        least = margin * noise_of(part)

        def say(signs: Signs) -> Limit:
            expected: FloatArray = signs.valid * model.predict(np.array([signs.relative]))[0]
            return CHOICES[int(expected.argmax())] if expected.max() > least else Limit.DONE

        return say

    return fit


def classifier(make: Callable[[], object]) -> Fit:
    """Return a fit that learns what should have been said."""

    def fit(part: Sequence[Outcome], noise: Sequence[float]) -> Callable[[Signs], Limit]:
        wanted = [str(item.best(level)) for item, level in zip(part, noise, strict=True)]
        model = make_pipeline(StandardScaler(), make()).fit([item.signs.relative for item in part], wanted)
        return lambda signs: Limit(model.predict([signs.relative])[0])

    return fit


FITS: dict[str, Fit] = {
    "the headline, fitted anew": regression(0.0),
    **{f"the same, margin {margin:g}": regression(margin) for margin in (0.5, 1.0, 1.5)},
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
    parser.add_argument("--fit", action="store_true", help="print the headline's own coefficients")
    given = parser.parse_args()
    if given.fit:
        seen = outcomes(read_rows(FITTED_ON))
        for choice, row in coefficients(seen).items():
            print(choice, " ".join(f"{x:.4f}" for x in row))
        print("error", f"{gain_error(seen):.4f}")
        return
    print(lines(outcomes(read(given.out))))


if __name__ == "__main__":
    main()
