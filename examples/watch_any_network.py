"""Watch any PyTorch training: a table model here, its PL* ratio, curvature and tangent kernel along the way.

Run ``python examples/watch_any_network.py``. What is measured needs the network, a batch and its labels; every leading
eigenvalue starts where the last one ended, so that a point costs a few gradients of the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gnn_branching.diagnostics.measures.any_network import batch_probe
from gnn_branching.diagnostics.measures.glance import Glance, WarmStart, glance
from gnn_branching.diagnostics.measures.probe import flat_parameters
from gnn_branching.diagnostics.tracking.adam import inverse_diagonal, stability

N_STEPS, EVERY, RATE = 200, 10, 1e-2


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One line of the table."""

    step: int
    seen: Glance
    stability: float


def table(seed: int = 0, n_samples: int = 200) -> tuple[Tensor, Tensor]:
    """Return two half moons: coordinates, and which one a row belongs to."""
    generator = torch.Generator().manual_seed(seed)
    angle = torch.rand(n_samples, generator=generator) * torch.pi
    labels = torch.arange(n_samples) % 2
    sign = 1.0 - 2.0 * labels
    rows = torch.stack([sign * angle.cos() + labels, sign * angle.sin() + 0.5 * labels], dim=1)
    return rows + 0.1 * torch.randn(rows.shape, generator=generator), labels


def watch(n_steps: int = N_STEPS) -> list[Point]:
    """Train, and look at the training every ``EVERY`` steps."""
    torch.manual_seed(0)
    rows, labels = table()
    network = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    start, points = None, list[Point]()
    for step in range(1, n_steps + 1):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(rows), labels).backward()
        optimizer.step()
        if step % EVERY == 0:
            seen = look(network, rows[:16], labels[:16], inverse_diagonal(optimizer), start)
            start = seen.next_start
            assert seen.preconditioned is not None
            points.append(Point(step=step, seen=seen, stability=stability(RATE, seen.preconditioned.value)))
    return points


def look(network: nn.Module, rows: Tensor, labels: Tensor, scale: Tensor, start: WarmStart | None = None) -> Glance:
    """Measure a network on a batch; ``scale`` is Adam's inverse diagonal."""
    probe = batch_probe(network, rows, labels)
    return glance(probe, flat_parameters(network), start=start, inverse_diagonal=scale)


def main() -> None:
    """Print the table."""
    print("step   loss      μ         λmax(H)   of limit  λmax(K)   rank")
    for point in watch():
        seen = point.seen
        figures = (
            seen.ratio.loss,
            seen.ratio.mu,
            seen.hessian.value,
            point.stability,
            seen.kernel_top.value,
            seen.spectrum.effective_rank,
        )
        print(f"{point.step:<6} " + " ".join(f"{figure:<9.3g}" for figure in figures))


if __name__ == "__main__":
    main()
