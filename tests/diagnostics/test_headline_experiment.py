"""How answers to trainings are judged, and that a held-out family is held out."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from gnn_branching.diagnostics.advice.headline import EXPECTED, GAIN_ERROR, Limit, Signs
from scripts.headline_experiment import Outcome, noise_at, outcomes
from scripts.headline_held_out import FITS, FITTED_ON, coefficients, gain_error, held_out
from scripts.headline_trainings import Setting, read_rows

SIGNS = Signs(valid=2.0, train=1.9, floor=0.1, train_trend=0.2, valid_trend=0.1, n_stale=0.0, width=8)
NOISE = 0.1


def outcome(*gains: float, family: str = "a", seed: int = 0) -> Outcome:
    """Gains of samples, width, passes, half and twice the rate."""
    setting = Setting(family=family, seed=seed, n_samples=500, width=8, n_steps=160, rate=4e-3)
    names = ("samples", "width", "passes", "half rate", "twice rate")
    brought = dict(zip(names, gains, strict=True))
    return Outcome(setting=setting, signs=SIGNS, own=brought, gains=brought, n_seeds=1)


@pytest.mark.parametrize(
    ("gains", "said", "right", "harmless"),
    [
        ((0.3, 0.0, 0.0, 0.0, 0.0), Limit.DATA, True, True),
        ((0.3, 0.25, 0.0, 0.0, 0.0), Limit.CAPACITY, True, True),
        ((0.3, 0.15, 0.0, -0.5, 0.25), Limit.OPTIMISATION, True, True),
        ((0.3, 0.15, 0.0, 0.0, 0.0), Limit.CAPACITY, False, False),
        ((0.3, 0.0, 0.0, 0.0, 0.0), Limit.DONE, False, False),
        ((0.09, 0.0, 0.0, 0.0, 0.0), Limit.DONE, True, True),
        ((0.09, 0.0, 0.0, 0.0, 0.0), Limit.DATA, False, True),
        ((-0.05, 0.0, 0.0, 0.0, 0.0), Limit.DATA, False, True),
        ((-0.15, 0.0, 0.0, 0.0, 0.0), Limit.DATA, False, False),
        ((-0.2, -0.15, -0.3, -0.3, -0.3), Limit.CAPACITY, False, False),
    ],
)
def test_right_and_harmless(gains: Sequence[float], said: Limit, right: bool, harmless: bool) -> None:
    item = outcome(*gains)
    assert (item.is_hit(said, NOISE), item.is_harmless(said, NOISE)) == (right, harmless)


@pytest.mark.parametrize("name", FITS)
def test_a_rule_is_fitted_without_the_family_it_is_judged_on(name: str) -> None:
    best = {"a": (0.5, 0.0, 0.0, 0.0, 0.0), "b": (0.0, 0.5, 0.0, 0.0, 0.0), "c": (0.0, 0.5, 0.0, 0.0, 0.02)}
    found = [outcome(*gains, family=family, seed=seed) for family, gains in best.items() for seed in (0, 1)]
    seen: list[set[str]] = []

    def spy(part: Sequence[Outcome], noise: Sequence[float]) -> Callable[[Signs], Limit]:
        seen.append({item.setting.family for item in part})
        return FITS[name](part, noise)

    answers = held_out(found, spy)
    assert seen == [{"b", "c"}, {"a", "c"}, {"a", "b"}]
    assert answers[:2] == [Limit.CAPACITY] * 2  # what the others want, not its own


def test_the_headline_has_the_coefficients_that_its_trainings_give() -> None:
    seen = outcomes(read_rows(Path(__file__).parents[2] / FITTED_ON))
    assert len(seen) == 25
    for limit, row in coefficients(seen).items():
        assert EXPECTED[limit] == pytest.approx(row, abs=1e-4), limit
    assert pytest.approx(gain_error(seen), abs=1e-3) == GAIN_ERROR


def test_gains_are_means_over_seeds_unless_asked_for_one() -> None:
    path = Path(__file__).parents[2] / "docs" / "results" / "headline" / "results.jsonl"
    together, alone = outcomes(read_rows(path)), outcomes(read_rows(path), by_seed=True)
    first = [item for item in together if item.setting.configuration == together[0].setting.configuration]
    assert [item.n_seeds for item in first] == [3, 3, 3]
    mean = sum(item.own["samples"] for item in first) / 3
    assert all(item.gains["samples"] == pytest.approx(mean) for item in first)
    assert all(item.gains == item.own and item.n_seeds == 1 for item in alone)
    assert noise_at(together, first[0]) == pytest.approx(noise_at(together, replace(first[0], n_seeds=1)) / 3**0.5)
