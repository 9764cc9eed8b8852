"""Does the headline name what helps a training most? A back-test by doing it.

Each training of the plan is repeated with twice the samples, twice the width, twice the passes, half and twice the
learning rate, all with three seeds (:mod:`scripts.headline_trainings`), and what that really changed in the lowest
validation loss, in the mean over the seeds, is set against what the headline said of each.

    python -m scripts.headline_experiment run combinatorial-auction=runs/ca/dataset --out runs/headline
    python -m scripts.headline_experiment table --out runs/headline
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from gnn_branching.diagnostics.advice.headline import Limit, Signs, data_gain, limit_of
from scripts.headline_trainings import CHANGES, N_SEEN, Setting, Trained, bases, read, run

NORMAL_90 = 1.64
"""Half width of a two-sided 90 % interval, in standard deviations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A training, what its changes really brought, and what was said of it.

    Args:
        setting: The training.
        signs: What the headline is read from.
        own: Fall of the lowest validation loss by change, in nats, with the training's own seed.
        gains: The same in the mean over the seeds of its configuration.
        n_seeds: How many these are.
    """

    setting: Setting
    signs: Signs
    own: dict[str, float]
    gains: dict[str, float]
    n_seeds: int

    def gain_of(self, limit: Limit) -> float:
        """Return what heeding a headline brought: at best, where it leaves a choice; nothing for ``done``."""
        return max((self.gains[change] for change in REMEDIES[limit]), default=0.0)

    def best(self, noise: float) -> Limit:
        """Return what should have been said: the class of the best change, or ``done`` if none stands out of noise."""
        best = max(REMEDIES, key=self.gain_of)
        return best if self.gain_of(best) > noise else Limit.DONE

    def is_hit(self, said: Limit, noise: float) -> bool:
        """Whether heeding it brought as much as anything would have, but for noise; ``done`` if nothing stands out."""
        if said in (Limit.DONE, Limit.EXPERT) or self.best(noise) is Limit.DONE:
            return said in (Limit.DONE, Limit.EXPERT) and self.best(noise) is Limit.DONE
        return self.gain_of(said) >= max(self.gains.values()) - noise

    def is_harmless(self, said: Limit, noise: float) -> bool:
        """Whether heeding it cost no more than noise: beside the best change, and beside leaving all as it is.

        Other than :meth:`is_hit`, it lets any advice pass whose change did no harm where no change stands out.
        """
        return self.gain_of(said) >= max(0.0, *self.gains.values()) - noise


REMEDIES = {
    Limit.DATA: ("samples",),
    Limit.CAPACITY: ("width",),
    Limit.OPTIMISATION: ("passes", "half rate", "twice rate"),
    Limit.DONE: (),
}


def outcomes(trained: Mapping[Setting, Trained], *, by_seed: bool = False) -> list[Outcome]:
    """Return every training whose changes are all there, by configuration and seed.

    Args:
        trained: All there is.
        by_seed: Whether a training is judged by what happened with its own seed alone, and not by the mean.
    """
    own = {}
    for setting in sorted(trained, key=lambda item: (*astuple(item.configuration), item.seed)):
        changes = setting.changes()
        if all(changed in trained for changed in changes.values()):
            own[setting] = {name: trained[setting].best - trained[changed].best for name, changed in changes.items()}
    found = []
    for setting, gains in own.items():
        seeds = [gains] if by_seed else [own[x] for x in own if x.configuration == setting.configuration]
        mean = {name: float(np.mean([one[name] for one in seeds])) for name in gains}
        signs = trained[setting].signs
        found.append(Outcome(setting=setting, signs=signs, own=gains, gains=mean, n_seeds=len(seeds)))
    return found


def noise_of(found: Sequence[Outcome]) -> float:
    """Return 1.64 standard deviations of one seed's gain, pooled over configurations and changes; NaN without pairs."""
    squares, freedom = 0.0, 0
    for items in by_configuration(found).values():
        gains = np.array([list(item.own.values()) for item in items])
        squares += float(np.square(gains - gains.mean(axis=0)).sum())
        freedom += gains.shape[1] * (len(items) - 1)
    return NORMAL_90 * math.sqrt(squares / freedom) if freedom else math.nan


def noise_at(found: Sequence[Outcome], item: Outcome) -> float:
    """Return the noise of the gains a training is judged by: told at its family and width, in its family, or anywhere.

    It is that of one seed over the root of how many seeds the gains are the mean of.
    """
    family = [other for other in found if other.setting.family == item.setting.family]
    width = [other for other in family if other.setting.width == item.setting.width]
    levels = (noise_of(part) for part in (width, family, found))
    return next((level for level in levels if not math.isnan(level)), math.nan) / math.sqrt(item.n_seeds)


def by_configuration(found: Sequence[Outcome]) -> dict[Setting, list[Outcome]]:
    """Return the trainings that differ in nothing but the seed."""
    configurations = dict.fromkeys(item.setting.configuration for item in found)
    return {each: [item for item in found if item.setting.configuration == each] for each in configurations}


def by_family(found: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """Return the trainings of each family."""
    names = dict.fromkeys(item.setting.family for item in found)
    return {name: [item for item in found if item.setting.family == name] for name in names}


def _always(limit: Limit, signs: Signs) -> Limit:
    return limit


RULES: dict[str, Callable[[Signs], Limit]] = {
    "the headline": limit_of,
    **{f"always `{limit}`": partial(_always, limit) for limit in REMEDIES},
}
"""What may be said of a training: the headline, and answers that look at nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How well the answers to some trainings did.

    Args:
        n: Trainings.
        n_right: See :meth:`Outcome.is_hit`.
        n_harmless: See :meth:`Outcome.is_harmless`.
        gain: What heeding them brought, nats, in the mean.
    """

    n: int
    n_right: int
    n_harmless: int
    gain: float

    @classmethod
    def of(cls, part: Sequence[Outcome], said: Sequence[Limit], noise: Sequence[float]) -> Score:
        """Count."""
        return cls(
            n=len(part),
            n_right=sum(map(Outcome.is_hit, part, said, noise)),
            n_harmless=sum(map(Outcome.is_harmless, part, said, noise)),
            gain=float(np.mean(list(map(Outcome.gain_of, part, said)))),
        )


def judged(found: Sequence[Outcome]) -> list[Outcome]:
    """Return those of configurations that the headline was not fitted on."""
    seen = set(bases()[:N_SEEN])
    return [item for item in found if item.setting.configuration not in seen]


def noise_levels(found: Sequence[Outcome], noise: float | None = None) -> dict[Setting, float]:
    """Return the noise of each training's gains: what is given, or by :func:`noise_at`."""
    return {item.setting: noise_at(found, item) if noise is None else noise for item in found}


def kept(folders: Sequence[Path]) -> list[Outcome]:
    """Return the trainings of the one folder of rows."""
    (folder,) = folders
    return outcomes(read(folder))


def trainings_table(folders: Sequence[Path]) -> str:
    """Return a line for each training, as Markdown."""
    return training_lines(kept(folders))


def families_table(folders: Sequence[Path]) -> str:
    """Return a line for each family, as Markdown."""
    return family_lines(kept(folders))


def rules_table(folders: Sequence[Path]) -> str:
    """Return a line for each rule, as Markdown."""
    return rule_lines(kept(folders))


def training_lines(found: Sequence[Outcome], noise: float | None = None) -> str:
    """Return a line for each configuration; the noise is told from its seeds if None."""
    levels = noise_levels(found, noise)
    lines = [
        "| family | samples | width | steps | rate | validation | gap | noise | "
        + " | ".join(CHANGES)
        + " | best | said, by seed | right | harmless | expected of twice the samples |",
        "|---" * (13 + len(CHANGES)) + "|",
    ]
    for setting, items in by_configuration(found).items():
        level = levels[items[0].setting]
        said = [limit_of(item.signs) for item in items]
        gains = [data_gain(item.signs) for item in items]
        cells = [*map(str, (setting.family, setting.n_samples, setting.width, setting.n_steps, setting.rate))]
        cells += [f"{np.mean([x.signs.valid for x in items]):.3f}", f"{np.mean([x.signs.gap for x in items]):.3f}"]
        cells += [f"{level:.3f}", *(f"{items[0].gains[name]:+.3f}" for name in CHANGES), items[0].best(level)]
        cells.append(", ".join(said))
        cells += [
            f"{sum(judge(item, limit, level) for item, limit in zip(items, said, strict=True))} of {len(items)}"
            for judge in (Outcome.is_hit, Outcome.is_harmless)
        ]
        cells.append(f"{np.mean([x.value for x in gains]):+.3f} ± {gains[0].high - gains[0].value:.2f}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def family_lines(found: Sequence[Outcome], noise: float | None = None) -> str:
    """Return a line for each family, for the configurations that the headline was fitted on, and for the rest."""
    levels = noise_levels(found, noise)
    lines = [
        "| trainings | headline right | harmless | names the best itself | gained by it / by the best, nats "
        "| median error of the gain of twice the samples, nats | inside its interval |",
        "|---" * 7 + "|",
    ]
    new = judged(found)
    parts = {
        **by_family(found),
        "known configurations": [item for item in found if item not in new],
        "new configurations": new,
    }
    lines += [_family_line(name, part, levels) for name, part in parts.items() if part]
    return "\n".join(lines)


def _family_line(name: str, part: Sequence[Outcome], levels: Mapping[Setting, float]) -> str:
    noise = [levels[item.setting] for item in part]
    said = [limit_of(item.signs) for item in part]
    score = Score.of(part, said, noise)
    best = np.mean([max(0.0, *item.gains.values()) for item in part])
    exact = sum(item.best(level) is limit for item, level, limit in zip(part, noise, said, strict=True))
    gains, real = [data_gain(item.signs) for item in part], [item.own["samples"] for item in part]
    inside = sum(gain.low <= fall <= gain.high for gain, fall in zip(gains, real, strict=True))
    error = np.median([abs(gain.value - fall) for gain, fall in zip(gains, real, strict=True)])
    hits = " | ".join(f"{count} of {len(part)}" for count in (score.n_right, score.n_harmless, exact))
    return f"| {name} | {hits} | {score.gain:.3f} / {best:.3f} | {error:.3f} | {inside} of {len(part)} |"


def rule_lines(found: Sequence[Outcome], noise: float | None = None) -> str:
    """Return a line for each rule: over all trainings, and over configurations that the headline was not fitted on."""
    levels, new = noise_levels(found, noise), judged(found)
    lines = [
        "| what is said | right | harmless | brought, nats | new: right | harmless | brought, nats |",
        "|---" * 7 + "|",
    ]
    for name, rule in RULES.items():
        cells = []
        for part in (found, new):
            score = Score.of(part, [rule(item.signs) for item in part], [levels[item.setting] for item in part])
            cells += [f"{score.n_right} of {score.n}", f"{score.n_harmless} of {score.n}", f"{score.gain:+.3f}"]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("run", "table"))
    parser.add_argument("datasets", nargs="*", metavar="FAMILY=DATASET")
    parser.add_argument("--out", type=Path, default=Path("runs/headline"))
    parser.add_argument("--noise", type=float, help="of a gain, in nats, if the seeds there cannot tell")
    parser.add_argument("--by-seed", action="store_true", help="judge each training by its own seed alone")
    given = parser.parse_args()
    if given.action == "table":
        found = outcomes(read(given.out), by_seed=given.by_seed)
        print("\n\n".join(lines(found, given.noise) for lines in (training_lines, family_lines, rule_lines)))
        return
    run({family: Path(folder) for family, _, folder in (item.partition("=") for item in given.datasets)}, given.out)


if __name__ == "__main__":
    main()
