"""Losses against slow twins, closed forms and invariances."""

import numpy as np
import pytest
import torch
from torch import Tensor

from gnn_branching.contracts import InputError
from gnn_branching.dataset.data import BranchingData, collate
from gnn_branching.dataset.synthetic import random_source
from gnn_branching.training.losses import LISTWISE_TEMPERATURE, LOSSES, get_loss, tie_aware_cross_entropy

from .toys import labelled


def slow_loss(name: str, z: np.ndarray, s: np.ndarray) -> float:
    """One sample, straight from the definitions."""
    log_p = z - np.log(np.exp(z).sum())
    share = s / s.max() if s.max() > 0 else s
    if name == "cross-entropy":
        return float(-log_p[np.argmax(s)])
    if name == "tie-aware":
        return float(-log_p[s == s.max()].mean())
    if name == "listwise":
        target = np.exp(share / LISTWISE_TEMPERATURE)
        return float(-(target / target.sum() * log_p).sum())
    if name == "regression":
        return float(((z - share) ** 2).mean())
    pairs = [(i, j) for i in range(len(s)) for j in range(len(s)) if s[i] > s[j]]
    gaps = [share[i] - share[j] for i, j in pairs]
    losses = [gap * np.log1p(np.exp(z[j] - z[i])) for gap, (i, j) in zip(gaps, pairs, strict=True)]
    return float(sum(losses) / sum(gaps)) if pairs else 0.0


def split(values: Tensor, batch: BranchingData) -> list[np.ndarray]:
    return [part.detach().double().numpy() for part in values.split(batch.n_candidates.tolist())]


@pytest.fixture
def batch() -> BranchingData:
    source = random_source(9, seed=4)
    return collate([source[i] for i in range(9)])


def some_logits(batch: BranchingData, dtype: torch.dtype = torch.float64) -> Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.randn(batch.scores.shape[0], generator=random, dtype=dtype).requires_grad_()


@pytest.mark.parametrize("name", LOSSES)
def test_equals_the_slow_twin(name: str, batch: BranchingData) -> None:
    logits = some_logits(batch)
    losses = get_loss(name)(logits, batch)
    slow = [slow_loss(name, z, s) for z, s in zip(split(logits, batch), split(batch.scores, batch), strict=True)]
    np.testing.assert_allclose(losses.detach().numpy(), slow, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_derivative(name: str, batch: BranchingData) -> None:
    assert torch.autograd.gradcheck(lambda z: get_loss(name)(z, batch), (some_logits(batch),))


@pytest.mark.parametrize("name", LOSSES)
def test_awkward_samples_stay_finite(name: str) -> None:
    batch = labelled([1.0], [0.0, 0.0, 0.0], [2.0, 2.0], [1e-300, 1e300], [5.0, 0.0])
    logits = some_logits(batch, torch.float32)
    losses = get_loss(name)(logits * 50, batch)
    losses.sum().backward()
    assert losses.shape == (5,)
    assert bool(losses.isfinite().all())
    assert bool((losses >= 0).all())
    assert logits.grad is not None
    assert bool(logits.grad.isfinite().all())


@pytest.mark.parametrize("name", sorted(LOSSES.keys() - {"regression"}))
def test_a_constant_added_to_a_sample_s_logits_is_invisible(name: str, batch: BranchingData) -> None:
    logits = some_logits(batch)
    moved = logits + torch.repeat_interleave(torch.arange(9.0), batch.n_candidates)
    np.testing.assert_allclose(
        get_loss(name)(moved, batch).detach(), get_loss(name)(logits, batch).detach(), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("name", LOSSES)
def test_scale_of_scores_is_invisible(name: str) -> None:
    small, large = labelled([1.0, 2.0, 0.5]), labelled([1e6, 2e6, 0.5e6])
    logits = some_logits(small)
    assert torch.equal(get_loss(name)(logits, small), get_loss(name)(logits, large))


def test_tied_candidates_share_the_target() -> None:
    batch = labelled([2.0, 1.0, 2.0])
    logits = torch.tensor([3.0, 1.0, 3.0], dtype=torch.float64, requires_grad=True)
    tie_aware_cross_entropy(logits, batch).sum().backward()
    assert logits.grad is not None
    assert float(logits.grad[0]) == pytest.approx(float(logits.grad[2]), abs=1e-15)
    floor = tie_aware_cross_entropy(torch.tensor([50.0, 0.0, 50.0], dtype=torch.float64), batch)
    assert float(floor) == pytest.approx(np.log(2), abs=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_descent_puts_the_best_first(name: str) -> None:
    batch = labelled([1.0, 4.0, 2.0], [0.3, 0.2])
    logits = torch.zeros(5, requires_grad=True)
    for _ in range(300):
        (gradient,) = torch.autograd.grad(get_loss(name)(logits, batch).sum(), logits)
        logits = (logits - 0.3 * gradient).detach().requires_grad_()
    assert int(logits[:3].argmax()) == 1
    assert int(logits[3:].argmax()) == 0


def test_unknown_loss() -> None:
    with pytest.raises(InputError, match="loss 'hinge' is unknown; choose one of cross-entropy"):
        get_loss("hinge")
