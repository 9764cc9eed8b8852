"""Search SCIP's settings for a rule: Optuna proposes, races over instances and seeds decide."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from math import exp, log
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from gnn_branching.contracts import InputError, InstanceFile, SolveRecord, SolveStatus
from gnn_branching.durable import write_durably, write_json
from gnn_branching.evaluation.solves.plan import PolicySpec, ResourceLimits, SolveJob
from gnn_branching.evaluation.solves.runner import RunnerOptions, run_plan
from gnn_branching.evaluation.solves.store import RowStore
from gnn_branching.evaluation.statistics.disagreement import find_disagreements
from gnn_branching.libraries import imported
from gnn_branching.provenance import available_cores
from gnn_branching.tuning.space import RULE, SCIP_DEFAULT, SPACE, Point, is_policy, settings_of

if TYPE_CHECKING:
    import optuna

Pair = tuple[InstanceFile, int]
"""Instance and SCIP seed."""

LEAST_PAIRS = 3
REFERENCE_SHARE = 0.15
"""Of the time for a search, for the settings it starts from: they say on how many pairs the others are raced."""
FINALS_SHARE = 0.25
"""Of the time, for the finalists on pairs that the races never saw: the best of many is lucky on those it won on."""
N_FINALISTS = 4
WORTHWHILE_SECONDS = 0.3
"""Models that take less than this on average leave nothing that is worth a search."""
CAP = 2.0
"""A solve that takes this many times as long as the best settings on the same pair has lost the race for its own."""
LEAST_CAP_SECONDS = 0.5
P_VALUE = 0.1
"""A race ends once a Wilcoxon signed-rank test is this sure that it cannot be won."""
SHIFT_SECONDS = 0.1
LOST = log(20.0)
"""What a crash, a wrong optimum or a solve beyond its cap counts for at least, as the logarithm of a ratio of times."""
N_STARTUP_TRIALS = 8
PRIOR_WEIGHT = 0.2
"""Below Optuna's 1, so that proposals stay closer to what was good: with some thirty dimensions, and a few hundred
solves, that ends 0.1 better in the logarithm of time (docs/results/tuning.md)."""


class NothingToSaveError(InputError):
    """Models that are solved at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Settings that were tried.

    Args:
        number: From 0, the settings that the search started from.
        rule: Who branched: a preset of the policy, or a rule of SCIP.
        options: What differs from SCIP's settings, by dimension.
        ratio: Geometric mean of its CPU time over that of the start, on the pairs it was run on.
        n_pairs: How many those were.
        finished: Whether it was run on all pairs of the race.
        seconds: Wall time of the search when it ended.
    """

    number: int
    rule: str
    options: Point
    ratio: float
    n_pairs: int
    finished: bool
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search found.

    Args:
        best: Point of the best settings, with its rule; the start if nothing was better.
        ratio: Its time over the start's, on all pairs that finalists were run on.
        trials: All that was tried, in order.
        seconds: Wall time of the whole search.
        n_solves: Solves of the whole search.
    """

    best: Point
    ratio: float
    trials: tuple[Trial, ...]
    seconds: float
    n_solves: int


@dataclass(slots=True, kw_only=True)
class Search:
    """A search through the space for one policy or rule; interrupted anywhere, the same search goes on.

    Args:
        folder: Gets rows of solves, parameter files, Optuna's journal and ``trials.json``.
        policy: Who branches where a point names a preset; None if only SCIP's own rules may.
        rules: Presets and rules of SCIP that may branch.
        starts: Points to try first, each with its rule; the first is what the search starts from.
        race: Pairs to race on, in this order.
        finals: Pairs for the finalists, none of them in ``race``.
        limits: Of every solve.
        seconds: Wall time.
        most_trials: Settings to try at most; 0 for as many as the time allows.
        seed: Of the proposals.
        runner: Where solves run.
        on_trial: Called with each trial that ended.
    """

    folder: Path
    policy: PolicySpec | None
    rules: Sequence[str]
    starts: Sequence[Point]
    race: Sequence[Pair]
    finals: Sequence[Pair]
    limits: ResourceLimits
    seconds: float
    most_trials: int = 0
    seed: int = 0
    runner: RunnerOptions = field(default_factory=RunnerOptions)
    on_trial: Callable[[Trial], None] = lambda trial: None
    _spent: float = 0.0
    _clock: float = 0.0
    _reference: dict[tuple[str, int], SolveRecord] = field(default_factory=dict)
    _proofs: dict[str, SolveRecord] = field(default_factory=dict)
    _n_pairs: int = 0

    def run(self) -> Found:
        """Search until the time is up.

        Raises:
            InputError: If there are too few instances, the time is too short even for the start, Optuna is missing, or
                SCIP solves everything at once.
        """
        optuna = load_optuna()
        if len(self.race) < LEAST_PAIRS:
            raise InputError(f"{len(self.race)} instances are too few to search on; give {2 * LEAST_PAIRS} or more")
        self.folder.mkdir(parents=True, exist_ok=True)
        study = self._study(optuna)
        self._spent = float(study.user_attrs.get("seconds", 0.0))
        self._clock = perf_counter()
        self._race_the_start(study)
        race_seconds = (1 - FINALS_SHARE) * self.seconds
        while self._elapsed() < race_seconds and not 0 < self.most_trials <= _n_told(study):
            trial = study.ask()
            point = self._suggest(trial)
            if not self._race(study, trial, point, race_seconds):
                break
            study.set_user_attr("seconds", self._elapsed())
        best, ratio = self._decide(study)
        trials = tuple(_described(done) for done in study.get_trials(deepcopy=False) if done.values)
        write_json(self.folder / "trials.json", {"trials": [asdict(trial) for trial in trials]})
        return Found(best=best, ratio=ratio, trials=trials, seconds=self._elapsed(), n_solves=len(self._store))

    def parameter_file(self, point: Point) -> Path:
        """Return the parameter file of a point, named after what is in it; written if need be."""
        text = settings_of(point)
        path = self.folder / "settings" / f"{sha256(text.encode()).hexdigest()[:16]}.set"
        if not path.is_file():
            write_durably(path, text.encode())
        return path

    @property
    def _store(self) -> RowStore:
        return RowStore(self.folder / "rows")

    def _study(self, optuna: Any) -> optuna.Study:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        storage = optuna.storages.JournalStorage(
            optuna.storages.journal.JournalFileBackend(str(self.folder / "optuna.journal"))
        )
        study: optuna.Study = optuna.create_study(
            study_name="tune",
            storage=storage,
            load_if_exists=True,
            sampler=optuna.samplers.TPESampler(
                seed=self.seed,
                multivariate=True,
                n_startup_trials=N_STARTUP_TRIALS,
                prior_weight=PRIOR_WEIGHT,
            ),
            pruner=optuna.pruners.WilcoxonPruner(p_threshold=P_VALUE),
        )
        state = optuna.trial.TrialState
        for unfinished in study.get_trials(deepcopy=False, states=(state.RUNNING,)):
            study.tell(unfinished.number, state=state.FAIL)
            study.enqueue_trial(unfinished.params)
        if not study.trials:
            for start in self.starts:
                study.enqueue_trial(dict(start))
        return study  # type: ignore[no-any-return]

    def _elapsed(self) -> float:
        return self._spent + perf_counter() - self._clock

    def _suggest(self, trial: optuna.Trial) -> dict[str, str]:
        point = {RULE: str(trial.suggest_categorical(RULE, list(self.rules)))}
        for name, options in SPACE.items():
            point[name] = str(trial.suggest_categorical(name, list(options)))
        return point

    def _race_the_start(self, study: optuna.Study) -> None:
        """Solve with what the search starts from; as many pairs as its share of the time allows are raced on."""
        decided = study.user_attrs.get("n_pairs")
        start = self.starts[0]
        begin = self._elapsed()
        for pairs in self._batches(self.race[:decided]):
            for pair, record in zip(pairs, self._solve(start, pairs, self.limits), strict=True):
                self._reference[_key(pair)] = record
            spent = self._elapsed() - begin
            if decided is None and len(self._reference) >= LEAST_PAIRS and spent > REFERENCE_SHARE * self.seconds:
                break
        if not any(record.status.solved for record in self._reference.values()):
            raise InputError(
                "none of these models is solved within the time limit: raise --time-limit, or give smaller ones"
            )
        seconds = [_cpu_seconds(record, self._full_seconds) for record in self._reference.values()]
        if sum(seconds) < WORTHWHILE_SECONDS * len(seconds):
            raise NothingToSaveError(
                f"these models take {sum(seconds) / len(seconds):.2g} s on average, which leaves nothing to save"
            )
        self._n_pairs = len(self._reference)
        study.set_user_attr("n_pairs", self._n_pairs)
        study.set_user_attr("seconds", self._elapsed())

    def _race(self, study: optuna.Study, trial: optuna.Trial, point: Point, until: float) -> bool:
        """Run one point pair by pair until it has lost, or has been run on all; False once the time is up."""
        complete = [done for done in study.get_trials(deepcopy=False) if done.user_attrs.get("finished")]
        best = min(complete, key=lambda done: done.value or 0.0, default=None)
        best_seconds = {} if best is None else dict(best.user_attrs["seconds_by_pair"])
        values: list[float] = []
        seconds_by_pair: dict[str, float] = {}
        pruned = False
        for pairs in self._batches(self.race[: self._n_pairs]):
            if self._elapsed() > until:
                return False
            limits = [self._capped(best_seconds.get(_name(pair))) for pair in pairs]
            for pair, record, cap in zip(pairs, self._solve(point, pairs, limits), limits, strict=True):
                value = self._value(pair, record)
                trial.report(value, len(values))
                values.append(value)
                seconds_by_pair[_name(pair)] = record.figures.wall_seconds if record.figures else self._full_seconds
                beyond_cap = not record.status.solved and cap.time_limit_seconds < self._full_seconds
                pruned = pruned or beyond_cap or value >= LOST
            if pruned or (len(values) < self._n_pairs and trial.should_prune()):
                pruned = True
                break
        mean = sum(values) / len(values)
        if pruned and best is not None:
            mean = max(mean, float(best.value or 0.0) + 1e-3)  # has lost, however lucky on the pairs it was run on
        trial.set_user_attr("finished", not pruned)
        trial.set_user_attr("seconds_by_pair", seconds_by_pair)
        trial.set_user_attr("elapsed", self._elapsed())
        self.on_trial(_described(study.tell(trial, mean)))
        return True

    def _decide(self, study: optuna.Study) -> tuple[Point, float]:
        """Run the best few, and the start, on pairs that no race saw; return the best on all pairs together."""
        complete = [done for done in study.get_trials(deepcopy=False) if done.user_attrs.get("finished")]
        ranked = sorted(complete, key=lambda done: done.value or 0.0)[:N_FINALISTS]
        points = [dict(self.starts[0])]
        points += [found for done in ranked if (found := {**done.params}) not in points]
        sums = dict.fromkeys(range(len(points)), 0.0)
        for number, point in enumerate(points[1:], start=1):
            raced = next(done for done in ranked if dict(done.params) == point)
            sums[number] = float(raced.value or 0.0) * self._n_pairs
        n_pairs = self._n_pairs
        for pairs in self._batches(self.finals):
            if self._elapsed() > self.seconds and n_pairs > self._n_pairs:
                break
            for pair, record in zip(pairs, self._solve(points[0], pairs, self.limits), strict=True):
                self._reference[_key(pair)] = record
            for number, point in enumerate(points[1:], start=1):
                for pair, record in zip(pairs, self._solve(point, pairs, self.limits), strict=True):
                    sums[number] += self._value(pair, record)
            n_pairs += len(pairs)
        winner = min(sums, key=lambda number: sums[number])
        return points[winner], exp(sums[winner] / n_pairs)

    @property
    def _full_seconds(self) -> float:
        return self.limits.time_limit_seconds

    def _capped(self, best_seconds: float | None) -> ResourceLimits:
        if best_seconds is None:
            return self.limits
        cap = round(max(CAP * best_seconds, LEAST_CAP_SECONDS), 2)
        return replace(self.limits, time_limit_seconds=min(cap, self._full_seconds))

    def _value(self, pair: Pair, record: SolveRecord) -> float:
        """Return the logarithm of the time over the start's on the same pair; what failed has lost."""
        reference = self._reference[_key(pair)]
        own = _cpu_seconds(record, self._full_seconds)
        value = log((own + SHIFT_SECONDS) / (_cpu_seconds(reference, self._full_seconds) + SHIFT_SECONDS))
        return max(value, LOST) if record.status.crashed or self._contradicts(record) else value

    def _contradicts(self, record: SolveRecord) -> bool:
        """Whether a solve says something else than the first proof of its instance."""
        proof = self._proofs.get(record.instance)
        if proof is None:
            if record.status.solved:
                self._proofs[record.instance] = record
            return False
        return bool(find_disagreements([proof, record]))

    def _batches(self, pairs: Sequence[Pair]) -> Iterator[Sequence[Pair]]:
        n_at_once = self.runner.n_workers or available_cores()
        for start in range(0, len(pairs), n_at_once):
            yield pairs[start : start + n_at_once]

    def _solve(
        self, point: Point, pairs: Sequence[Pair], limits: ResourceLimits | Sequence[ResourceLimits]
    ) -> tuple[SolveRecord, ...]:
        settings = str(self.parameter_file(point))
        each = [limits] * len(pairs) if isinstance(limits, ResourceLimits) else limits
        jobs = [
            SolveJob(instance=instance, policy=self._spec(point[RULE]), settings=settings, seed=seed, limits=own)
            for (instance, seed), own in zip(pairs, each, strict=True)
        ]
        return run_plan(jobs, self._store, self.runner)

    def _spec(self, rule: str) -> PolicySpec:
        if not is_policy(rule):
            return PolicySpec(name=rule)
        assert self.policy is not None
        return replace(self.policy, name=f"{self.policy.name}@{rule}", preset=rule)


def differences(point: Point) -> dict[str, str]:
    """Return the options of a point that are not SCIP's own."""
    return {name: option for name, option in point.items() if name != RULE and option != SCIP_DEFAULT}


def load_optuna() -> Any:
    """Import Optuna, without its warnings of what we use knowingly.

    Raises:
        InputError: If it is missing.
    """
    import warnings

    optuna: Any = imported("tune", "optuna")
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    warnings.filterwarnings("ignore", "`prior_weight` has been deprecated", FutureWarning)
    return optuna


def _n_told(study: optuna.Study) -> int:
    return sum(bool(done.values) for done in study.get_trials(deepcopy=False))


def _key(pair: Pair) -> tuple[str, int]:
    return pair[0].path, pair[1]


def _name(pair: Pair) -> str:
    return json.dumps(_key(pair))


def _cpu_seconds(record: SolveRecord, limit: float) -> float:
    """Return CPU time, which a busy machine disturbs less than wall time; what failed early counts for the limit."""
    if record.figures is None or not (record.status.solved or record.status is SolveStatus.TIME_LIMIT):
        return limit
    return record.figures.cpu_seconds


def _described(done: optuna.trial.FrozenTrial) -> Trial:
    """Return a trial that ended, as the search keeps it in Optuna's journal."""
    return Trial(
        number=done.number,
        rule=done.params[RULE],
        options=differences(done.params),
        ratio=exp(done.values[0]),
        n_pairs=len(done.user_attrs["seconds_by_pair"]),
        finished=done.user_attrs["finished"],
        seconds=done.user_attrs["elapsed"],
    )
