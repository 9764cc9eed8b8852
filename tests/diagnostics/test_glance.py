"""One glance against dense twins: exact where it says so, within its residual elsewhere."""

import pytest
import torch

from gnn_branching.config import ModelConfig, TrainingConfig
from gnn_branching.dataset.source import MemorySource
from gnn_branching.dataset.synthetic import random_sample
from gnn_branching.diagnostics.measures.curvature import hessian_top, preconditioned_top, warm_top
from gnn_branching.diagnostics.measures.glance import WarmStart, glance
from gnn_branching.diagnostics.measures.imitation import imitation_probe
from gnn_branching.diagnostics.measures.layers import layer_slices, layer_sums
from gnn_branching.diagnostics.measures.linearity import target_alignment
from gnn_branching.diagnostics.measures.noise import noise_scale
from gnn_branching.diagnostics.measures.polyak import local_ratio
from gnn_branching.diagnostics.measures.probe import LossKind, flat_parameters
from gnn_branching.diagnostics.measures.products import gradient
from gnn_branching.diagnostics.measures.tangent_kernel import project, tangent_kernel
from gnn_branching.diagnostics.tracking.tracker import TRACKED_RESIDUAL
from gnn_branching.model.network import initial_network
from gnn_branching.training.loop import train
from gnn_branching.training.records import Callback, StepRecord
from tests.diagnostics.problems import GROUPS, dense_hessian, dense_jacobian, problem


@pytest.mark.parametrize("kind", LossKind)
@pytest.mark.parametrize("blocks", [1, 4])
def test_what_is_exact_equals_the_dense_twins(kind: LossKind, blocks: int) -> None:
    probe = problem(kind, blocks=blocks)
    weights = probe.parameters()
    seen = glance(probe, weights)
    ratio, noise = local_ratio(probe, weights), noise_scale(probe, weights)
    assert (seen.ratio.loss, seen.ratio.mu) == pytest.approx((ratio.loss, ratio.mu), rel=1e-12)
    assert seen.noise.value == pytest.approx(noise.value, rel=1e-9)
    torch.testing.assert_close(seen.gradient, gradient(probe, weights), rtol=1e-12, atol=1e-14)
    jacobian, directions = dense_jacobian(probe, weights), []
    for part in probe.targets.split(list(GROUPS)):
        row = part - part.mean() if kind is LossKind.CROSS_ENTROPY else part
        if len(part) > 1 or kind is LossKind.SQUARE:
            directions.append(row / row.norm())
    starts = [0, 3, 4, 9] if kind is LossKind.SQUARE else [0, 4, 9]
    matrix = torch.zeros(len(directions), probe.n_outputs, dtype=torch.float64)
    for row, start, direction in zip(matrix, starts, directions, strict=True):
        row[start : start + len(direction)] = direction
    torch.testing.assert_close(seen.kernel, matrix @ jacobian @ jacobian.T @ matrix.T, rtol=1e-9, atol=1e-12)
    traces = layer_sums(probe.network, seen.kernel_diagonal)
    assert list(traces) == ["0", "2"]
    for layer, places in layer_slices(probe.network).items():
        part = matrix @ torch.cat([jacobian[:, place] for place in places], dim=1)
        assert traces[layer] == pytest.approx(float((part @ part.T).trace()), rel=1e-9)


@pytest.mark.parametrize("kind", LossKind)
def test_sketched_eigenvalues_interlace_those_of_the_kernel(kind: LossKind) -> None:
    probe = problem(kind, n_hidden=12)
    weights = probe.parameters()
    seen, whole = glance(probe, weights), tangent_kernel(probe, weights)
    values = torch.linalg.eigvalsh(whole)
    lowest = values[probe.n_samples if kind is LossKind.CROSS_ENTROPY else 0]
    assert lowest * (1 - 1e-9) <= seen.spectrum.eigenvalues[0]
    assert seen.spectrum.lambda_max <= values[-1] * (1 + 1e-9)
    targets = project(probe.targets, probe.group_sizes) if kind is LossKind.CROSS_ENTROPY else probe.targets
    assert seen.alignment >= target_alignment(whole, targets) - 1e-12


def test_leading_eigenvalues_converge_over_glances() -> None:
    probe = problem(LossKind.CROSS_ENTROPY)
    weights = probe.parameters()
    scale = 1.0 / (0.1 + torch.arange(len(weights), dtype=torch.float64) / len(weights))
    start: WarmStart | None = None
    for _ in range(12):
        seen = glance(probe, weights, start=start, inverse_diagonal=scale)
        start = seen.next_start
    assert seen.preconditioned is not None
    hessian = dense_hessian(probe, weights)
    root = scale.sqrt()
    wanted = [torch.linalg.eigvalsh(m)[-1] for m in (hessian, root[:, None] * hessian * root)]
    torch.testing.assert_close(seen.hessian.value, float(wanted[0]), rtol=1e-4, atol=0)
    torch.testing.assert_close(seen.preconditioned.value, float(wanted[1]), rtol=1e-4, atol=0)
    top = float(torch.linalg.eigvalsh(tangent_kernel(probe, weights))[-1])
    torch.testing.assert_close(seen.kernel_top.value, top, rtol=1e-4, atol=0)


def test_few_products_stay_within_their_residual() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        matrix = torch.randn(30, 30, generator=generator, dtype=torch.float64)
        matrix = matrix + matrix.T
        found = warm_top(lambda v, m=matrix: m @ v, torch.randn(30, generator=generator, dtype=torch.float64), 3)
        nearest = (torch.linalg.eigvalsh(matrix) - found.value).abs().min()
        assert nearest <= found.residual * abs(found.value) * (1 + 1e-9)


def test_a_product_that_is_not_symmetric_shows_in_the_residual() -> None:
    skewed = torch.diag(torch.tensor([3.0, 1.0, 1.0, 0.5], dtype=torch.float64))
    skewed[1, 0] = 5.0
    assert warm_top(lambda v: skewed @ v, torch.ones(4, dtype=torch.float64), 2).residual > 0.1


class Watch(Callback):
    """Glances along a training, and the exact figures beside them."""

    def __init__(self, samples: list, every: int) -> None:  # type: ignore[type-arg]
        self.samples, self.every, self.start = samples, every, None
        self.moment, self.seen = None, []

    def on_step(self, network, batch, record: StepRecord) -> None:  # type: ignore[no-untyped-def]
        slopes = torch.cat([p.grad.double().flatten() for p in network.parameters()])
        self.moment = slopes.square() if self.moment is None else 0.999 * self.moment + 0.001 * slopes.square()
        if record.step % self.every:
            return
        probe, weights = imitation_probe(network, self.samples, "tie-aware"), flat_parameters(network)
        scale = 1.0 / (self.moment.sqrt() + 1e-8)
        whole = imitation_probe(network, self.samples, "tie-aware", together=True)
        found = glance(probe, weights, start=self.start, inverse_diagonal=scale, whole=whole)
        self.start = found.next_start
        top = float(torch.linalg.eigvalsh(tangent_kernel(probe, weights))[-1])
        exact = hessian_top(probe, weights, tolerance=1e-4).value
        scaled = preconditioned_top(probe, weights, scale, tolerance=1e-4).value
        self.seen.append((found, exact, scaled, top))


def test_tracked_eigenvalues_follow_a_training_of_width_64(tmp_path) -> None:  # type: ignore[no-untyped-def]
    samples = [random_sample(seed) for seed in range(40)]
    watch = Watch(samples[:3], 5)
    config = TrainingConfig(loss="tie-aware", n_epochs=3, n_batches_per_epoch=10, batch_size=8, n_threads=1)
    source = MemorySource(samples)
    train(
        initial_network(ModelConfig(hidden_size=64), 0),
        source,
        source,
        config,
        seed=0,
        run_folder=tmp_path,
        callbacks=(watch,),
        display="none",
    )
    assert len(watch.seen) == 6
    n_told = 0
    for found, exact, scaled, top in watch.seen[1:]:
        for pair, wanted in ((found.hessian, exact), (found.kernel_top, top)):
            n_told += pair.residual <= TRACKED_RESIDUAL
            if pair.residual <= TRACKED_RESIDUAL:
                assert pair.value == pytest.approx(wanted, rel=0.15)
        # Adam's second moments change fast in the first steps: a lower bound is all that a warm start gives.
        assert found.preconditioned.value <= 1.02 * scaled
    assert n_told >= 8
