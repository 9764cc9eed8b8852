"""Dropout as an effective regulariser: the expected loss under dropout minus the loss without it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from gnn_branching.diagnostics.measures.finding import Finding, at_least
from gnn_branching.diagnostics.measures.noise import NORMAL_95
from gnn_branching.diagnostics.measures.probe import Probe
from gnn_branching.diagnostics.measures.products import outputs_of


@dataclass(frozen=True, slots=True, kw_only=True)
class DropoutGap:
    """Monte-Carlo estimate of ``E[L_dropout] − L``, with a 95 % interval.

    Args:
        value: Mean over masks.
        low: Lower end.
        high: Upper end.
        n_draws: Masks drawn.
    """

    value: float
    low: float
    high: float
    n_draws: int

    def finding(self) -> Finding:
        """Check that dropout costs something: a convex loss of outputs linear in the mask cannot gain from it."""
        return at_least(
            "dropout_regulariser",
            self.high,
            0.0,
            "upper end of E[L_dropout] − L, not negative by Jensen's inequality where outputs are linear in the mask",
        )


def dropout_gap(
    probe: Probe,
    parameters: Tensor,
    modules: Sequence[str],
    drop_probability: float,
    *,
    n_draws: int = 64,
    seed: int = 0,
) -> DropoutGap:
    """Estimate the effective regulariser of dropout on the inputs of the named modules.

    Args:
        probe: The network on its batch.
        parameters: Where to measure.
        modules: Names of submodules whose first input is dropped, as in ``named_modules``.
        drop_probability: DROP probability with inverted scaling, PyTorch's convention; keep is one minus it.
        n_draws: Masks.
        seed: Of the masks; the global generator is left as it was.

    Raises:
        ValueError: If a module does not exist or the probability is not in [0, 1).
    """
    if not 0.0 <= drop_probability < 1.0:
        raise ValueError(f"drop probability {drop_probability}: must be in [0, 1)")
    base = float(probe.loss(outputs_of(probe, parameters)))
    with _dropping(probe.network, modules, drop_probability, seed):
        draws = np.array([float(probe.loss(outputs_of(probe, parameters))) for _ in range(n_draws)]) - base
    error = NORMAL_95 * float(draws.std(ddof=1)) / math.sqrt(n_draws)
    mean = float(draws.mean())
    return DropoutGap(value=mean, low=mean - error, high=mean + error, n_draws=n_draws)


@contextmanager
def _dropping(network: nn.Module, modules: Sequence[str], drop_probability: float, seed: int) -> Iterator[None]:
    generator = torch.Generator().manual_seed(seed)
    known = dict(network.named_modules())
    missing = [name for name in modules if name not in known]
    if missing:
        raise ValueError(f"no module {missing[0]!r}: choose among {', '.join(n for n in known if n)}")

    def drop(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        kept = torch.rand(inputs[0].shape, generator=generator, dtype=torch.float64) >= drop_probability
        return (inputs[0] * kept / (1.0 - drop_probability), *inputs[1:])

    handles = [known[name].register_forward_pre_hook(drop) for name in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
