"""The bipartite graph convolutional network that scores branching candidates (Gasse et al. 2019, section 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, Protocol, TypeVar

import torch
from torch import Tensor, nn

from gnn_branching.config import SEARCH_WIDTH, ModelConfig
from gnn_branching.feature_schema import SEARCHED, Side, get_schema
from gnn_branching.model.convolution import HalfConvolution
from gnn_branching.model.incidence import Incidence, by_variable, edge_index
from gnn_branching.model.prenorm import PreNorm, PrenormObserved
from gnn_branching.seeding import derive_seed

Implementation = Literal["fused", "reference"]
Network = TypeVar("Network", bound=nn.Module)


class GraphBatch(Protocol):
    """One graph, or several put side by side with their indices shifted.

    Attributes:
        row_features: (n_rows, n_row_features).
        indptr: int64, (n_rows + 1,): the edges of row ``i`` are ``indptr[i]`` to ``indptr[i + 1]``.
        indices: int32, (n_edges,): the variable of each edge.
        edge_values: (n_edges,).
        variable_features: (n_variables, n_variable_features).
        candidates: int64, (n_candidates,): distinct variables.
        search_features: (n_candidates, n_search_features); None for a network that does not see them.
    """

    row_features: Tensor
    indptr: Tensor
    indices: Tensor
    edge_values: Tensor
    variable_features: Tensor
    candidates: Tensor
    search_features: Tensor | None


def inputs_of(batch: GraphBatch) -> tuple[Tensor, ...]:
    """Return a batch as the arguments of a network's ``forward``: the search's features last, if there are any."""
    edges = batch.indptr, batch.indices, batch.edge_values
    searched = getattr(batch, "search_features", None)  # PyTorch Geometric forgets what is None
    inputs = batch.row_features, *edges, batch.variable_features, batch.candidates
    return inputs if searched is None else (*inputs, searched)


class BipartiteGCNN(nn.Module):
    """Rounds of variable-to-row, then row-to-variable half-convolutions, and a score per candidate.

    Args:
        config: Width, rounds, aggregation, dropout.
        implementation: ``fused`` computes exactly what is needed for the candidates' scores, fast, with first
            derivatives; ``reference`` is the published network in PyTorch Geometric, differentiable without limits.
            Both have the same weights and the same ``state_dict``.
    """

    def __init__(self, config: ModelConfig, implementation: Implementation = "fused") -> None:
        super().__init__()
        self.config = config
        self.implementation: Implementation = implementation
        width, schema = config.hidden_size, get_schema(config.schema)
        half = _half_convolution(implementation)
        self.row_embedding = _embedding(schema.width(Side.ROW), width)
        self.edge_norm = PreNorm(1)
        self.variable_embedding = _embedding(schema.width(Side.VARIABLE), width)
        self.to_rows = nn.ModuleList(half(width, config.aggregation) for _ in range(config.n_rounds))
        self.to_variables = nn.ModuleList(half(width, config.aggregation) for _ in range(config.n_rounds))
        seen = config.search_features if config.search != "none" else ()
        self.search_columns = [schema.names(*SEARCHED).index(name) for name in seen]
        self.search_embedding: nn.Sequential | None = None
        n_head = width
        if config.search == "head":
            n_columns = len(self.search_columns)
            self.search_embedding = nn.Sequential(PreNorm(n_columns), nn.Linear(n_columns, SEARCH_WIDTH), nn.ReLU())
            self.embedding_dropout = nn.Dropout(config.dropout)
            n_head += SEARCH_WIDTH
        self.head = nn.Sequential(
            nn.Linear(n_head, width), nn.ReLU(), nn.Dropout(config.dropout), nn.Linear(width, 1, bias=False)
        )
        self.apply(_initialise)

    @property
    def n_rounds(self) -> int:
        """Rounds of message passing: nothing further from a candidate reaches its score."""
        return self.config.n_rounds

    def forward(
        self,
        row_features: Tensor,
        indptr: Tensor,
        indices: Tensor,
        edge_values: Tensor,
        variable_features: Tensor,
        candidates: Tensor,
        search_features: Tensor | None = None,
    ) -> Tensor:
        """Return one logit per candidate, (n_candidates,); see :class:`GraphBatch` for the arguments."""
        rows: Tensor = self.row_embedding(row_features)
        values: Tensor = self.edge_norm(edge_values[:, None])[:, 0]
        variables: Tensor = self.variable_embedding(variable_features)
        convolve = self._fused if self.implementation == "fused" else self._reference
        embeddings = convolve(rows, Incidence(offsets=indptr, sources=indices), values, variables, candidates)
        if self.search_embedding is not None:
            if search_features is None:
                raise ValueError("this network sees the search's features, and there are none")
            searched = self.search_embedding(search_features[:, self.search_columns])
            embeddings = torch.cat([self.embedding_dropout(embeddings), searched], dim=1)
        logits: Tensor = self.head(embeddings)
        return logits[:, 0]

    def score(self, batch: GraphBatch) -> Tensor:
        """Return one logit per candidate of a batch."""
        logits: Tensor = self(*inputs_of(batch))
        return logits

    @torch.no_grad()
    def fit_prenorm(self, batches: Iterable[GraphBatch]) -> None:
        """Fit every prenorm layer once, in network order, each with the ones before it already active; then freeze.

        Args:
            batches: Gone through once per layer, so an iterator that is used up will not do.

        Raises:
            ValueError: If ``batches`` can be gone through only once, or holds no edge.
        """
        if isinstance(batches, Iterator):
            raise ValueError("fit_prenorm goes through the batches several times: give a list or a data loader")
        for layer in self._prenorms():
            layer.start()
            for batch in batches:
                try:
                    self.score(batch)
                except PrenormObserved:
                    continue
            layer.finish()

    def _prenorms(self) -> Iterator[PreNorm]:
        """Yield the prenorm layers in the order the data meet them."""
        yield from _prenorms_in(self.row_embedding)
        yield self.edge_norm
        yield from _prenorms_in(self.variable_embedding)
        for to_rows, to_variables in zip(self.to_rows, self.to_variables, strict=True):
            yield from _prenorms_in(to_rows)
            yield from _prenorms_in(to_variables)
        if self.search_embedding is not None:
            yield from _prenorms_in(self.search_embedding)

    def _fused(self, rows: Tensor, by_row: Incidence, values: Tensor, variables: Tensor, candidates: Tensor) -> Tensor:
        """Convolve; the last half-convolution computes the candidates alone, except for prenorm statistics."""
        last = len(self.to_rows) - 1
        fitting = any(layer.observing for layer in _prenorms_in(self.to_variables))
        for i, (to_rows, to_variables) in enumerate(zip(self.to_rows, self.to_variables, strict=True)):
            rows = to_rows(rows, variables, by_row, values)
            keep = candidates if i == last and not fitting else None
            transposed = by_variable(by_row.offsets, by_row.sources, variables.shape[0], keep=keep)
            kept = variables if keep is None else variables[keep]
            variables = to_variables(kept, rows, transposed, values)
        return variables

    def _reference(
        self, rows: Tensor, by_row: Incidence, values: Tensor, variables: Tensor, candidates: Tensor
    ) -> Tensor:
        """Convolve as published: every variable, every layer."""
        edges = edge_index(by_row.offsets, by_row.sources)
        for to_rows, to_variables in zip(self.to_rows, self.to_variables, strict=True):
            rows = to_rows(rows, variables, edges.flip(0), values)
            variables = to_variables(variables, rows, edges, values)
        return variables[candidates]


def _half_convolution(implementation: Implementation) -> type[nn.Module]:
    if implementation == "fused":
        return HalfConvolution
    from gnn_branching.model.reference import ReferenceHalfConvolution  # PyTorch Geometric takes a second to import

    return ReferenceHalfConvolution


def _embedding(n_features: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        PreNorm(n_features), nn.Linear(n_features, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
    )


def _prenorms_in(module: nn.Module) -> Iterator[PreNorm]:
    return (part for part in module.modules() if isinstance(part, PreNorm))


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.orthogonal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def initial_network(config: ModelConfig, seed: int) -> BipartiteGCNN:
    """Return the graph network before training; see :func:`initially`."""
    return initially(BipartiteGCNN, config, seed)


def initially(build: Callable[[ModelConfig], Network], config: ModelConfig, seed: int) -> Network:
    """Build a network whose weights depend on the configuration and the experiment's seed alone."""
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(seed, "initial weights"))
        return build(config)
