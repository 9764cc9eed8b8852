"""A trained network's weights in the form the runtime computes with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnn_branching.config import DEGREE_POWER, ModelConfig
from gnn_branching.contracts import FloatArray, InputError
from gnn_branching.policy.layers import TILE_COLUMNS

Weights = Mapping[str, NDArray[np.floating]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One dense layer.

    Args:
        weight: float32, (n_inputs, width), so that inputs multiply from the left; width padded with zeros.
        bias: float32, (1, width).
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Norm:
    """A prenorm layer: float64 (n_units,) each; ``(values + shift) * scale``."""

    shift: FloatArray
    scale: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Half:
    """One half-convolution with all that is linear after the sum folded into its first update layer.

    Args:
        target: On the receiving side, before the ReLU.
        source: On the sending side, before the ReLU.
        edge: float32, (width,): factor of the normalised edge value.
        own: The receiver's own part of the first update layer.
        through: float32, (width, width): from the sum of messages to the first update layer.
        per_message: float32, (width,): what each message adds there, whatever it says.
        update: The second update layer.
    """

    target: Layer
    source: Layer
    edge: NDArray[np.float32]
    own: Layer
    through: NDArray[np.float32]
    per_message: NDArray[np.float32]
    update: Layer


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldedNetwork:
    """All that inference needs; ``width`` is the padded hidden size, sums are over ``degree ** degree_power``."""

    width: int
    degree_power: float
    row_norm: Norm
    edge_norm: Norm
    variable_norm: Norm
    row_layers: tuple[Layer, Layer]
    variable_layers: tuple[Layer, Layer]
    to_rows: tuple[Half, ...]
    to_variables: tuple[Half, ...]
    head: Layer
    score: NDArray[np.float32]


def fold(config: ModelConfig, weights: Weights) -> FoldedNetwork:
    """Fold a network's ``state_dict``; every product is taken in float64 and rounded once.

    Raises:
        InputError: If a tensor is missing or has another shape than the configuration says.
    """
    reader = _Reader(weights, config.hidden_size)
    hidden = config.hidden_size
    score = np.zeros(reader.width, dtype=np.float32)
    score[:hidden] = reader.take("head.3.weight", (1, hidden))[0]
    rounds = range(config.n_rounds)
    n_row, n_variable = (reader.units(f"{side}_embedding.0.shift") for side in ("row", "variable"))
    return FoldedNetwork(
        width=reader.width,
        degree_power=DEGREE_POWER[config.aggregation],
        row_norm=reader.norm("row_embedding.0", n_row),
        edge_norm=reader.norm("edge_norm", 1),
        variable_norm=reader.norm("variable_embedding.0", n_variable),
        row_layers=(reader.first_layer("row_embedding.1", n_row), reader.layer("row_embedding.3")),
        variable_layers=(
            reader.first_layer("variable_embedding.1", n_variable),
            reader.layer("variable_embedding.3"),
        ),
        to_rows=tuple(reader.half(f"to_rows.{i}") for i in rounds),
        to_variables=tuple(reader.half(f"to_variables.{i}") for i in rounds),
        head=reader.layer("head.0"),
        score=score,
    )


class _Reader:
    def __init__(self, weights: Weights, hidden: int) -> None:
        self.weights, self.hidden = weights, hidden
        self.width = -(-hidden // TILE_COLUMNS) * TILE_COLUMNS

    def take(self, name: str, shape: tuple[int, ...]) -> FloatArray:
        if name not in self.weights:
            raise InputError(f"the policy's weights lack {name!r}; train it again with this version")
        array = np.asarray(self.weights[name], dtype=np.float64)
        if array.shape != shape:
            raise InputError(f"the policy's weight {name!r} has shape {array.shape}, its card says {shape}")
        return array

    def units(self, name: str) -> int:
        return int(self.weights[name].size) if name in self.weights else 0

    def norm(self, name: str, n_units: int) -> Norm:
        return Norm(shift=self.take(f"{name}.shift", (n_units,)), scale=self.take(f"{name}.scale", (n_units,)))

    def linear(self, name: str, n_inputs: int) -> FloatArray:
        """Return a weight as (n_inputs, hidden)."""
        return self.take(f"{name}.weight", (self.hidden, n_inputs)).T

    def bias(self, name: str) -> FloatArray:
        return self.take(f"{name}.bias", (self.hidden,))

    def first_layer(self, name: str, n_features: int) -> Layer:
        return self.pad(self.linear(name, n_features), self.bias(name))

    def layer(self, name: str) -> Layer:
        return self.pad(self.spread(self.linear(name, self.hidden)), self.bias(name))

    def spread(self, block: FloatArray) -> FloatArray:
        """Add the inputs that padding adds to a layer of hidden inputs."""
        return np.pad(block, ((0, self.width - block.shape[0]), (0, 0)))

    def pad(self, weight: FloatArray, bias: FloatArray) -> Layer:
        return Layer(weight=self.matrix(weight), bias=self.vector(bias)[None])

    def matrix(self, weight: FloatArray) -> NDArray[np.float32]:
        """Pad the outputs of a weight."""
        missing = self.width - self.hidden
        return np.ascontiguousarray(np.pad(weight, ((0, 0), (0, missing))), dtype=np.float32)

    def vector(self, values: FloatArray) -> NDArray[np.float32]:
        """Pad a vector of hidden units."""
        return np.pad(values, (0, self.width - self.hidden)).astype(np.float32)

    def half(self, name: str) -> Half:
        hidden = self.hidden
        first = self.linear(f"{name}.update_linears.0", 2 * hidden)
        from_sum, from_own = first[:hidden], first[hidden:]
        message_scale = self.take(f"{name}.message_norm.scale", (1,))
        aggregate_scale = self.take(f"{name}.aggregate_norm.scale", (1,))
        through = message_scale * aggregate_scale * self.linear(f"{name}.message_linear", hidden) @ from_sum
        per_message = aggregate_scale * self.bias(f"{name}.message_linear") @ from_sum
        return Half(
            target=self.layer(f"{name}.target_linear"),
            source=self.pad(self.spread(self.linear(f"{name}.source_linear", hidden)), np.zeros(hidden)),
            edge=self.vector(self.linear(f"{name}.edge_linear", 1)[0]),
            own=self.pad(self.spread(from_own), self.bias(f"{name}.update_linears.0")),
            through=self.matrix(self.spread(through)),
            per_message=self.vector(per_message),
            update=self.layer(f"{name}.update_linears.2"),
        )
