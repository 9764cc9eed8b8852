"""Tracking changes nothing in a training, resumes with it, and its files are what the report reads."""

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gnn_branching.config import ExperimentConfig, ModelConfig, TrainingConfig
from gnn_branching.contracts import InputError
from gnn_branching.dataset.data import BranchingData, collate
from gnn_branching.dataset.source import MemorySource
from gnn_branching.dataset.synthetic import random_sample
from gnn_branching.diagnostics.advice.diagnose import diagnose
from gnn_branching.diagnostics.advice.trained_run import TrainedRun, adam_second_moments
from gnn_branching.diagnostics.measures.curvature import hessian_top
from gnn_branching.diagnostics.measures.finding import Verdict
from gnn_branching.diagnostics.measures.glance import Glance
from gnn_branching.diagnostics.measures.imitation import imitation_probe
from gnn_branching.diagnostics.measures.polyak import local_ratio
from gnn_branching.diagnostics.measures.probe import flat_parameters
from gnn_branching.diagnostics.measures.products import gradient
from gnn_branching.diagnostics.tracking.early_stop import GradientProbe, PlStarRule
from gnn_branching.diagnostics.tracking.tracker import (
    ConvergenceTracker,
    ProbeKind,
    ProbeRecord,
    initial_parameters,
    mean_target_entropy,
    probe_samples,
    read_probes,
)
from gnn_branching.diagnostics.tracking.watched import Watched
from gnn_branching.model.network import BipartiteGCNN
from gnn_branching.training.loop import train
from gnn_branching.training.records import Callback, StepRecord

SAMPLES = [random_sample(seed, ties=seed % 3 == 0) for seed in range(40)]
TRAIN, VALID = MemorySource(SAMPLES[:30]), MemorySource(SAMPLES[30:])
CONFIG = TrainingConfig(loss="tie-aware", n_epochs=8, n_batches_per_epoch=8, batch_size=8, n_threads=1)
EXPERIMENT = ExperimentConfig(model=ModelConfig(hidden_size=8, dropout=0.2), training=CONFIG)
SHARE = 0.9
Scalars = list[tuple[str, float, int]]


def network(dropout: float = 0.0) -> BipartiteGCNN:
    torch.manual_seed(0)
    module = BipartiteGCNN(ModelConfig(hidden_size=8, dropout=dropout))
    module.fit_prenorm([collate(SAMPLES[:30])])
    return module


def tracker(
    scalars: Scalars | None = None, stop_rule: PlStarRule | None = None, share: float = 1e-3
) -> ConvergenceTracker:
    """A tracker by a clock that ticks whenever it is asked: how many points there are depends on no machine."""
    sink: Scalars = [] if scalars is None else scalars

    def write(name: str, value: float, step: int) -> None:
        sink.append((name, value, step))

    return ConvergenceTracker(
        probe_samples(TRAIN, 4),
        "tie-aware",
        valid_samples=probe_samples(VALID, 4),
        share=share,
        on_scalar=write,
        stop_rule=stop_rule,
        clock=itertools.count(0.0).__next__,
    )


def run(folder: Path, module: BipartiteGCNN, *trackers: Callback, config: TrainingConfig = CONFIG) -> None:
    train(
        module, TRAIN, VALID, config, seed=0, run_folder=folder, callbacks=trackers, display="none", prenorm_fitted=True
    )


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tracked") / "run"
    run(folder, network(dropout=0.2), tracker(share=SHARE))
    return folder


def test_training_is_the_same_with_and_without(tmp_path: Path) -> None:
    plain, probed = network(), network()
    run(tmp_path / "plain", plain)
    run(tmp_path / "probed", probed, tracker())
    assert torch.equal(flat_parameters(plain), flat_parameters(probed))


TRACKED = {
    "mu",
    "hessian_lambda_max",
    "kernel_lambda_min_positive",
    "kernel_lambda_max",
    "kernel_effective_rank",
    "kernel_alignment",
    "noise_scale_low",
    "distance",
    "stability",
    "dead_unit_share",
    "valid_mu",
    "valid_gradient_cosine",
    "move/head.0",
    "layer_gradient/head.0",
    "update/head.0",
    "layer_kernel_trace/head.0",
    "dead/head.0",
}


class Weights(Callback):
    """Keeps one layer's weights after every step."""

    def __init__(self) -> None:
        self.after = dict[int, torch.Tensor]()

    def on_step(self, network: nn.Module, batch: BranchingData, record: StepRecord) -> None:
        self.after[record.step] = network.get_submodule("head.3").weight.detach().double().clone()


def test_points_are_evenly_spaced_and_hold_everything(tmp_path: Path) -> None:
    scalars: Scalars = []
    weights = Weights()
    run(tmp_path, network(), tracker(scalars, share=SHARE), weights)
    records = read_probes(tmp_path / "diagnostics" / "convergence.jsonl")
    assert {record.kind for record in records} == {ProbeKind.POINT}
    assert records[0].step == 0
    assert [record.step for record in records[1:]] == list(range(4, 65, 2))
    assert records[-1].step == 64
    for record in records[1:]:
        now, before = weights.after[record.step], weights.after[record.step - 1]
        assert record.values["update/head.3"] == pytest.approx(float((now - before).norm() / now.norm()), rel=1e-9)
    for name in TRACKED:
        assert sum(name in record.values for record in records) >= 20, name
    assert all(math.isfinite(value) for record in records for value in record.values.values())
    assert sum(len(record.values) for record in records) == len(scalars)
    assert ("convergence/mu", records[0].values["mu"], records[0].step) in scalars
    assert records[-1].values["distance"] > records[1].values["distance"] > records[0].values["distance"] == 0
    summary = json.loads((tmp_path / "diagnostics" / "overhead.json").read_text())
    assert summary["n_probes"] == len(records)
    assert summary["expected_share"] > 0
    assert summary["plan"]["every"] == 2


class Machine(Callback):
    """A clock on which a step takes 50 ms and a glance 150 ms, but one glance, once, a minute; and that by itself."""

    def __init__(self, patch: pytest.MonkeyPatch, stalled: int) -> None:
        self.now, self.n_glances, real = 0.0, 0, Watched.glance

        def glance(watched: Watched, *args: Any, **kwargs: Any) -> Glance:
            self.n_glances += 1
            self.now += 60.0 if self.n_glances == stalled else 0.15
            return real(watched, *args, **kwargs)

        patch.setattr(Watched, "glance", glance)

    def on_step(self, network: nn.Module, batch: BranchingData, record: StepRecord) -> None:
        self.now += 0.05


@pytest.mark.parametrize("stalled", [2, 3, 6])
def test_a_machine_that_stalls_once_costs_no_points(
    stalled: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(monkeypatch, stalled)
    tracking = ConvergenceTracker(
        probe_samples(TRAIN, 4), "tie-aware", on_scalar=lambda *_: None, clock=lambda: machine.now
    )
    config = replace(CONFIG, n_epochs=6)
    module = network()
    train(
        module,
        TRAIN,
        VALID,
        config,
        seed=0,
        run_folder=tmp_path,
        callbacks=(machine, tracking),
        display="none",
        prenorm_fitted=True,
    )
    steps = [record.step for record in read_probes(tmp_path / "diagnostics" / "convergence.jsonl")]
    assert len(steps) >= 20
    assert set(np.diff(steps[1:])) == {2}


def test_validation_samples_are_probed_at_the_same_weights(tmp_path: Path) -> None:
    initial = network()
    run(tmp_path, initial, tracker(share=SHARE))
    first = read_probes(tmp_path / "diagnostics" / "convergence.jsonl")[0].values
    start = initial_parameters(tmp_path)
    assert start is not None
    train_probe, valid_probe = (imitation_probe(initial, probe_samples(s, 4), "tie-aware") for s in (TRAIN, VALID))
    ratio = local_ratio(valid_probe, start)
    slopes = gradient(train_probe, start), gradient(valid_probe, start)
    assert first["valid_probe_loss"] == pytest.approx(ratio.loss, rel=1e-9)
    assert first["valid_mu"] == pytest.approx(ratio.mu, rel=1e-9)
    wanted = float(torch.nn.functional.normalize(slopes[0], dim=0) @ torch.nn.functional.normalize(slopes[1], dim=0))
    assert first["valid_gradient_cosine"] == pytest.approx(wanted, rel=1e-9)


def test_the_floor_is_the_entropy_of_ties_where_the_loss_is_a_cross_entropy() -> None:
    n_tied = [int((sample.scores == sample.scores.max()).sum()) for sample in SAMPLES]
    wanted = sum(math.log(n) for n in n_tied) / len(SAMPLES)
    assert mean_target_entropy(SAMPLES, "tie-aware") == pytest.approx(wanted, rel=1e-12)
    assert math.isnan(mean_target_entropy(SAMPLES, "pairwise"))


def test_a_dead_network_is_tracked_and_diagnosed_all_the_same(tmp_path: Path) -> None:
    dead = network()
    with torch.no_grad():
        for parameter in dead.parameters():
            parameter.zero_()
    run(tmp_path / "run", dead, tracker())
    probes = read_probes(tmp_path / "run" / "diagnostics" / "convergence.jsonl")
    assert probes[-1].values["dead_unit_share"] == 1.0
    assert diagnose(TrainedRun(tmp_path / "run", EXPERIMENT, TRAIN, n_samples=4), tmp_path / "report").files


def test_tensorboard_events_by_default(tmp_path: Path) -> None:
    run(tmp_path, network(), ConvergenceTracker(probe_samples(TRAIN, 4), "tie-aware", share=0.99))
    assert list((tmp_path / "tensorboard" / "convergence").glob("events*"))


def test_resumed_tracking_keeps_the_start_and_drops_nothing_twice(tmp_path: Path) -> None:
    module = network()
    start = flat_parameters(module)
    short = TrainingConfig(**{**_fields(CONFIG), "n_epochs": 2})
    run(tmp_path, module, tracker(), config=short)
    early = read_probes(tmp_path / "diagnostics" / "convergence.jsonl")
    run(tmp_path, network(), tracker())
    records = read_probes(tmp_path / "diagnostics" / "convergence.jsonl")
    kept = initial_parameters(tmp_path)
    assert kept is not None
    assert torch.equal(kept, start)
    assert records[: len(early)] == early
    assert [r.step for r in records] == sorted(r.step for r in records)
    assert records[-1].step > early[-1].step


def _fields(config: TrainingConfig) -> dict[str, object]:
    return {name: getattr(config, name) for name in config.__dataclass_fields__}


def test_half_a_line_is_left_out(tmp_path: Path) -> None:
    line = '{"kind": "gradient", "step": 1, "epoch": 1, "training_seconds": 1.0, "probe_seconds": 0.1, "values": {}}'
    (tmp_path / "convergence.jsonl").write_text(line + "\n" + line[:30])
    assert len(read_probes(tmp_path / "convergence.jsonl")) == 1
    assert read_probes(tmp_path / "missing.jsonl") == []


def test_stop_rule_is_asked(tmp_path: Path) -> None:
    tracking = tracker(stop_rule=PlStarRule(epsilon=1e3))
    run(tmp_path, network(), tracking)
    assert "below epsilon" in tracking.stop_reason


class Witness(PlStarRule):
    """A rule that never stops, and remembers what it was shown after each epoch."""

    def __init__(self) -> None:
        super().__init__(epsilon=1e-9)
        self.shown: list[tuple[list[tuple[int, float]], float]] = []

    def reason(self, probes: Sequence[GradientProbe], valid_loss: float) -> str:
        steps = [probe.step for probe in probes if isinstance(probe, ProbeRecord)]
        ratios = [probe.values["mu"] for probe in probes]
        self.shown.append((sorted(set(zip(steps, ratios, strict=True))), valid_loss))
        return ""


def test_stop_rule_sees_the_same_after_an_interruption_and_whatever_the_budget(tmp_path: Path) -> None:
    whole, rest, frugal = Witness(), Witness(), Witness()
    run(tmp_path / "whole", network(), tracker(stop_rule=whole))
    short = TrainingConfig(**{**_fields(CONFIG), "n_epochs": 3})
    run(tmp_path / "parts", network(), tracker(stop_rule=Witness()), config=short)
    run(tmp_path / "parts", network(), tracker(stop_rule=rest))
    thrifty = ConvergenceTracker(probe_samples(TRAIN, 4), "tie-aware", share=1e-9, stop_rule=frugal)
    run(tmp_path / "frugal", network(), thrifty)
    assert [step for step, _ in whole.shown[-1][0]] == [8 * epoch for epoch in range(1, 9)]
    assert rest.shown == whole.shown
    assert frugal.shown == whole.shown


def test_probe_samples_are_spread_and_stable() -> None:
    chosen = probe_samples(TRAIN, 4)
    assert [s.origin.episode for s in chosen] == [0, 7, 15, 22]
    assert len(probe_samples(VALID, 100)) == 10


def test_diagnosis_of_a_run(tracked: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in tracked.rglob("*") if path.is_file()}
    folder = TrainedRun(tracked, EXPERIMENT, TRAIN, n_samples=4)
    report = diagnose(folder, tmp_path / "report")
    assert {path: path.read_bytes() for path in tracked.rglob("*") if path.is_file()} == before
    assert all(path.stat().st_size > 0 for path in report.files)
    stored = json.loads((tmp_path / "report" / "diagnosis.json").read_text(), parse_constant=pytest.fail)
    topics = {item["topic"] for item in stored["advice"]}
    assert topics == {
        "learning-rate",
        "irreducible-loss",
        "epochs",
        "early-stop",
        "batch-size",
        "regime",
        "interpolation",
        "dropout",
    }
    verdicts = {finding.name: finding.verdict for finding in report.findings}
    assert verdicts["start_gauss_newton_lambda_max"] is verdicts["end_gauss_newton_lambda_max"] is Verdict.HOLDS
    assert verdicts["irreducible_loss"] is Verdict.HOLDS
    assert verdicts["pl_ball"] is Verdict.NOT_APPLICABLE
    assert all(item["measured"] and item["assumptions"] for item in stored["advice"])
    text = (tmp_path / "report" / "diagnosis.md").read_text()
    assert "nan" not in text.split("## Findings")[0].lower()
    assert stored["layers"]["head.0"].keys() == {"move", "update", "layer_gradient", "layer_kernel_trace", "dead"}
    assert sum(line.startswith("| head.0 | ") for line in text.splitlines()) == 1


def test_fast_and_exact_curvature_agree_on_a_run(tracked: Path) -> None:
    folder = TrainedRun(tracked, EXPERIMENT, TRAIN, n_samples=2)
    fast, exact = (hessian_top(folder.probe, folder.end, exact=exact, tolerance=1e-5).value for exact in (False, True))
    assert fast == pytest.approx(exact, rel=1e-3)


def test_second_moments_come_from_the_newest_checkpoint(tracked: Path) -> None:
    folder = TrainedRun(tracked, EXPERIMENT, TRAIN, n_samples=4)
    newest = sorted((tracked / "checkpoints").glob("step-*"))[-1]
    moments = adam_second_moments(newest)
    assert moments.shape == folder.end.shape
    assert bool((moments >= 0).all())
    assert folder.ceiling() > 0


def test_untracked_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no tracked training with a finished epoch; make one with train-policy"):
        TrainedRun(tmp_path, EXPERIMENT, TRAIN)


def test_probe_without_samples_is_refused(tracked: Path, tmp_path: Path) -> None:
    folder = TrainedRun(tracked, EXPERIMENT, MemorySource([]))
    with pytest.raises(InputError, match="0 probe samples"):
        diagnose(folder, tmp_path)
