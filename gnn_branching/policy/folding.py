"""A trained network's weights in the form the runtime computes with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnn_branching.config import DEGREE_POWER, SEARCH_WIDTH, ModelConfig
from gnn_branching.contracts import FloatArray, InputError
from gnn_branching.feature_schema import SEARCHED, get_schema
from gnn_branching.policy.layers import TILE_COLUMNS

Weights = Mapping[str, NDArray[np.floating]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldedNetwork:
    """All that inference needs.

    Args:
        weights: float32, (·, width), the hidden size padded with zeros to whole tiles. One below the other:

            ========================  ==========================================================================
            rows' embedding           two layers
            variables' embedding      two layers
            of each round             the half-convolution to rows, then that to variables
            search's embedding        two layers, then the head's weights of it; only where the search is seen
            head                      a layer, then one row: the weights of the score
            ========================  ==========================================================================

            A layer is its (n_inputs, width) weights, then its bias, (1, width). A half-convolution is the layers
            ``target``, ``source``, ``own``, ``through`` and ``update``, then one row: the factors of the edge values.
            All that is linear after the sum of messages is folded into ``own`` and ``through``, whose bias is what
            each message adds, whatever it says.
        row_norm: float64, (2, n_features): shift and scale of ``(values + shift) * scale``.
        edge_norm: Likewise.
        variable_norm: Likewise.
        search_norm: Likewise; of no feature where the search is not seen.
        n_rounds: Rounds of half-convolutions.
        degree_power: Sums of messages are over this power of their number.
    """

    weights: NDArray[np.float32]
    row_norm: FloatArray
    edge_norm: FloatArray
    variable_norm: FloatArray
    search_norm: FloatArray
    n_rounds: int
    degree_power: float


def fold(config: ModelConfig, weights: Weights) -> FoldedNetwork:
    """Fold a network's ``state_dict``; every product is taken in float64 and rounded once.

    Raises:
        InputError: If a tensor is missing or has another shape than the configuration says.
    """
    reader = _Reader(weights, config.hidden_size)
    searched = get_schema(config.schema).names(*SEARCHED)
    columns = [searched.index(name) for name in config.search_features if config.search == "head"]
    parts: list[FloatArray] = []
    parts += [*reader.embedding("row_embedding"), *reader.embedding("variable_embedding")]
    for i in range(config.n_rounds):
        parts += [reader.half(f"to_rows.{i}"), reader.half(f"to_variables.{i}")]
    if config.search == "head":
        parts += reader.search(columns, len(searched))
    parts += [reader.head(with_search=config.search == "head"), reader.take("head.3.weight", (1, config.hidden_size))]
    return FoldedNetwork(
        weights=reader.padded(np.vstack(parts)),
        row_norm=reader.norm("row_embedding.0"),
        edge_norm=reader.norm("edge_norm"),
        variable_norm=reader.norm("variable_embedding.0"),
        search_norm=reader.search_norm(columns, len(searched)) if config.search == "head" else np.empty((2, 0)),
        n_rounds=config.n_rounds,
        degree_power=DEGREE_POWER[config.aggregation],
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

    def norm(self, name: str) -> FloatArray:
        n_units = self.units(f"{name}.shift")
        return np.stack([self.take(f"{name}.{part}", (n_units,)) for part in ("shift", "scale")])

    def linear(self, name: str, n_inputs: int) -> FloatArray:
        """Return a weight as (n_inputs, hidden)."""
        return self.take(f"{name}.weight", (self.hidden, n_inputs)).T

    def bias(self, name: str) -> FloatArray:
        return self.take(f"{name}.bias", (self.hidden,))

    def embedding(self, name: str) -> list[FloatArray]:
        """Return the two layers of an embedding."""
        first = self.linear(f"{name}.1", self.units(f"{name}.0.shift"))
        return [np.vstack([first, self.bias(f"{name}.1")]), self.layer(f"{name}.3")]

    def search(self, columns: Sequence[int], n_features: int) -> list[FloatArray]:
        """Return the embedding of all the search's features as two layers, and the head's weights of it.

        What is not seen has no weight, and the second layer is the identity.
        """
        seen = self.take("search_embedding.1.weight", (SEARCH_WIDTH, len(columns))).T
        first = np.zeros((n_features + 1, self.hidden))
        first[columns, :SEARCH_WIDTH] = seen
        first[-1, :SEARCH_WIDTH] = self.take("search_embedding.1.bias", (SEARCH_WIDTH,))
        head = np.zeros((self.hidden, self.hidden))
        head[:SEARCH_WIDTH] = self.linear("head.0", self.hidden + SEARCH_WIDTH)[self.hidden :]
        nothing = np.zeros(self.hidden)
        return [first, self.stack(np.eye(self.hidden), nothing), self.stack(head, nothing)]

    def search_norm(self, columns: Sequence[int], n_features: int) -> FloatArray:
        """Return shift and scale of all the search's features; what is not seen becomes 0."""
        norm = np.zeros((2, n_features))
        norm[:, columns] = self.norm("search_embedding.0")
        return norm

    def head(self, *, with_search: bool) -> FloatArray:
        """Return the head's layer on the candidates' embeddings."""
        n_inputs = self.hidden + (SEARCH_WIDTH if with_search else 0)
        return self.stack(self.linear("head.0", n_inputs)[: self.hidden], self.bias("head.0"))

    def layer(self, name: str) -> FloatArray:
        return self.stack(self.linear(name, self.hidden), self.bias(name))

    def stack(self, weight: FloatArray, bias: FloatArray) -> FloatArray:
        """Return the weights, with the inputs that padding adds to a layer of hidden inputs, and the bias."""
        return np.vstack([np.pad(weight, ((0, self.width - self.hidden), (0, 0))), bias])

    def padded(self, weights: FloatArray) -> NDArray[np.float32]:
        return np.pad(weights, ((0, 0), (0, self.width - self.hidden))).astype(np.float32)

    def half(self, name: str) -> FloatArray:
        hidden = self.hidden
        first = self.linear(f"{name}.update_linears.0", 2 * hidden)
        from_sum, from_own = first[:hidden], first[hidden:]
        message_scale = self.take(f"{name}.message_norm.scale", (1,))
        aggregate_scale = self.take(f"{name}.aggregate_norm.scale", (1,))
        through = message_scale * aggregate_scale * self.linear(f"{name}.message_linear", hidden) @ from_sum
        per_message = aggregate_scale * self.bias(f"{name}.message_linear") @ from_sum
        layers = (
            self.layer(f"{name}.target_linear"),
            self.stack(self.linear(f"{name}.source_linear", hidden), np.zeros(hidden)),
            self.stack(from_own, self.bias(f"{name}.update_linears.0")),
            self.stack(through, per_message),
            self.layer(f"{name}.update_linears.2"),
        )
        return np.vstack([*layers, self.linear(f"{name}.edge_linear", 1)])
