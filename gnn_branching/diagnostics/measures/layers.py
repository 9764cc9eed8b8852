"""What happens layer by layer: how far weights moved, gradients, units that never fire."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from gnn_branching.diagnostics.measures.probe import Probe
from gnn_branching.diagnostics.measures.products import outputs_of


def layer_slices(network: nn.Module) -> dict[str, list[slice]]:
    """Return where each layer's parameters lie in the flat vector.

    A layer is a child of the network, or an element of a child that is a list: ``head.0``, ``to_rows.0``.
    """
    places: dict[str, list[slice]] = {}
    start = 0
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            child, _, rest = name.partition(".")
            element = rest.partition(".")[0]
            layer = f"{child}.{element}" if element.isdigit() else child
            places.setdefault(layer, []).append(slice(start, start + parameter.numel()))
            start += parameter.numel()
    return places


def layer_norms(network: nn.Module, vector: Tensor) -> dict[str, float]:
    """Return the Euclidean norm of each layer's part of a flat vector."""
    return {
        layer: float(torch.cat([vector[place] for place in places]).norm())
        for layer, places in layer_slices(network).items()
    }


def relative_moves(network: nn.Module, start: Tensor, now: Tensor) -> dict[str, float]:
    """Return ``‖w − w_0‖ / ‖w‖`` of each layer; 0 where the weights are 0 and stayed."""
    moved, size = layer_norms(network, now - start), layer_norms(network, now)
    return {layer: moved[layer] / size[layer] if size[layer] else float(moved[layer] > 0) for layer in moved}


def dead_unit_share(probe: Probe, parameters: Tensor) -> float:
    """Return the share of ReLU units that are 0 on every vertex of every sample of the probe; NaN without ReLU modules.

    Units are the last dimension of what a ``nn.ReLU`` returns.
    """
    fired: dict[str, Tensor] = {}

    def hooks() -> Iterator[torch.utils.hooks.RemovableHandle]:
        for name, module in probe.network.named_modules():
            if isinstance(module, nn.ReLU):
                yield module.register_forward_hook(lambda _, __, out, name=name: note(name, out))

    def note(name: str, outputs: Tensor) -> None:
        active = (outputs.reshape(-1, outputs.shape[-1]) > 0).any(dim=0)
        fired[name] = fired[name] | active if name in fired else active

    handles = list(hooks())
    try:
        outputs_of(probe, parameters)
    finally:
        for handle in handles:
            handle.remove()
    units = torch.cat(list(fired.values())) if fired else torch.zeros(0)
    return float((~units).double().mean()) if len(units) else float("nan")
