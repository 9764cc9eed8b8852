"""The whole job for a folder of models: train, tune, prove, and say what to solve them with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gnn_branching.config import ExperimentConfig
from gnn_branching.contracts import BarrenError, InputError, SolveRecord
from gnn_branching.durable import exclusive, write_durably, write_json
from gnn_branching.libraries import require
from gnn_branching.pipeline.acceleration import Acceleration, Line, to_markdown
from gnn_branching.pipeline.budget import Budget
from gnn_branching.pipeline.experiment import read_experiment, run_name
from gnn_branching.pipeline.ledger import Ledger
from gnn_branching.pipeline.pools import Pools
from gnn_branching.pipeline.train import train_policy
from gnn_branching.pipeline.tune import (
    SETTINGS,
    TIME_LIMIT_SHARE,
    UNTOUCHED,
    Progress,
    Proof,
    competitor,
    keep_recipe,
    recipe_from,
    search_for,
    shown,
)
from gnn_branching.pipeline.verdict import paired_verdict
from gnn_branching.policy.card import Verdict
from gnn_branching.run_folder import RunFolder, run_folder
from gnn_branching.tuning.search import Found, NothingToSaveError, Search

if TYPE_CHECKING:
    from gnn_branching.evaluation.solves.plan import PolicySpec
    from gnn_branching.evaluation.solves.runner import RunnerOptions
    from gnn_branching.execution.protocol import Executor
    from gnn_branching.solver.problem import Problems

TRAINING_SHARE, PROOF_SHARE = 0.4, 0.25
"""Of a budget, for samples and training, and for the proof; two searches share what is left."""
LEAST_SECONDS = 30.0
POLICY, POLICY_TUNED, SCIP_TUNED = "policy", "policy, tuned", "SCIP, tuned"


def accelerate(
    models: Problems,
    out: RunFolder | str | Path | None = None,
    *,
    budget: Budget | str = "2h",
    executor: Executor | None = None,
    workers: int = 0,
    runner: RunnerOptions | None = None,
    overrides: Sequence[str] = (),
    most_trials: int = 0,
    progress: Progress | None = None,
) -> Acceleration:
    """Find out how to solve a folder of models fastest, within a time; goes on where it stopped.

    A policy is trained on a part of the models. Then SCIP's settings are searched twice, with the same time: for the
    policy, and for SCIP's own rules. Both are proven, beside what they started from, on models held back.

    Examples:
        >>> accelerate("models/", budget="1h", out="runs/mine")  # doctest: +SKIP

    Args:
        models: Folder of problem files, or PySCIPOpt models; twenty are enough to start.
        out: Gets everything; its ``policy`` is what ``solve`` takes. ``runs/MODELS`` by default.
        budget: Wall time.
        executor: Where samples are collected and solves run; this machine's cores by default.
        workers: Jobs at once; 0 means the cores there are.
        runner: How solves run, instead of ``executor`` and ``workers``.
        overrides: Of the training's configuration, ``section.key=value``.
        most_trials: Settings to try at most in each search; 0 for as many as the time allows.
        progress: Told what is being done; by default it is shown.

    Raises:
        InputError: If there are too few models, they are of two kinds, or the budget is too small.
    """
    from gnn_branching.evaluation.solves.runner import RunnerOptions
    from gnn_branching.pipeline.samples import collection_executor
    from gnn_branching.solver.problem import problem_folder

    seconds, folder = Budget.of(budget).seconds, run_folder(out, run_name(None, models))
    if seconds < LEAST_SECONDS:
        raise InputError(f"a budget of {seconds:.0f} s is too small to find anything out; give 30s at least")
    require("train")
    require("tune")
    experiment = read_experiment(None, list(overrides), instances=problem_folder(models, folder.models))
    with exclusive(folder.path, work="job is running in"):
        ledger = Ledger(folder.path / "time.json")
        with ledger.running(), shown(progress, seconds) as told:
            job = _Job(
                experiment=experiment,
                folder=folder,
                seconds=seconds,
                ledger=ledger,
                executor=executor or collection_executor(folder=folder, workers=workers),
                runner=runner or RunnerOptions(n_workers=workers, executor=executor),
                most_trials=most_trials,
                progress=told,
            )
            return job.run()


@dataclass(slots=True, kw_only=True)
class _Job:
    """One start of the job, with all that its steps share."""

    experiment: ExperimentConfig
    folder: RunFolder
    seconds: float
    ledger: Ledger
    executor: Executor | None
    runner: RunnerOptions | None
    most_trials: int
    progress: Progress

    def run(self) -> Acceleration:
        """Do all steps that are left."""
        notes: list[str] = []
        has_policy = self._train(notes)
        pools = self._pools()
        try:
            searched = self._search(pools, has_policy=has_policy)
        except NothingToSaveError as error:
            notes.append(str(error))
            return self._done(None, "scip MODEL", (), notes)
        return self._prove(searched, pools, notes)

    def _train(self, notes: list[str]) -> bool:
        """Train a policy; False, with a note, if the models give no samples."""
        self.progress.step("samples and training", TRAINING_SHARE * self.seconds)
        if self.folder.policy.is_dir():
            return True
        # The pilot is strict: time that it takes beyond its share, the searches and the proof would lack.
        share = Budget(seconds=TRAINING_SHARE * self.seconds, patience_seconds=0.0)
        try:
            train_policy(self.experiment, self.folder, budget=share, executor=self.executor, verdict_seconds=0.0)
        except BarrenError as error:
            notes.append(f"no policy was trained: {error}")
            return False
        return True

    def _pools(self) -> Pools:
        from gnn_branching.instances import read_manifest

        splits = {split: read_manifest(self.folder.instances / split).instances for split in ("train", "valid", "test")}
        return Pools(search=(*splits["train"], *splits["valid"]), proof=splits["test"])

    def _search(self, pools: Pools, *, has_policy: bool) -> dict[str, tuple[Search, Found]]:
        """Search settings for the policy and for SCIP's own rules, with the same time."""
        from gnn_branching.evaluation.solves.plan import ResourceLimits

        limits = ResourceLimits(time_limit_seconds=max(10.0, TIME_LIMIT_SHARE * self.seconds))
        rules = {SCIP_TUNED: UNTOUCHED}
        if has_policy:
            rules = {POLICY_TUNED: str(self.folder.policy)} | rules
        seconds = self._search_seconds(len(rules))
        searched: dict[str, tuple[Search, Found]] = {}
        for name, rule in rules.items():
            whose = "SCIP's own rules" if name == SCIP_TUNED else "the policy"
            self.progress.step(f"settings for {whose}", seconds)
            search = search_for(
                rule,
                pools.search,
                self.folder,
                seconds=seconds,
                limits=limits,
                most_trials=self.most_trials,
                runner=self.runner,
                on_trial=self.progress.trial,
            )
            searched[name] = (search, search.run())
        return searched

    def _search_seconds(self, n_searches: int) -> float:
        """Return the time for each search, as it was when the first began."""
        plan = self.folder.path / "plan.json"
        if not plan.is_file():
            left = (1 - PROOF_SHARE) * self.seconds - self.ledger.seconds
            write_json(plan, {"search_seconds": max(left / n_searches, LEAST_SECONDS / 3)})
        return float(json.loads(plan.read_text())["search_seconds"])

    def _prove(self, searched: dict[str, tuple[Search, Found]], pools: Pools, notes: list[str]) -> Acceleration:
        """Compare all that was found on models held back, and keep the winner."""
        rivals = [
            competitor(search, found.best, name)
            for name, (search, found) in searched.items()
            if dict(found.best) != dict(search.starts[0])  # else it is there already
        ]
        if POLICY_TUNED in searched:
            search = searched[POLICY_TUNED][0]
            rivals.insert(0, competitor(search, search.starts[0], POLICY))
        rivals += self._highs(notes)
        seconds = max(self.seconds - self.ledger.seconds, LEAST_SECONDS / 3)
        self.progress.step("proof on models held back", seconds)
        limits = next(iter(searched.values()))[0].limits
        records = Proof(folder=self.folder, pools=pools, limits=limits, runner=self.runner).run(rivals, seconds=seconds)
        lines = _compare(records, [rival.name for rival in rivals], searched, limits.time_limit_seconds)
        best = choose_best(lines)
        return self._done(best, self._keep(best, lines, searched), lines, notes)

    def _keep(self, best: Line | None, lines: Sequence[Line], searched: dict[str, tuple[Search, Found]]) -> str:
        """Leave the winner where ``solve`` takes it; return the command."""
        from gnn_branching.policy.save import add_verdict

        with_policy = f"gnn-branching solve MODEL --policy {self.folder.policy}"
        plain = next((line for line in lines if line.name == POLICY), None)
        if plain is not None:
            add_verdict(self.folder.policy, plain.verdict)
        if best is None:
            return "scip MODEL"
        if best.name not in searched:
            return with_policy
        search, found = searched[best.name]
        parameters = search.parameter_file(found.best)
        write_durably(self.folder.recipe, parameters.read_bytes())
        if plain is None:
            return f"gnn-branching solve MODEL --settings {self.folder.recipe} --policy {found.best['rule']}"
        recipe = recipe_from(search, found, untouched=best.verdict, start=best.by_settings or best.verdict)
        keep_recipe(str(self.folder.policy), parameters, recipe)
        return with_policy

    def _highs(self, notes: list[str]) -> list[PolicySpec]:
        """Let HiGHS compete where it is installed."""
        from gnn_branching.evaluation.solves.plan import HIGHS, PolicySpec

        try:
            require("highs")
        except InputError as error:
            notes.append(str(error))
            return []
        return [PolicySpec(name=HIGHS)]

    def _done(self, best: Line | None, command: str, lines: tuple[Line, ...], notes: Sequence[str]) -> Acceleration:
        done = Acceleration(best=best, command=command, lines=lines, notes=tuple(notes), seconds=self.ledger.seconds)
        write_durably(self.folder.path / "verdict.md", to_markdown(done).encode())
        return done


def choose_best(lines: Sequence[Line]) -> Line | None:
    """Return the fastest of those clearly faster than untouched SCIP; searched settings must earn their place.

    A policy that is clearly faster as it is keeps SCIP's settings, unless others are clearly better for it.
    """
    faster = {line.name: line for line in lines if line.name != "highs" and line.verdict.verdict == "faster"}
    tuned = faster.get(POLICY_TUNED)
    if POLICY in faster and tuned is not None and (tuned.by_settings is None or tuned.by_settings.verdict != "faster"):
        del faster[POLICY_TUNED]
    return min(faster.values(), key=lambda line: line.verdict.time_ratio or 1.0, default=None)


def _compare(
    records: Sequence[SolveRecord],
    names: Sequence[str],
    searched: dict[str, tuple[Search, Found]],
    limit_seconds: float,
) -> tuple[Line, ...]:
    """Return the lines, with what settings and what learning gain apart."""

    def against(name: str, other: str) -> Verdict:
        rule = searched[name][1].best["rule"] if name in searched else ""
        preset = rule or (searched[POLICY_TUNED][0].starts[0]["rule"] if name == POLICY else "")
        return paired_verdict(records, name, other, settings=SETTINGS, preset=preset, limit_seconds=limit_seconds)

    without_settings = {POLICY_TUNED: POLICY, SCIP_TUNED: UNTOUCHED}
    without_learning = {POLICY_TUNED: SCIP_TUNED, POLICY: UNTOUCHED}
    return tuple(
        Line(
            name=name,
            verdict=against(name, UNTOUCHED),
            by_settings=against(name, without_settings[name]) if name in without_settings else None,
            by_learning=against(name, without_learning[name]) if name in without_learning else None,
        )
        for name in names
    )
