"""Checkpoints of a running training: one safetensors file each, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from gnn_branching.config import without_retired
from gnn_branching.contracts import InputError
from gnn_branching.durable import PARTIAL_SUFFIX, write_durably
from gnn_branching.training.progress import Progress

FORMAT = "gnn-branching-training-1"
_NETWORK, _OPTIMIZER = "network.", "optimizer."


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointFolder:
    """The checkpoints of one training: ``step-….safetensors``, and ``best.safetensors`` with the best weights alone.

    Args:
        path: The folder.
        keep_last: How many ``step-…`` files to keep.
    """

    path: Path
    keep_last: int

    @property
    def best(self) -> Path:
        """File of the weights with the lowest validation loss."""
        return self.path / "best.safetensors"

    def steps(self) -> list[Path]:
        """Return the checkpoints there are, oldest first."""
        return sorted(self.path.glob("step-*.safetensors"))

    def save_step(
        self, network: nn.Module, optimizer: Optimizer, progress: Progress, fingerprint: Mapping[str, object]
    ) -> None:
        """Write the state between two steps, then drop the oldest beyond ``keep_last``."""
        tensors = {_NETWORK + name: tensor for name, tensor in network.state_dict().items()}
        tensors |= {_OPTIMIZER + name: tensor for name, tensor in _flatten(optimizer).items()}
        metadata = {"progress": progress.to_json(), "fingerprint": json.dumps(fingerprint)}
        _write(self.path / f"step-{progress.step:09d}.safetensors", tensors, metadata)
        for old in self.steps()[: -self.keep_last]:
            old.unlink()

    def save_best(self, network: nn.Module, *, epoch: int, valid_loss: float) -> None:
        """Write the network's weights as the best so far."""
        _write(self.best, network.state_dict(), {"epoch": str(epoch), "valid_loss": repr(valid_loss)})

    def load_last(self, network: nn.Module, optimizer: Optimizer, fingerprint: Mapping[str, object]) -> Progress | None:
        """Restore network and optimizer from the newest checkpoint.

        Returns:
            Where the training stood; None if there is no checkpoint, and nothing was changed.

        Raises:
            InputError: If it belongs to a training with other settings, or is damaged.
        """
        for rubbish in self.path.glob(f".*{PARTIAL_SUFFIX}"):
            rubbish.unlink()
        steps = self.steps()
        if not steps:
            return None
        tensors, metadata = _read(steps[-1])
        known = without_retired({"training": json.loads(metadata["fingerprint"])})["training"]
        known.setdefault("view", fingerprint.get("view"))  # earlier versions did not say
        _require_equal(known, fingerprint, self.path)
        network.load_state_dict(_with_prefix(tensors, _NETWORK))
        _unflatten(optimizer, _with_prefix(tensors, _OPTIMIZER))
        return Progress.from_json(metadata["progress"])

    def load_best(self, network: nn.Module) -> None:
        """Give the network its best weights."""
        network.load_state_dict(_read(self.best)[0])


def _write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_durably(path, save(contiguous, {"format": FORMAT, **metadata}))


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as stored:
            metadata = stored.metadata() or {}
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - not a mapping
    except (OSError, SafetensorError) as error:
        raise InputError(f"checkpoint {path} cannot be read ({error}); delete it to use the one before") from None
    if metadata.get("format") != FORMAT:
        raise InputError(f"{path} has format {metadata.get('format')!r}, not {FORMAT!r}; choose another run folder")
    return tensors, metadata


def _with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _flatten(optimizer: Optimizer) -> dict[str, Tensor]:
    """Return the optimizer's state as tensors called ``<parameter number>.<quantity>``."""
    state = optimizer.state_dict()["state"]
    return {
        f"{number}.{name}": torch.as_tensor(value)
        for number, quantities in state.items()
        for name, value in quantities.items()
    }


def _unflatten(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _require_equal(stored: Mapping[str, object], wanted: Mapping[str, object], folder: Path) -> None:
    for name in sorted(stored.keys() | wanted.keys()):
        if stored.get(name) != wanted.get(name):
            raise InputError(
                f"{folder} holds a training with {name} = {stored.get(name)!r}, not {wanted.get(name)!r}; "
                "use the same settings to go on, or another run folder to start anew"
            )
