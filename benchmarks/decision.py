"""Milliseconds a branching decision takes at live tree nodes, against the plain network on PyTorch Geometric.

Instances of one family are solved by SCIP, on one thread, with the learned rule attached as any user attaches it. They
are solved with the same seeds pass after pass until there are enough decisions: every pass takes the same decisions, so
what grows from one to the next is time or memory that leaks. At some tree nodes the reference is timed instead, in the
policy's place: both come straight after SCIP's LP solve, so both find the caches as cold. The reference is timed on the
whole LP, as published, and, where the policy reads a subproblem, also on that, where the two must agree. Without a
policy's folder, and where none ships for the family, the weights are random and orthogonal, with prenorm fitted on
samples of the family: they cost what trained ones cost.

    python -m benchmarks.decision --family set-cover --n-decisions 10000
"""

from __future__ import annotations

import argparse
import ctypes
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, thread_time

import numpy as np
import psutil
import torch
from threadpoolctl import threadpool_limits

from benchmarks.instances import write_instance
from gnn_branching.config import CollectionConfig, ExperimentConfig, ModelConfig, to_mapping
from gnn_branching.contracts import BranchingState, CandidateSet, FloatArray
from gnn_branching.dataset.data import collate
from gnn_branching.model.network import BipartiteGCNN
from gnn_branching.policy import list_policies, load_policy
from gnn_branching.policy.gcnn import load_network
from gnn_branching.policy.graph import GraphPolicy
from gnn_branching.policy.save import save_policy
from gnn_branching.policy.torch_runtime import TorchNetwork
from gnn_branching.solver.problem import read_problem
from gnn_branching.solver.rule import LearnedBranching
from gnn_branching.solver.sampling import run_episode
from gnn_branching.solver.settings import SolveLimits, apply_settings
from gnn_branching.subproblem import View

SETTINGS = "paper"
N_PRENORM_SAMPLES = 10
MIB = 2**20


@dataclass(slots=True, kw_only=True)
class Record:
    """What was measured: one entry a decision or a call of the reference, and resident memory after each pass.

    The reference is called on the same graph only where that is not the whole LP.
    """

    feature_seconds: list[float] = field(default_factory=list)
    inference_seconds: list[float] = field(default_factory=list)
    decision_seconds: list[float] = field(default_factory=list)
    decision_cpu_seconds: list[float] = field(default_factory=list)
    reference_seconds: list[float] = field(default_factory=list)
    same_graph_seconds: list[float] = field(default_factory=list)
    differences: list[float] = field(default_factory=list)
    pass_ends: list[int] = field(default_factory=list)
    rss_bytes: list[int] = field(default_factory=list)
    n_fallbacks: int = 0

    @property
    def n_decisions(self) -> int:
        """Decisions timed so far."""
        return len(self.decision_seconds)


@dataclass(slots=True, kw_only=True)
class Subject:
    """A policy under measurement, itself a policy: now and then it lets the reference go first.

    Args:
        policy: The policy; it always decides.
        reference: Scores the graph that it is shown, with the same weights.
        reference_interval: Time the reference at every so many decisions.
        record: Where measurements go.
    """

    policy: GraphPolicy
    reference: Callable[[BranchingState], FloatArray]
    reference_interval: int
    record: Record = field(default_factory=Record)
    n_calls: int = 0
    view: View = field(init=False)

    name = "measured"

    def __post_init__(self) -> None:
        self.view = View.of(self.policy.card.architecture)

    @property
    def feature_schema(self) -> str:
        """The policy's."""
        return self.policy.feature_schema

    @property
    def candidate_set(self) -> CandidateSet:
        """The policy's."""
        return self.policy.candidate_set

    @property
    def asked_reference(self) -> bool:
        """Whether the last decision was the reference's to be timed."""
        return self.n_calls % self.reference_interval == 0

    def scores(self, state: BranchingState) -> FloatArray:
        """Return the policy's scores."""
        self.n_calls += 1
        if not self.asked_reference:
            return self.policy.scores(state)
        start = perf_counter()
        expected = self.reference(state)
        end = perf_counter()
        self.record.reference_seconds.append(end - start)
        graph = self.view(state)
        if graph is not state:
            expected = self.reference(graph)
            self.record.same_graph_seconds.append(perf_counter() - end)
        scores = self.policy.scores(state)
        self.record.differences.append(float(np.abs(expected - scores).max()))
        return scores


class MeasuredRule(LearnedBranching):
    """The rule as it is; its own clocks are read before and after each call."""

    subject: Subject

    def branchexeclp(self, allowaddcons: bool) -> dict[str, int]:
        """Decide, then read the clocks."""
        before, start = self.statistics, thread_time()
        result = super().branchexeclp(allowaddcons)
        cpu_seconds = thread_time() - start
        after, record = self.statistics, self.subject.record
        record.n_fallbacks += after.n_fallbacks - before.n_fallbacks
        if after.n_decisions > before.n_decisions and not self.subject.asked_reference:
            record.feature_seconds.append(after.feature_seconds - before.feature_seconds)
            record.inference_seconds.append(after.inference_seconds - before.inference_seconds)
            record.decision_seconds.append(after.decision_seconds - before.decision_seconds)
            record.decision_cpu_seconds.append(cpu_seconds)
        return result


def benchmark(
    *,
    family: str = "set-cover",
    size: str = "easy",
    n_decisions: int = 500,
    n_instances: int = 5,
    node_limit: int = 100,
    reference_interval: int = 5,
    policy: str | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Measure decisions at live tree nodes.

    Args:
        family: A registered family.
        size: One of its sizes.
        n_decisions: Least number of decisions to time; the last pass over the instances is always finished.
        n_instances: Instances of a pass.
        node_limit: Tree nodes per solve.
        reference_interval: Time the reference at every so many decisions; at least 2.
        policy: Name or folder of a policy; by default the one shipped for the family, or else random weights.
        seed: Root of all seeds.

    Returns:
        Medians and a percentile in milliseconds of wall time (``decision_cpu_ms_p50``: CPU time, which other load on
        the machine changes less), ``speedup_inference`` over the reference on the whole LP and ``speedup_same_graph``
        over it on what the policy reads, and how the last pass compares with the second one: ``time_growth``, a ratio,
        and ``rss_growth_mib``.
    """
    with one_thread(), tempfile.TemporaryDirectory(prefix="gnn-branching-benchmark-") as name:
        instances = write_instances(Path(name), family, size, n_instances, seed)
        chosen: str | Path | None = policy or (family if family in list_policies() else None)
        if chosen is None:
            chosen = make_random_policy(Path(name) / "random", instances[0], seed)
        loaded = load_policy(chosen)
        assert isinstance(loaded, GraphPolicy)
        loaded.warm_up()
        subject = Subject(policy=loaded, reference=reference_of(loaded), reference_interval=reference_interval)
        while subject.record.n_decisions < n_decisions:
            run_pass(instances, subject, node_limit)
        return figures(subject.record)


@contextmanager
def one_thread() -> Iterator[None]:
    """Give BLAS, OpenMP and PyTorch one thread."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(n_threads)


def write_instances(folder: Path, family: str, size: str, n_instances: int, seed: int) -> list[Path]:
    """Write instances of the test split."""
    return [write_instance(folder, family, size, "test", index, seed) for index in range(n_instances)]


def make_random_policy(folder: Path, instance: Path, seed: int) -> Path:
    """Write a policy with random orthogonal weights, its prenorm fitted on samples of an instance."""
    config = CollectionConfig(
        expert_probability=1.0, strong_branching_iteration_limit=10, n_samples_per_episode=N_PRENORM_SAMPLES
    )
    episode = run_episode(str(instance), episode=0, scip_seed=seed, config=config, instance_sha256="0" * 64)
    torch.manual_seed(seed)
    network = BipartiteGCNN(ModelConfig())
    network.fit_prenorm([collate([sample]) for sample in episode.samples])
    save_policy(folder, network, config=to_mapping(ExperimentConfig(model=network.config)), metrics={})
    return folder


def reference_of(policy: GraphPolicy) -> Callable[[BranchingState], FloatArray]:
    """Return the policy's weights in the plain message-passing network of PyTorch Geometric."""
    network = load_network(policy.folder)
    plain = BipartiteGCNN(network.config, "reference")
    plain.load_state_dict(network.state_dict())
    return TorchNetwork(plain).logits


def run_pass(instances: Sequence[Path], subject: Subject, node_limit: int) -> None:
    """Solve every instance once.

    Raises:
        RuntimeError: If nothing was decided.
    """
    record, before = subject.record, subject.record.n_decisions
    for path in instances:
        model = read_problem(path)
        apply_settings(model, SETTINGS, seed=0, limits=SolveLimits(node_limit=node_limit))
        MeasuredRule.attach(model, subject).subject = subject
        model.optimize()
        model.freeProb()
    if record.n_decisions == before:
        raise RuntimeError(f"nothing was decided on {len(instances)} instances; other sizes or seeds may have trees")
    record.pass_ends.append(record.n_decisions)
    record.rss_bytes.append(resident_bytes())


def resident_bytes() -> int:
    """Return this process's resident memory, freed memory given back first where the C library can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    return int(psutil.Process().memory_info().rss)


def figures(record: Record) -> dict[str, float]:
    """Return the benchmark's figures."""
    inference, reference = milliseconds(record.inference_seconds), milliseconds(record.reference_seconds)
    same_graph = milliseconds(record.same_graph_seconds or record.reference_seconds)
    starts = [0, *record.pass_ends]
    passes = [record.decision_seconds[start:end] for start, end in zip(starts, record.pass_ends, strict=False)]
    second = min(1, len(passes) - 1)  # the first pass fills caches and buffers
    return {
        "features_ms_p50": milliseconds(record.feature_seconds),
        "inference_ms_p50": inference,
        "decision_ms_p50": milliseconds(record.decision_seconds),
        "decision_ms_p99": milliseconds(record.decision_seconds, 99),
        "reference_inference_ms_p50": reference,
        "speedup_inference": reference / inference,
        "same_graph_reference_ms_p50": same_graph,
        "speedup_same_graph": same_graph / inference,
        "n_decisions": record.n_decisions,
        "threads": torch.get_num_threads(),
        "max_abs_logit_difference": max(record.differences),
        "decision_cpu_ms_p50": milliseconds(record.decision_cpu_seconds),
        "n_fallbacks": record.n_fallbacks,
        "n_passes": len(passes),
        "time_growth": milliseconds(passes[-1]) / milliseconds(passes[second]),
        "rss_mib": record.rss_bytes[-1] / MIB,
        "rss_growth_mib": (record.rss_bytes[-1] - record.rss_bytes[second]) / MIB,
    }


def milliseconds(seconds: Sequence[float], percentile: float = 50) -> float:
    """Return a percentile of times."""
    return 1e3 * float(np.percentile(seconds, percentile))


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", default="set-cover")
    parser.add_argument("--size", default="easy")
    parser.add_argument("--n-decisions", type=int, default=500)
    parser.add_argument("--n-instances", type=int, default=5)
    parser.add_argument("--node-limit", type=int, default=100)
    parser.add_argument("--reference-interval", type=int, default=5)
    parser.add_argument("--policy")
    parser.add_argument("--seed", type=int, default=0)
    print(json.dumps(benchmark(**vars(parser.parse_args())), indent=1))


if __name__ == "__main__":
    main()
