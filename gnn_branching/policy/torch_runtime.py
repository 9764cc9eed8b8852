"""The network on a PyTorch device, for GPUs and for comparison."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from gnn_branching.contracts import BranchingState, FloatArray, InputError


class TorchNetwork:
    """A network that scores states with PyTorch.

    Args:
        network: Any network that maps a batch's tensors to logits; moved to the device, in evaluation mode.
        device: As PyTorch names it.

    Raises:
        InputError: If PyTorch does not have the device.
    """

    def __init__(self, network: nn.Module, device: str = "cpu") -> None:
        try:
            self._network, self._device = network.to(device).eval(), torch.device(device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"device {device!r} cannot be used ({reason}); allowed here: cpu") from None

    @torch.inference_mode()
    def logits(self, state: BranchingState) -> FloatArray:
        """Return one logit per candidate, float64, (n_candidates,)."""
        return np.asarray(self._network(*self.tensors(state)).double().cpu().numpy())

    def tensors(self, state: BranchingState) -> tuple[Tensor, ...]:
        """Return a state as the network's arguments, in its precision."""
        dtype = next(self._network.parameters()).dtype

        def floats(array: FloatArray) -> Tensor:
            return torch.tensor(array).to(self._device, dtype)

        edges = state.edges
        graph = (
            floats(state.row_features),
            torch.tensor(edges.indptr).to(self._device),
            torch.tensor(edges.indices).to(self._device),
            floats(edges.values),
            floats(state.variable_features),
            torch.tensor(state.candidates).to(self._device),
        )
        return graph if state.search_features is None else (*graph, floats(state.search_features))
