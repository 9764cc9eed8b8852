"""Which library searches better with a few hundred solves: Optuna as it is used here, or SMAC3's racing?

On made-up settings whose truth is known: 33 options of three values each, a third of which matter, with the noise of
solves; both start from the same point. The excess over the best there is, in the logarithm of time, by solves spent.

    python -m scripts.search_experiment --out runs/search      # SMAC3 takes part where it is installed
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from time import perf_counter
from typing import Any

from gnn_branching.tuning.search import N_STARTUP_TRIALS, P_VALUE, PRIOR_WEIGHT, load_optuna
from scripts.results_file import append_result, read_results

N_OPTIONS, VALUES, N_INSTANCES = 33, ("a", "b", "c"), 12
SHARE_THAT_MATTERS, EFFECT, NO_EFFECT, NOISE = 0.35, 0.25, 0.02, 0.2
MARKS = (50, 100, 200, 400)
Settings = dict[str, str]


@dataclass
class MadeUp:
    """Settings with known effects on the logarithm of time, and instances to solve under them."""

    seed: int

    def __post_init__(self) -> None:
        rng = random.Random(self.seed)
        self.effects = {
            f"option{number}": dict.fromkeys(VALUES, 0.0)
            | {
                value: rng.gauss(0, size)
                for size in [EFFECT if rng.random() < SHARE_THAT_MATTERS else NO_EFFECT]
                for value in VALUES
            }
            for number in range(N_OPTIONS)
        }
        self.instances = [rng.gauss(0, 0.5) for _ in range(N_INSTANCES)]
        self.noise = random.Random(self.seed + 100)
        self.start: Settings = dict.fromkeys(self.effects, VALUES[0])

    def excess(self, settings: Settings) -> float:
        """Return how far settings are from the best."""
        return sum(effects[settings[name]] - min(effects.values()) for name, effects in self.effects.items())

    def solve(self, settings: Settings, instance: int) -> float:
        """Return the logarithm of the time of one solve."""
        return self.excess(settings) + self.instances[instance] + self.noise.gauss(0, NOISE)


def by_optuna(problem: MadeUp) -> Iterator[Settings]:
    """Yield the best settings so far after every solve: proposals and races as in ``tuning.search``."""
    optuna = load_optuna()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(
            seed=problem.seed, multivariate=True, n_startup_trials=N_STARTUP_TRIALS, prior_weight=PRIOR_WEIGHT
        ),
        pruner=optuna.pruners.WilcoxonPruner(p_threshold=P_VALUE),
    )
    study.enqueue_trial(problem.start)
    best, least = problem.start, float("inf")
    while True:
        trial = study.ask()
        settings = {name: trial.suggest_categorical(name, VALUES) for name in problem.effects}
        values: list[float] = []
        for instance in range(N_INSTANCES):
            values.append(problem.solve(settings, instance))
            trial.report(values[-1], instance)
            yield best
            if trial.should_prune():
                break
        study.tell(trial, max(fmean(values), least + 1e-3) if len(values) < N_INSTANCES else fmean(values))
        if len(values) == N_INSTANCES and fmean(values) < least:
            best, least = settings, fmean(values)


def by_smac(problem: MadeUp, folder: Path) -> Iterator[Settings]:
    """Yield the incumbent after every solve: SMAC3's facade for algorithm configuration, with its defaults."""
    spaces, smac, history = map(importlib.import_module, ("ConfigSpace", "smac", "smac.runhistory"))
    space = spaces.ConfigurationSpace(seed=problem.seed)
    for name in problem.effects:
        space.add(spaces.Categorical(name, VALUES, default=VALUES[0]))
    names = [str(number) for number in range(N_INSTANCES)]
    scenario = smac.Scenario(
        space,
        instances=names,
        instance_features={name: [float(name)] for name in names},
        n_trials=10**6,
        output_directory=folder / f"smac-{problem.seed}",
        seed=problem.seed,
    )
    facade: Any = smac.AlgorithmConfigurationFacade(
        scenario,
        target_function=lambda config, instance, seed: 0.0,
        intensifier=smac.AlgorithmConfigurationFacade.get_intensifier(scenario, max_config_calls=2 * N_INSTANCES),
        overwrite=True,
        logging_level=40,
    )
    while True:
        asked = facade.ask()
        cost = problem.solve(dict(asked.config), int(asked.instance))
        facade.tell(asked, history.TrialValue(cost=cost, status=history.StatusType.SUCCESS), save=False)
        incumbent = facade.intensifier.get_incumbent()
        yield problem.start if incumbent is None else dict(incumbent)


def markdown(folders: Sequence[Path]) -> str:
    """Return the mean excess of every library, from the rows in some folders."""
    rows = [row for folder in folders for row in read_results(folder)]
    lines = [
        "| library | " + " | ".join(f"{mark} solves" for mark in MARKS) + " | seconds of its own |",
        "|---|" + "---|" * (len(MARKS) + 1),
    ]
    for library in dict.fromkeys(row["library"] for row in rows):
        own = [row for row in rows if row["library"] == library]
        means = [f"{fmean(row[str(mark)] for row in own):.2f}" for mark in MARKS]
        lines.append(f"| {library} | " + " | ".join(means) + f" | {fmean(row['seconds'] for row in own):.0f} |")
    return "\n".join(lines)


def main() -> None:
    """Search with both, as far as the results are not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/search"))
    parser.add_argument("--seeds", type=int, default=4)
    options = parser.parse_args()
    searches: dict[str, Callable[[MadeUp], Iterator[Settings]]] = {"Optuna": by_optuna}
    if importlib.util.find_spec("smac"):
        searches["SMAC3"] = lambda problem: by_smac(problem, options.out)
    done = {(row["library"], row["seed"]) for row in read_results(options.out)}
    for library, search in searches.items():
        for seed in range(options.seeds):
            if (library, seed) in done:
                continue
            problem, start = MadeUp(seed), perf_counter()
            found = {
                str(number): problem.excess(settings)
                for number, settings in zip(range(1, MARKS[-1] + 1), search(problem), strict=False)
                if number in MARKS
            }
            row = {"library": library, "seed": seed, "start": problem.excess(problem.start)}
            append_result(options.out, row | found | {"seconds": perf_counter() - start})


if __name__ == "__main__":
    main()
