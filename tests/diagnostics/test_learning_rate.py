import copy
import math

import numpy as np
import pytest
import torch

from gnn_branching.config import ModelConfig, TrainingConfig
from gnn_branching.dataset.data import collate
from gnn_branching.dataset.source import SubsetSource
from gnn_branching.dataset.synthetic import random_source
from gnn_branching.diagnostics.measures.curvature import hessian_top
from gnn_branching.diagnostics.measures.products import gradient, outputs_of
from gnn_branching.diagnostics.rates.learning_rate import (
    GRID_FACTOR,
    GRID_SIZE,
    HIGHEST_RATE,
    RateScore,
    adam_ceiling,
    choose_learning_rate,
    middle_good_rate,
    momentum_ceiling,
    race,
    rate_grid,
)
from gnn_branching.model.network import BipartiteGCNN
from tests.diagnostics.problems import linear_square_problem

STEPS = 400


def final_loss(factor: float, momentum: float) -> float:
    """Loss of (heavy-ball) gradient descent on a quadratic at ``factor`` times the measured ceiling."""
    matrix = torch.diag(torch.tensor([2.0, 1.0, 0.7], dtype=torch.float64))
    probe = linear_square_problem(matrix, torch.ones(3))
    point = probe.parameters()
    rate = factor * momentum_ceiling(hessian_top(probe, point).value, momentum)
    velocity = torch.zeros_like(point)
    for _ in range(STEPS):
        velocity = momentum * velocity - rate * gradient(probe, point)
        point = point + velocity
    return float(probe.loss(outputs_of(probe, point)))


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_half_the_ceiling_converges_and_three_times_diverges(momentum: float) -> None:
    assert final_loss(0.5, momentum) < 1e-6
    assert final_loss(1.05, momentum) > 1.0
    assert not final_loss(3.0, momentum) < 1e6


def test_adam_ceiling_is_where_adam_turns_unstable() -> None:
    """Adam with a frozen second moment on one quadratic coordinate: stable below, unstable above."""

    def amplitude(factor: float) -> float:
        curvature, second_moment, weight, velocity = 3.0, 4.0, 1.0, 0.0
        rate = factor * adam_ceiling(curvature / math.sqrt(second_moment))
        for _ in range(600):
            velocity = 0.9 * velocity + 0.1 * curvature * weight
            weight -= rate * velocity / math.sqrt(second_moment)
        return abs(weight)

    assert amplitude(0.9) < 1e-3
    assert amplitude(1.1) > 1e3


def test_ceilings_of_flat_losses_are_infinite() -> None:
    assert momentum_ceiling(0.0) == adam_ceiling(0.0) == math.inf


@pytest.mark.parametrize("ceiling", [1e-9, 1e-3, 5.0, math.inf, math.nan])
def test_grid_is_geometric_and_bounded(ceiling: float) -> None:
    grid = np.array(rate_grid(ceiling))
    assert len(grid) == GRID_SIZE
    np.testing.assert_allclose(grid[1:] / grid[:-1], GRID_FACTOR, rtol=1e-9)
    assert grid[-1] <= HIGHEST_RATE
    assert grid[0] > 0


def test_middle_of_a_tie_is_chosen() -> None:
    def choose(*losses: float) -> float:
        rates = (0.1, 0.2, 0.4)
        return middle_good_rate([RateScore(rate=r, loss=v, n_steps=1) for r, v in zip(rates, losses, strict=True)])

    assert choose(1.0, 1.02, 1.01) == pytest.approx(0.2)
    assert choose(1.5, 1.02, 1.0) == pytest.approx(math.sqrt(0.08))
    assert choose(1.0, 1.04, math.inf) == pytest.approx(0.1)
    assert choose(2.0, 2.0, 1.0) == pytest.approx(0.4)
    assert choose(math.inf, math.inf, math.inf) == pytest.approx(0.1)


class QuadraticTrial:
    """Gradient descent on ``½ (w² + w'²/10)``; diverges beyond 2."""

    def __init__(self, rate: float) -> None:
        self.rate, self.n_steps = rate, 0

    def advance(self, n_steps: int) -> float:
        self.n_steps += n_steps
        loss = (1.0 - self.rate) ** (2 * self.n_steps) + 0.1 * (1.0 - 0.1 * self.rate) ** (2 * self.n_steps)
        return loss if loss < 1e6 else math.inf


def test_race_finds_the_best_rate_of_a_quadratic() -> None:
    scores = race(QuadraticTrial, [3.0**k for k in range(-5, 2)], 40)
    best = min((s for s in scores if s.n_steps == 40), key=lambda s: s.loss)
    optimum = 2.0 / 1.1
    assert best.rate == pytest.approx(math.sqrt(3.0))
    assert optimum / 2 < best.rate < 2.0
    assert [s.rate for s in scores] == sorted(s.rate for s in scores)


@pytest.mark.parametrize("fitted", [True, False])
def test_choice_repeats_and_leaves_the_network_alone(fitted: bool) -> None:
    source = random_source(40, seed=2)
    samples = [i for i in range(40) if source[i].state.n_candidates > 1]
    train, valid = SubsetSource(source, samples[:-8]), SubsetSource(source, samples[-8:])
    torch.manual_seed(0)
    network = BipartiteGCNN(ModelConfig(hidden_size=8))
    if fitted:
        network.fit_prenorm([collate([train[i] for i in range(len(train))])])
    before = copy.deepcopy(network.state_dict())
    config = TrainingConfig(loss="tie-aware", batch_size=8)
    state = torch.get_rng_state()
    first, second = (
        choose_learning_rate(network, train, valid, config, seed=0, n_steps=8, prenorm_fitted=fitted) for _ in range(2)
    )
    assert first == second
    assert math.isfinite(first.ceiling)
    assert first.scores[0].rate <= first.rate <= first.scores[-1].rate
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
