"""What a tracker looks at: probe samples of the training, and of the validation beside them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gnn_branching.diagnostics.measures.glance import Glance, WarmStart, glance
from gnn_branching.diagnostics.measures.layers import (
    dead_unit_share,
    layer_norms,
    layer_sums,
    relative_moves,
    silent_units,
)
from gnn_branching.diagnostics.measures.polyak import local_ratio
from gnn_branching.diagnostics.measures.probe import Probe
from gnn_branching.diagnostics.measures.products import gradient


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Watched:
    """The probe, the same as a single block, and validation samples if there are any."""

    own: Probe
    whole: Probe
    held_out: Probe | None

    def glance(
        self,
        weights: Tensor,
        *,
        start: WarmStart | None = None,
        inverse_diagonal: Tensor | None = None,
        n_products: int | None = None,
    ) -> Glance:
        """Measure a point."""
        return glance(
            self.own,
            weights,
            start=start,
            inverse_diagonal=inverse_diagonal,
            n_products=n_products,
            whole=self.whole,
        )

    def held_out_values(self, weights: Tensor, slope: Tensor) -> dict[str, float]:
        """Measure the validation samples, and whether their gradient points where that of the probe does."""
        probe = self.held_out
        if probe is None:
            return {}
        own = gradient(probe, weights)
        ratio = local_ratio(probe, weights, own)
        return {
            "valid_probe_loss": ratio.loss,
            "valid_probe_excess_loss": ratio.excess,
            "valid_mu": ratio.mu,
            "valid_gradient_cosine": float(torch.cosine_similarity(own, slope, dim=0)),
        }

    def layer_values(self, weights: Tensor, initial: Tensor, before: Tensor | None, seen: Glance) -> dict[str, float]:
        """Measure layer by layer, and the share of dead units in all.

        Args:
            weights: Where ``seen`` was measured, (n_parameters,).
            initial: Weights at the very start.
            before: Weights before the last step; what that changed is left out if None.
            seen: Gradient and kernel.
        """
        network, silent = self.own.network, silent_units(self.whole, weights)
        named = {
            "move": relative_moves(network, initial, weights),
            "update": {} if before is None else relative_moves(network, before, weights),
            "layer_gradient": layer_norms(network, seen.gradient),
            "layer_kernel_trace": layer_sums(network, seen.kernel_diagonal),
            "dead": {layer: float(units.double().mean()) for layer, units in silent.items()},
        }
        by_layer = {f"{name}/{layer}": x for name, values in named.items() for layer, x in values.items()}
        return {"dead_unit_share": dead_unit_share(silent), **by_layer}


def glance_values(seen: Glance) -> dict[str, float]:
    """Return a glance's numbers that are told whatever their residual, by the names that are tracked."""
    return {
        "probe_loss": seen.ratio.loss,
        "probe_excess_loss": seen.ratio.excess,
        "gradient_norm": seen.ratio.gradient_norm,
        "mu": seen.ratio.mu,
        "noise_scale": seen.noise.value,
        "noise_scale_low": seen.noise.low,
        "noise_scale_high": seen.noise.high,
        "hessian_residual": seen.hessian.residual,
        "kernel_lambda_max": seen.kernel_top.value,
        "kernel_lambda_max_residual": seen.kernel_top.residual,
        "kernel_lambda_min_positive": seen.spectrum.lambda_min_positive,
        "kernel_effective_rank": seen.spectrum.effective_rank,
        "kernel_alignment": seen.alignment,
    }
