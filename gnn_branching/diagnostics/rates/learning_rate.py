"""A learning rate from measurements: a stability ceiling, then a short race below and around it.

The ceiling is a local property of the start; on ReLU networks with summed messages it is loose, so it only centres a
geometric grid. Each rate trains a copy on the same batches; the loss on held-out samples, at weights averaged over the
end of the race (a stand-in for the later decay of the rate), decides. Half of the rates drop out after each round.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol

import torch
from torch import Tensor, nn

from gnn_branching.config import TrainingConfig
from gnn_branching.dataset.data import BranchingData, collate
from gnn_branching.dataset.loader import training_batches
from gnn_branching.dataset.source import SampleSource, near_candidates
from gnn_branching.diagnostics.measures.curvature import FEW_VECTORS, preconditioned_top
from gnn_branching.diagnostics.measures.imitation import imitation_probe
from gnn_branching.diagnostics.measures.probe import Probe
from gnn_branching.diagnostics.tracking.tracker import probe_samples
from gnn_branching.seeding import derive_seed
from gnn_branching.training.loop import fit_prenorm
from gnn_branching.training.losses import get_loss
from gnn_branching.training.schedule import make_optimizer
from gnn_branching.training.validation import forward

GRID_FACTOR = 3.0
"""Ratio of neighbouring rates in the race."""
GRID_SIZE = 7
"""Rates in the first round."""
GRID_TOP = 9.0
"""Highest rate over the ceiling."""
RATE_SLACK = 0.03
"""Losses of a race this close, relatively, are a tie; chosen on synthetic samples."""
LOWEST_RATE, HIGHEST_RATE = 1e-5, 1e-1
"""Rates outside are never tried."""
AVERAGED_SHARE = 0.25
"""Share of a race's steps, at its end, over which weights are averaged."""
ADAM_EPSILON = 1e-8
"""PyTorch's: added to the root of the second moments."""
CEILING_TOLERANCE = 1e-2
"""Relative accuracy of the sharpness behind the ceiling."""
N_PROBED, N_HELD_OUT = 8, 256
"""Samples behind the ceiling, and held-out samples that decide the race."""


class Trial(Protocol):
    """One copy of a training under one learning rate."""

    def advance(self, n_steps: int) -> float:
        """Train that many steps more; return the held-out loss, or infinity if it diverged."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RateScore:
    """Held-out loss of one rate in the last round it took part in."""

    rate: float
    loss: float
    n_steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningRateChoice:
    """The chosen learning rate and what it rests on.

    Args:
        rate: The choice.
        ceiling: Measured stability ceiling at the start; NaN if Lanczos failed.
        scores: Every rate tried, ascending.
        n_steps: Optimizer steps spent on the race, all copies together.
    """

    rate: float
    ceiling: float
    scores: tuple[RateScore, ...]
    n_steps: int


def momentum_ceiling(lambda_max: float, momentum: float = 0.0) -> float:
    """Return ``2 (1 + β) / λmax(H)``: gradient descent, with heavy-ball momentum β, diverges above it."""
    return 2.0 * (1.0 + momentum) / lambda_max if lambda_max > 0 else math.inf


def adam_ceiling(preconditioned_lambda_max: float, beta_1: float = 0.9) -> float:
    """Return ``2 (1 + β1) / ((1 − β1) λ)`` with λ the preconditioned sharpness (Cohen et al. 2022)."""
    damping = (1.0 - beta_1) * preconditioned_lambda_max
    return 2.0 * (1.0 + beta_1) / damping if damping > 0 else math.inf


def rate_grid(ceiling: float) -> tuple[float, ...]:
    """Return the rates of the first round, ascending: a geometric grid whose top lies above the ceiling."""
    centre = ceiling if math.isfinite(ceiling) and ceiling > 0 else 1e-3
    top = min(HIGHEST_RATE, max(GRID_TOP * centre, LOWEST_RATE * GRID_FACTOR ** (GRID_SIZE - 1)))
    return tuple(top / GRID_FACTOR**k for k in reversed(range(GRID_SIZE)))


def race(start: Callable[[float], Trial], rates: Sequence[float], n_steps: int) -> tuple[RateScore, ...]:
    """Run successive halving, then try both neighbours of the winner; return every rate's last score, ascending.

    Args:
        start: Starts a fresh trial; trials differ in nothing but the rate.
        rates: Rates of the first round.
        n_steps: Steps a survivor has made at the end; the first round takes a quarter of them.
    """
    trials = {rate: start(rate) for rate in rates}
    scores: dict[float, RateScore] = {}
    survivors, done = list(rates), 0
    for goal in (n_steps // 4, n_steps // 2, n_steps):
        for rate in survivors:
            scores[rate] = RateScore(rate=rate, loss=trials[rate].advance(goal - done), n_steps=goal)
        survivors = sorted(survivors, key=lambda rate: scores[rate].loss)[: max(2, math.ceil(len(survivors) / 2))]
        done = goal
    best = survivors[0]
    for neighbour in (best / math.sqrt(GRID_FACTOR), best * math.sqrt(GRID_FACTOR)):
        scores[neighbour] = RateScore(rate=neighbour, loss=start(neighbour).advance(n_steps), n_steps=n_steps)
    return tuple(scores[rate] for rate in sorted(scores))


def choose_learning_rate(
    network: nn.Module,
    train_source: SampleSource,
    valid_source: SampleSource,
    config: TrainingConfig,
    *,
    seed: int,
    n_steps: int = 200,
    prenorm_fitted: bool = False,
) -> LearningRateChoice:
    """Measure a learning rate for a training that has not started.

    Args:
        network: At its start; it stays as it is.
        train_source: Training samples.
        valid_source: Validation samples.
        config: How it will be trained; its ``learning_rate`` is not used.
        seed: Of the batches and of dropout; the global generator is left as it was.
        n_steps: Steps of the longest trial.
        prenorm_fitted: Whether its prenorm layers are fitted; a copy's are, as in training, if not.
    """
    network = copy.deepcopy(network)
    with torch.random.fork_rng():
        if not prenorm_fitted:
            fit_prenorm(network, train_source, config, seed)
        near, near_valid = (near_candidates(source, network) for source in (train_source, valid_source))
        # Read anew by every trial: 200 batches of set covering would take 4 GiB.
        batches = training_batches(near, batch_size=config.batch_size, seed=seed, n_batches=n_steps)
        held_out = collate(probe_samples(near_valid, N_HELD_OUT))
        ceiling = measure_adam_ceiling(network, near, list(islice(batches, max(1, n_steps // 10))), config)

        def start(rate: float) -> Trial:
            return NetworkTrial(network, replace(config, learning_rate=rate), batches, held_out, seed)

        scores = race(start, rate_grid(ceiling), n_steps)
    finalists = [score for score in scores if score.n_steps == n_steps]
    return LearningRateChoice(
        rate=middle_good_rate(finalists), ceiling=ceiling, scores=scores, n_steps=sum(s.n_steps for s in scores)
    )


def middle_good_rate(scores: Sequence[RateScore]) -> float:
    """Return the geometric mean of the rates whose loss is within ``RATE_SLACK`` of the lowest.

    Losses of neighbouring rates differ by less than their noise, so that the lowest is a lucky one as often as not; the
    middle of the flat stretch is steadier, and keeps away from the cliff above it. The lowest rate if all diverged.
    """
    lowest = min(score.loss for score in scores)
    if not math.isfinite(lowest):
        return min(score.rate for score in scores)
    good = [math.log(score.rate) for score in scores if score.loss <= (1.0 + RATE_SLACK) * lowest]
    return math.exp(sum(good) / len(good))


def measure_adam_ceiling(
    network: nn.Module, train_source: SampleSource, batches: Sequence[BranchingData], config: TrainingConfig
) -> float:
    """Return Adam's stability ceiling at the network's weights, its second moments taken over the given batches."""
    loss, probed = get_loss(config.loss), copy.deepcopy(network).eval()
    squares = [torch.zeros_like(p, dtype=torch.float64) for p in probed.parameters() if p.requires_grad]
    for batch in batches:
        probed.zero_grad()
        torch.autograd.backward(loss(forward(probed, batch), batch).mean())
        slopes = [p.grad for p in probed.parameters() if p.requires_grad]
        for square, slope in zip(squares, slopes, strict=True):
            square += 0.0 if slope is None else slope.double().square() / len(batches)
    probe = imitation_probe(network, probe_samples(train_source, N_PROBED), config.loss)
    return adam_ceiling_at(probe, probe.parameters(), torch.cat([square.reshape(-1) for square in squares]))


def adam_ceiling_at(probe: Probe, parameters: Tensor, second_moments: Tensor) -> float:
    """Return Adam's stability ceiling at some parameters, given its second moments there, both float64 and flat.

    NaN if an exact product does not confirm the curvature behind it.
    """
    inverse = 1.0 / (second_moments.sqrt() + ADAM_EPSILON)
    top = preconditioned_top(
        probe, parameters, inverse, tolerance=CEILING_TOLERANCE, n_vectors=FEW_VECTORS, exact=False
    )
    return adam_ceiling(top.value) if top.is_reliable else math.nan


class NetworkTrial:
    """A copy of the network trained at a constant rate; the loss is taken at averaged weights."""

    def __init__(
        self,
        network: nn.Module,
        config: TrainingConfig,
        batches: Iterable[BranchingData],
        held_out: BranchingData,
        seed: int,
    ) -> None:
        self._network = copy.deepcopy(network)
        self._optimizer = make_optimizer(self._network, config)
        self._clip, self._loss = config.gradient_clip_norm or math.inf, get_loss(config.loss)
        self._batches: Iterator[BranchingData] = iter(batches)
        self._held_out, self._seed, self._step = held_out, seed, 0

    def advance(self, n_steps: int) -> float:
        """Train that many steps more; return the held-out loss, or infinity if it diverged."""
        averaged: list[Tensor] = []
        first_averaged = int((1.0 - AVERAGED_SHARE) * n_steps)
        for step in range(n_steps):
            if not self._train_step(next(self._batches)):
                return math.inf
            if step >= first_averaged:
                weights = [p.detach() / (n_steps - first_averaged) for p in self._network.parameters()]
                averaged = [a + w for a, w in zip(averaged, weights, strict=True)] if averaged else weights
        return self._evaluate(averaged)

    def _train_step(self, batch: BranchingData) -> bool:
        torch.manual_seed(derive_seed(self._seed, "trial-step", self._step))
        self._step += 1
        self._network.train()
        self._optimizer.zero_grad()
        loss = self._loss(forward(self._network, batch), batch).mean()
        torch.autograd.backward(loss)
        norm = torch.nn.utils.clip_grad_norm_(self._network.parameters(), self._clip)
        if not (bool(loss.isfinite()) and bool(norm.isfinite())):
            return False
        self._optimizer.step()
        return True

    def _evaluate(self, weights: Sequence[Tensor]) -> float:
        twin = copy.deepcopy(self._network).eval()
        with torch.no_grad():
            for parameter, weight in zip(twin.parameters(), weights, strict=True):
                parameter.copy_(weight)
            value = float(self._loss(forward(twin, self._held_out), self._held_out).mean())
        return value if math.isfinite(value) else math.inf
