"""What happens layer by layer: how far weights moved, gradients, kernel trace, units that never fire."""

from __future__ import annotations

from collections.abc import Mapping

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
            places.setdefault(_layer_of(name), []).append(slice(start, start + parameter.numel()))
            start += parameter.numel()
    return places


def _layer_of(name: str) -> str:
    """Return the layer of a parameter."""
    child, _, rest = name.partition(".")
    element = rest.partition(".")[0]
    return f"{child}.{element}" if element.isdigit() else child


def layer_sums(network: nn.Module, vector: Tensor) -> dict[str, float]:
    """Return the sum of each layer's part of a flat vector, (n_parameters,)."""
    return {
        layer: sum(float(vector[place].sum()) for place in places) for layer, places in layer_slices(network).items()
    }


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


def silent_units(probe: Probe, parameters: Tensor) -> dict[str, Tensor]:
    """Return which ReLU units are 0 on every vertex of every sample of the probe, by layer, each bool, (n_units,).

    Units are the last dimension of what an ``nn.ReLU`` returns; they belong to the last layer with parameters before
    it, in the order of the modules. Layers without such a module are left out.
    """
    fired: dict[str, Tensor] = {}
    owners: dict[str, str] = {}
    handles: list[torch.utils.hooks.RemovableHandle] = []

    def note(name: str, outputs: Tensor) -> None:
        active = (outputs.reshape(-1, outputs.shape[-1]) > 0).any(dim=0)
        fired[name] = fired[name] | active if name in fired else active

    layer = ""
    for name, module in probe.network.named_modules():
        if any(True for _ in module.parameters(recurse=False)):
            layer = _layer_of(f"{name}.weight")
        if isinstance(module, nn.ReLU):
            owners[name] = layer
            handles.append(module.register_forward_hook(lambda _, __, out, name=name: note(name, out)))
    try:
        outputs_of(probe, parameters)
    finally:
        for handle in handles:
            handle.remove()
    by_layer: dict[str, list[Tensor]] = {}
    for name, active in fired.items():
        by_layer.setdefault(owners[name], []).append(~active)
    return {layer: torch.cat(parts) for layer, parts in by_layer.items()}


def dead_unit_share(units: Mapping[str, Tensor]) -> float:
    """Return the share of units that :func:`silent_units` found, over all layers; NaN without any."""
    return float(torch.cat(list(units.values())).double().mean()) if units else float("nan")
