"""Lucas et al. (2021), "Analyzing monotonic linear interpolation in neural network loss landscapes".

On the segment from the initial to the trained weights the loss usually falls monotonically. It must, for the square
loss to the end point, if the path of outputs has a Gauss length below π/2 (this project's derivation).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from gnn_branching.contracts import FloatArray
from gnn_branching.diagnostics.advice.picture import Curve, Panel, draw
from gnn_branching.diagnostics.measures.finding import Verdict
from gnn_branching.diagnostics.measures.interpolation import (
    Interpolation,
    finite_tangents,
    gauss_length,
    interpolate,
    largest_rise,
    monotone,
)
from gnn_branching.diagnostics.measures.probe import LossKind, Probe, make_probe
from gnn_branching.diagnostics.measures.products import gradient
from gnn_branching.theory.report import TheoryCheck, TheoryReport, above, below, exactly, write_report

CLAIM = (
    "The loss falls monotonically on the segment from initial to trained weights when the path of outputs turns little."
)
N_INPUTS, N_HIDDEN, N_EXAMPLES = 3, 24, 32
"""Shape of the trained network and its data."""


class Fault(StrEnum):
    """Deliberate faults; the report must fail under each."""

    NONE = "none"
    PERMUTED_ENDPOINT = "permuted-endpoint"
    LAST_INTERVAL_IGNORED = "last-interval-ignored"
    LENGTH_HALVED = "length-halved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """Sizes of the reproduction.

    Args:
        seed: Root of every draw.
        fault: Deliberate fault.
        n_networks: Random tanh networks of the π/2 statement.
        n_points: Points of [0, 1] per random network.
        n_steps: Steps of gradient descent of the trained network.
    """

    seed: int = 0
    fault: Fault = Fault.NONE
    n_networks: int = 1500
    n_points: int = 200
    n_steps: int = 1500

    def run(self, out: Path) -> TheoryReport:
        """Reproduce the claim; write ``lucas2021.png`` and ``lucas2021.json`` into ``out``."""
        started = time.perf_counter()
        probe, start = _regression(self.seed)
        end = _train(probe, start, self.n_steps)
        mirrored = permute_hidden(end)
        wrong = interpolate(probe, mirrored, end)
        path = wrong if self.fault is Fault.PERMUTED_ENDPOINT else interpolate(probe, start, end)
        finer = interpolate(probe, start, end, n_points=2 * len(path.alphas))
        networks = [random_path(self.n_points, seed=(self.seed, index)) for index in range(self.n_networks)]
        if self.fault is Fault.LENGTH_HALVED:
            networks = _with_half_the_length(networks)
        checks = [
            *_geometry_checks(),
            *_random_checks(networks),
            TheoryCheck(finding=monotone(path)),
            below("trained loss over start", float(path.losses[-1] / path.losses[0]), 0.05, "the network was trained"),
            exactly(
                "Gauss length, grid doubled",
                _length(finer),
                _length(path),
                0.02 * _length(path),
                "Gauss length of the path of all outputs on twice the points against the single grid",
            ),
            *_negative_controls(wrong, networks, self.fault is Fault.LAST_INTERVAL_IGNORED),
        ]
        _picture(path, wrong, networks, out / "lucas2021.png")
        return write_report("lucas2021", CLAIM, checks, out, started)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RandomPath:
    """Outputs along a segment between two random tanh networks: (n_points, dimension), and the Gauss length."""

    outputs: FloatArray
    length: float

    @property
    def is_monotone(self) -> bool:
        """Whether the distance to the end strictly falls."""
        distances = np.linalg.norm(self.outputs - self.outputs[-1], axis=1)
        return bool((np.diff(distances) < 0).all())


def random_path(n_points: int, seed: tuple[int, int]) -> RandomPath:
    """Draw two tanh networks ``V tanh(W x)`` of random scale and follow their outputs with exact tangents."""
    rng = np.random.default_rng(seed)
    n_hidden, n_examples = int(rng.integers(2, 12)), int(rng.integers(1, 5))
    scale = 10.0 ** rng.uniform(-0.8, 0.6)
    inputs = rng.standard_normal((3, n_examples))
    start, move = scale * rng.standard_normal((n_hidden, 3)), scale * rng.standard_normal((n_hidden, 3))
    outer, outer_move = rng.standard_normal((2, 2, n_hidden))
    alphas = np.linspace(0.0, 1.0, n_points)[:, None, None]
    hidden = np.tanh((start + alphas * move) @ inputs)
    weights = outer + alphas * outer_move
    tangents = outer_move @ hidden + weights @ ((1.0 - hidden**2) * (move @ inputs))
    return RandomPath(
        outputs=(weights @ hidden).reshape(n_points, -1), length=gauss_length(tangents.reshape(n_points, -1))
    )


def permute_hidden(parameters: Tensor) -> Tensor:
    """Reverse the hidden units of the trained network: the same function at another point."""
    inner, bias, outer, last = torch.split(parameters, [N_HIDDEN * N_INPUTS, N_HIDDEN, N_HIDDEN, 1])
    return torch.cat([inner.view(N_HIDDEN, N_INPUTS).flip(0).reshape(-1), bias.flip(0), outer.flip(0), last])


def _regression(seed: int) -> tuple[Probe, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(N_EXAMPLES, N_INPUTS, generator=generator, dtype=torch.float64)
    labels = torch.sin(2.0 * inputs[:, 0]) + 0.5 * inputs[:, 1]
    network = nn.Sequential(nn.Linear(N_INPUTS, N_HIDDEN), nn.Tanh(), nn.Linear(N_HIDDEN, 1)).double()
    start = 0.5 * torch.randn(N_HIDDEN * (N_INPUTS + 2) + 1, generator=generator, dtype=torch.float64)
    sizes = torch.ones(N_EXAMPLES, dtype=torch.long)
    probe = make_probe(network, [lambda module: module(inputs).flatten()], labels, sizes, LossKind.SQUARE)
    return probe, start


def _train(probe: Probe, start: Tensor, n_steps: int) -> Tensor:
    parameters, momentum = start.clone(), torch.zeros_like(start)
    for _ in range(n_steps):
        momentum = 0.9 * momentum + gradient(probe, parameters)
        parameters = parameters - 5e-4 * momentum
    return parameters


def _geometry_checks() -> list[TheoryCheck]:
    alphas = np.linspace(0.0, 1.0, 200)
    circle = np.stack([np.cos(math.pi * alphas), np.sin(math.pi * alphas)], axis=1)
    straight = np.outer(alphas, np.ones(3))
    return [
        exactly(
            "half circle", gauss_length(finite_tangents(circle, alphas)), math.pi, 1e-4, "Gauss length of a half circle"
        ),
        exactly("straight line", gauss_length(finite_tangents(straight, alphas)), 0.0, 1e-6, "Gauss length of a line"),
        exactly(
            "resting path", gauss_length(np.zeros((9, 2))), 0.0, 0.0, "a path that does not move has no length, not 0/0"
        ),
    ]


def _random_checks(networks: list[RandomPath]) -> list[TheoryCheck]:
    short = [n for n in networks if n.length < math.pi / 2.0]
    long = [n for n in networks if n.length >= math.pi / 2.0]
    share = sum(n.is_monotone for n in long) / max(1, len(long))
    return [
        above("networks below π/2", len(short), 0.1 * len(networks), "enough random networks on either side"),
        above("networks above π/2", len(long), 0.1 * len(networks), "enough random networks on either side"),
        below(
            "violations below π/2",
            _n_violations(networks),
            0.0,
            "random tanh networks below π/2 that are not monotone",
            reference=0.0,
        ),
        below("monotone share above π/2", share, 0.95, "above π/2 there is no such rule", reference=837 / 1561),
    ]


def _n_violations(networks: list[RandomPath]) -> int:
    """Count the networks whose path is short, but not monotone."""
    return sum(n.length < math.pi / 2.0 and not n.is_monotone for n in networks)


def _with_half_the_length(networks: list[RandomPath]) -> list[RandomPath]:
    return [replace(n, length=n.length / 2.0) for n in networks]


def _length(path: Interpolation) -> float:
    return gauss_length(finite_tangents(path.outputs, path.alphas))


def _negative_controls(wrong: Interpolation, networks: list[RandomPath], ignore_last: bool) -> list[TheoryCheck]:
    late = np.concatenate([np.linspace(1.0, 0.1, 49), [0.3]])
    rise = largest_rise(late[:-1] if ignore_last else late)
    return [
        TheoryCheck(finding=monotone(wrong), expected=Verdict.VIOLATED),
        below(
            "rise in the last interval (control)",
            rise,
            0.0,
            "Δ of a loss that rises at the end only",
            expected=Verdict.VIOLATED,
        ),
        exactly(
            "same function permuted",
            float(wrong.losses[0]),
            float(wrong.losses[-1]),
            1e-9,
            "a permutation keeps the loss",
        ),
        # Every network again, none chosen by its outcome: were lengths half of what they are, the rule would be wrong.
        below(
            "violations below π/2, lengths halved (control)",
            _n_violations(_with_half_the_length(networks)),
            0.0,
            "the rule with half of each Gauss length: the same networks must refute it",
            expected=Verdict.VIOLATED,
        ),
    ]


def _picture(path: Interpolation, wrong: Interpolation, networks: list[RandomPath], file: Path) -> None:
    lengths = np.sort([n.length for n in networks])
    ordered = sorted(networks, key=lambda n: n.length)
    window = max(1, len(ordered) // 30)
    flags = np.convolve([float(n.is_monotone) for n in ordered], np.ones(window) / window, mode="same")
    inner = slice(window, -window)
    panels = [
        Panel(
            title="Loss on the segment",
            x_label="α",
            y_label="loss",
            curves=[
                Curve(x=path.alphas, y=path.losses, label="initial to trained"),
                Curve(x=wrong.alphas, y=wrong.losses, label="trained to trained, hidden units reversed"),
            ],
            y_log=True,
        ),
        Panel(
            title="Random tanh networks",
            x_label="Gauss length, radians",
            y_label="share monotone (moving mean)",
            curves=[
                Curve(x=lengths[inner], y=flags[inner], label="measured"),
                Curve(x=[math.pi / 2] * 2, y=[0.0, 1.0], label="π/2", dashed=True),
            ],
        ),
    ]
    draw(panels, file)
