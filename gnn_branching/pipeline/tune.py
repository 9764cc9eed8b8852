"""SCIP's settings for a policy on a family: searched on some instances, proven on others, kept as its recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import sha256
from math import inf, isfinite
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from gnn_branching.config import BASELINE_RULE
from gnn_branching.contracts import InputError, InstanceFile, SolveRecord
from gnn_branching.counting import timing
from gnn_branching.durable import write_durably, write_json
from gnn_branching.libraries import require
from gnn_branching.pipeline.budget import Budget
from gnn_branching.pipeline.pools import Pools, card_of, pools_for
from gnn_branching.pipeline.verdict import paired_verdict, pairs_of
from gnn_branching.policy.card import Recipe, Verdict
from gnn_branching.provenance import collect_provenance
from gnn_branching.run_folder import RunFolder, run_folder
from gnn_branching.tuning.search import LEAST_PAIRS, Found, Search, Trial, differences
from gnn_branching.tuning.space import GUARDED_PRESETS, RULE, SPACE, Point, is_policy, point, rules_for

if TYPE_CHECKING:
    from gnn_branching.evaluation.solves.plan import PolicySpec, ResourceLimits
    from gnn_branching.evaluation.solves.runner import RunnerOptions
    from gnn_branching.execution.protocol import Executor
    from gnn_branching.policy.card import PolicyCard
    from gnn_branching.solver.problem import Problems

N_RACE, N_FINALS = 12, 12
"""Pairs of an instance and a seed that settings are raced on, and that finalists meet on."""
SEARCH_SHARE = 0.6
"""Of the time, for the search; the rest is for the proof."""
TIME_LIMIT_SHARE = 1 / 15
"""Of the time, for a single solve at most."""
UNTOUCHED, STARTED_FROM = BASELINE_RULE, "started from"
LEAST_PROVEN = 2
"""Instances that a proof takes, however short the time."""
SETTINGS = "default"
"""What competitors without a recipe solve under in a proof."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Whom a job tells what it does.

    Args:
        step: Called with what is being done now, and how many seconds it is expected to take.
        trial: Called with each settings that were tried.
    """

    step: Callable[[str, float], None] = lambda text, seconds: None
    trial: Callable[[Trial], None] = lambda trial: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What came of tuning; a table in a notebook.

    Args:
        recipe: The settings and their evidence; None if they are not clearly better.
        against_untouched: Time under the best settings over that of SCIP as it comes.
        against_start: The same over the rule's own under the settings that the search started from.
        found: What the search found.
        parameters: The parameter file of the best settings, recipe or not.
    """

    recipe: Recipe | None
    against_untouched: Verdict
    against_start: Verdict
    found: Found
    parameters: Path

    def _repr_html_(self) -> str:
        from gnn_branching.evaluation.report.tables import Column, Table, to_html, words

        lines = {"untouched SCIP": self.against_untouched, "the start of the search": self.against_start}
        columns = tuple(Column(key=key, title=key, is_number=False) for key in ("against", "time", "models", "verdict"))
        rows = tuple(
            tuple(map(words, (name, line.time_with_interval, str(line.n_instances), line.verdict)))
            for name, line in lines.items()
        )
        title = f"{'No recipe' if self.recipe is None else 'Recipe'}: {describe(self.found.best)}"
        return to_html(Table(name="tuning", title=title, columns=columns, rows=rows))


def tune(
    policy: str | Path,
    out: RunFolder | str | Path | None = None,
    *,
    family: str | None = None,
    size: str | None = None,
    instances: Problems | None = None,
    budget: Budget | str = "30m",
    time_limit_seconds: float | None = None,
    most_trials: int = 0,
    executor: Executor | None = None,
    workers: int = 0,
    runner: RunnerOptions | None = None,
    seed: int = 0,
) -> Tuning:
    """Search for settings, prove the best on instances that the search never saw, and keep them if they are better.

    The recipe goes into the policy's folder, and ``recipe.set`` into the run's; goes on where it stopped.

    Examples:
        >>> tune("runs/mine/policy", instances="models/", budget="1h")  # doctest: +SKIP

    Args:
        policy: Name or folder of a policy, or one of SCIP's rules, for which there is no folder to write into.
        out: Gets ``search/``, ``proof/`` (a report) and ``recipe.set``; ``runs/tune-POLICY`` by default.
        family: Generated family to search and prove on.
        size: Size of the family; ``easy`` by default.
        instances: Instead of a family: a folder of problem files, or PySCIPOpt models. Those that the policy was
            trained on are only searched on.
        budget: Wall time for all of it.
        time_limit_seconds: For each solve; by default what the time allows.
        most_trials: Settings to try at most; 0 for as many as the time allows.
        executor: Where solves run; this machine's cores by default.
        workers: Solves at once; 0 means the cores there are.
        runner: How solves run, instead of ``executor`` and ``workers``.
        seed: Of generated instances, and of the search.

    Raises:
        InputError: If there are too few instances, the time is too short, or Optuna is missing.
    """
    from gnn_branching.evaluation.solves.plan import ResourceLimits
    from gnn_branching.evaluation.solves.runner import RunnerOptions

    require("tune")
    policy = str(policy)
    seconds = Budget.of(budget).seconds
    folder = run_folder(out, f"tune-{policy_name(policy)}")
    if instances is not None:
        from gnn_branching.solver.problem import problem_folder

        instances = problem_folder(instances, folder.models)
    pools = pools_for(policy, folder, family=family, size=size, instances=instances, seed=seed)
    runner = runner or RunnerOptions(n_workers=workers, executor=executor)
    limits = ResourceLimits(time_limit_seconds=time_limit_seconds or max(10.0, TIME_LIMIT_SHARE * seconds))
    with shown(None, SEARCH_SHARE * seconds) as told:
        told.step("search", SEARCH_SHARE * seconds)
        search = search_for(
            policy,
            pools.search,
            folder,
            seconds=SEARCH_SHARE * seconds,
            limits=limits,
            most_trials=most_trials,
            runner=runner,
            seed=seed,
            on_trial=told.trial,
        )
        found = search.run()
    return _prove(policy, search, found, Proof(folder=folder, pools=pools, limits=limits, runner=runner), seconds)


@contextmanager
def shown(progress: Progress | None, seconds: float) -> Iterator[Progress]:
    """Yield whom to tell: whoever is given, or else a bar that is full after so many seconds of a step."""
    if progress is not None:
        yield progress
        return
    step, best, expected = "", inf, 0.0
    with timing(step, seconds) as show:

        def on_step(text: str, expected_seconds: float) -> None:
            nonlocal step, best, expected
            step, best, expected = text, inf, expected_seconds
            show(0.0, f"{text}, {expected / 60:.0f} minutes")

        def on_trial(trial: Trial) -> None:
            nonlocal best
            best = min(best, trial.ratio if trial.finished else inf)
            show(trial.seconds / expected * seconds, f"{step}: {trial.number + 1} tried, best {best:.2f}")

        yield Progress(step=on_step, trial=on_trial)


def _prove(policy: str, search: Search, found: Found, proof: Proof, seconds: float) -> Tuning:
    """Compare what was found with untouched SCIP and with the start of the search, and keep what is clearly better."""
    parameters = search.parameter_file(found.best)
    started = competitor(search, search.starts[0], f"{policy_name(policy)} ({STARTED_FROM})")
    best = competitor(search, found.best, f"{policy_name(policy)} (tuned)")
    records = proof.run([started, best], seconds=(1 - SEARCH_SHARE) * seconds)
    against = partial(
        paired_verdict,
        records,
        best.name,
        settings=SETTINGS,
        preset=found.best[RULE],
        limit_seconds=proof.limits.time_limit_seconds,
    )
    untouched, start = against(UNTOUCHED), against(started.name)
    clearly_better = untouched.verdict == "faster" and start.verdict == "faster"
    recipe = recipe_from(search, found, untouched=untouched, start=start) if clearly_better else None
    write_durably(proof.folder.recipe, parameters.read_bytes())
    if recipe is not None and search.policy is not None:
        keep_recipe(policy, parameters, recipe)
    write_json(proof.folder.path / "tuning.json", tuning_figures(found, untouched, start, kept=recipe is not None))
    return Tuning(recipe=recipe, against_untouched=untouched, against_start=start, found=found, parameters=parameters)


def search_for(
    policy: str,
    instances: Sequence[InstanceFile],
    folder: RunFolder,
    *,
    seconds: float,
    limits: ResourceLimits,
    most_trials: int = 0,
    runner: RunnerOptions | None = None,
    seed: int = 0,
    on_trial: Callable[[Trial], None] = lambda trial: None,
) -> Search:
    """Return a search for one policy or rule, starting from the settings that the policy was trained under."""
    from gnn_branching.evaluation.solves.competitors import parse_policy
    from gnn_branching.evaluation.solves.runner import RunnerOptions

    if len(instances) < 2:
        raise InputError(f"{len(instances)} instances to search on are too few; give at least {2 * LEAST_PAIRS} models")
    spec = parse_policy(policy)
    card = card_of(policy) if spec.is_learned else None
    rule = spec.preset if card is not None else spec.name
    race = pairs_of(instances, N_RACE)
    return Search(
        folder=folder.search / policy_name(policy),
        policy=spec if spec.is_learned else None,
        rules=rules_for(rule if card is None else policy),
        starts=_starts(rule, card),
        race=race,
        finals=pairs_of(instances, N_RACE + N_FINALS)[len(race) :],
        limits=limits,
        seconds=seconds,
        most_trials=most_trials,
        seed=seed,
        runner=runner or RunnerOptions(),
        on_trial=on_trial,
    )


def policy_name(policy: str) -> str:
    """Return the name of a policy or rule, for tables and folders."""
    from gnn_branching.evaluation.solves.competitors import parse_policy

    return parse_policy(policy).name


def competitor(search: Search, point: Point, name: str) -> PolicySpec:
    """Return a point as a competitor of a comparison, under its own parameter file."""
    from gnn_branching.evaluation.solves.plan import PolicySpec

    file = search.parameter_file(point)
    rule = point[RULE]
    spec = PolicySpec(name=name, rule=rule)
    if is_policy(rule):
        assert search.policy is not None
        spec = replace(search.policy, name=name, preset=rule)
    return replace(spec, recipe=str(file.resolve()), fingerprint=spec.fingerprint + file.stem)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Paired solves on instances held back, bounded in time, and the report on them.

    Args:
        folder: Of the run.
        pools: Instances.
        limits: Of every solve.
        runner: Where solves run.
    """

    folder: RunFolder
    pools: Pools
    limits: ResourceLimits
    runner: RunnerOptions | None = None

    def run(self, competitors: Sequence[PolicySpec], *, seconds: float) -> tuple[SolveRecord, ...]:
        """Solve as many instances as the time allows, one after the other; return the rows, and write the report.

        Raises:
            InputError: If there is no instance.
        """
        from gnn_branching.evaluation.evaluate import ROWS_FOLDER, EvaluationRequest, evaluate
        from gnn_branching.evaluation.solves.plan import PolicySpec, build_plan
        from gnn_branching.evaluation.solves.runner import RunnerOptions, run_plan
        from gnn_branching.evaluation.solves.store import RowStore

        if not self.pools.proof:
            raise InputError("no instance is left to prove settings on; give more models")
        runner = self.runner or RunnerOptions()
        store = RowStore(self.folder.proof / ROWS_FOLDER)
        rules = [PolicySpec(name=UNTOUCHED), *competitors]
        done: list[InstanceFile] = []
        start = perf_counter()
        for instance in self.pools.proof:
            spent = perf_counter() - start
            if len(done) >= LEAST_PROVEN and spent + spent / len(done) > seconds:
                break
            run_plan(build_plan([instance], rules, seeds=[0], settings=[SETTINGS], limits=self.limits), store, runner)
            done.append(instance)
        request = EvaluationRequest(
            instances=tuple(done),
            policies=tuple(rules),
            settings=(SETTINGS,),
            limits=self.limits,
            n_workers=runner.n_workers,
            executor=runner.executor,
        )
        return evaluate(request, self.folder.proof).records


def recipe_from(search: Search, found: Found, *, untouched: Verdict, start: Verdict) -> Recipe:
    """Return what was found as a recipe, with its evidence."""
    return Recipe(
        rule=found.best[RULE],
        sha256=sha256(search.parameter_file(found.best).read_bytes()).hexdigest(),
        options=differences(found.best),
        against_untouched=untouched,
        against_start=start,
        n_solves=found.n_solves,
        search_seconds=round(found.seconds, 1),
        versions=asdict(collect_provenance()),
    )


def keep_recipe(policy: str, parameters: Path, recipe: Recipe) -> None:
    """Write a recipe into a policy's folder."""
    from gnn_branching.policy.load import find_folder
    from gnn_branching.policy.save import add_recipe

    add_recipe(find_folder(policy), parameters.read_text(), recipe)


def describe(point: Point) -> str:
    """Return a point in words: who branches, and what differs from SCIP's settings."""
    options = [f"{name} {option}" for name, option in differences(point).items()]
    return f"{point[RULE]}; {', '.join(options) or 'settings as SCIP comes'}"


def tuning_figures(found: Found, untouched: Verdict, start: Verdict, *, kept: bool) -> Mapping[str, object]:
    """Return the figures of a tuning, for ``--json`` and for the run's folder."""
    names = ("verdict", "time_ratio", "time_ratio_low", "time_ratio_high", "nodes_ratio", "n_pairs", "n_instances")
    return {name: getattr(untouched, name) for name in names} | {
        "start_verdict": start.verdict,
        "start_time_ratio": start.time_ratio,
        "start_time_ratio_low": start.time_ratio_low,
        "start_time_ratio_high": start.time_ratio_high,
        "recipe": kept,
        "rule": found.best[RULE],
        "options": dict(differences(found.best)),
        "n_trials": len(found.trials),
        "n_solves": found.n_solves,
        "search_seconds": found.seconds,
        "search_ratio": found.ratio if isfinite(found.ratio) else None,
    }


def _starts(rule: str, card: PolicyCard | None) -> tuple[Point, ...]:
    """Return the points to try first: what the policy was trained under, its recipe, then what is known to help."""
    trained_under_paper = card is not None and card.settings == ("paper",)
    paper = {"restarts": "0", "cut_rounds": "0"} if trained_under_paper else {}
    # Saved three fifths of the policy's time on facility location (docs/results/tuning.md).
    unscaled = {"LP_scaling": "0", "diving": "off"}
    options: list[dict[str, str]] = [
        {RULE: rule, **point(**paper)},
        {RULE: rule, **point(heuristics="fast", separating="off")},
        {RULE: rule, **point(**paper, **unscaled)},
        {RULE: rule, **point(**unscaled)},
        {RULE: rule, **point(heuristics="off", separating="off")},
        {RULE: rule, **point(heuristics="fast", separating="off", node_selection="dfs")},
        {RULE: rule, **point(heuristics="fast")},
        {RULE: UNTOUCHED, **point()},
        {RULE: UNTOUCHED, **point(heuristics="fast")},
    ]
    if card is not None:
        others = [preset for preset in GUARDED_PRESETS if preset != rule]
        options[1:1] = [*_recipe_point(card), *({**options[0], RULE: preset} for preset in others)]
        options += [{RULE: preset, **point(heuristics="fast", separating="off")} for preset in others]
    unique: list[Point] = []
    for found in options:
        if found not in unique:
            unique.append(found)
    return tuple(unique)


def _recipe_point(card: PolicyCard) -> list[dict[str, str]]:
    """Return where the last search for a policy ended; nothing if there was none, or in another space."""
    recipe = card.recipe
    if recipe is None or any(option not in SPACE.get(name, ()) for name, option in recipe.options.items()):
        return []
    return [{RULE: recipe.rule, **point(**recipe.options)}]
