from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, jvp

from gnn_branching.config import ModelConfig
from gnn_branching.feature_schema import ROW_FEATURES, VARIABLE_FEATURES
from gnn_branching.model.network import BipartiteGCNN, Implementation
from tests.model.conftest import Graph, join, make_graph

CONFIGS = [
    ModelConfig(hidden_size=12),
    ModelConfig(hidden_size=12, aggregation="mean"),
    ModelConfig(hidden_size=12, aggregation="sqrt"),
    ModelConfig(hidden_size=5, n_rounds=2),
    ModelConfig(hidden_size=5, n_rounds=3, aggregation="mean", dropout=0.5),
]
configs = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.aggregation}-{config.n_rounds}")
implementations = pytest.mark.parametrize("implementation", ["fused", "reference"])


def make_network(
    config: ModelConfig, implementation: Implementation = "fused", batches: Sequence[Graph] | None = None
) -> BipartiteGCNN:
    torch.manual_seed(3)
    network = BipartiteGCNN(config, implementation).double()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):  # they start at zero, which would hide mistakes
                parameter.normal_(std=0.3)
    network.fit_prenorm(batches if batches is not None else [make_graph(seed=5), make_graph(seed=6)])
    return network.eval()


def pair(config: ModelConfig) -> tuple[BipartiteGCNN, BipartiteGCNN]:
    fused, reference = make_network(config), BipartiteGCNN(config, "reference").double().eval()
    reference.load_state_dict(fused.state_dict())
    return fused, reference


@configs
def test_fused_equals_reference(config: ModelConfig, case: dict[str, int]) -> None:
    graph = make_graph(**case)
    fused, reference = pair(config)
    ours, theirs = fused.score(graph), reference.score(graph)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    ours.square().sum().backward()
    theirs.square().sum().backward()
    for (name, left), right in zip(fused.named_parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(
            left.grad, right.grad, rtol=1e-7, atol=1e-9, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_float32_agrees_within_rounding() -> None:
    fused, reference = pair(ModelConfig())
    graph = make_graph(200, 300, 8000, 50)
    exact = reference.score(graph).detach()
    single = graph.with_(
        **{name: getattr(graph, name).float() for name in ("row_features", "edge_values", "variable_features")}
    )
    result = fused.float().score(single)
    torch.testing.assert_close(result.double(), exact, rtol=0, atol=1e-5 * float(exact.abs().max()))


@configs
def test_both_implementations_fit_the_same_prenorm(config: ModelConfig) -> None:
    for (name, ours), theirs in zip(
        make_network(config).named_buffers(), make_network(config, "reference").buffers(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12, msg=lambda text, name=name: f"{name}: {text}")
        assert not name.endswith("scale") or (ours > 0).all()


def test_prenorm_layers_are_fitted_behind_active_ones() -> None:
    batches = [make_graph(seed=1), make_graph(seed=2)]
    network = make_network(ModelConfig(), "reference", batches)
    seen: list[Tensor] = []
    layer = network.to_variables[0].message_norm
    layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for batch in batches:
        network.score(batch)
    deviation = torch.cat([values.flatten() for values in seen]).std(correction=0)
    torch.testing.assert_close(deviation * layer.scale, torch.ones(1, dtype=torch.float64), rtol=1e-9, atol=0)


def test_fit_prenorm_refuses_an_iterator() -> None:
    with pytest.raises(ValueError, match="several times"):
        BipartiteGCNN(ModelConfig()).fit_prenorm(iter([make_graph()]))


@configs
@implementations
def test_every_input_column_changes_the_output(config: ModelConfig, implementation: Implementation) -> None:
    graph = make_graph()
    network = make_network(config, implementation)
    graph.row_features.requires_grad_()
    graph.edge_values.requires_grad_()
    graph.variable_features.requires_grad_()
    network.score(graph).sum().backward()
    for column, name in enumerate(ROW_FEATURES):
        assert graph.row_features.grad[:, column].abs().max() > 1e-6, name
    for column, name in enumerate(VARIABLE_FEATURES):
        assert graph.variable_features.grad[:, column].abs().max() > 1e-6, name
    assert graph.edge_values.grad.abs().max() > 1e-6


@configs
@implementations
def test_scale_of_the_coefficients_matters(config: ModelConfig, implementation: Implementation) -> None:
    network, graph = make_network(config, implementation), make_graph()
    scaled = graph.with_(edge_values=graph.edge_values * 3)
    assert (network.score(graph) - network.score(scaled)).abs().max() > 1e-3


@configs
@implementations
def test_one_by_one_equals_batched(config: ModelConfig, implementation: Implementation) -> None:
    graphs = [make_graph(seed=seed, n_rows=5 + seed, n_edges=30 * seed, n_candidates=1 + seed) for seed in range(5)]
    network = make_network(config, implementation)
    alone = torch.cat([network.score(graph) for graph in graphs])
    torch.testing.assert_close(network.score(join(graphs)), alone, rtol=1e-10, atol=1e-12)


@implementations
def test_permuting_vertices_permutes_the_scores(implementation: Implementation) -> None:
    graph, network = make_graph(), make_network(ModelConfig(n_rounds=2), implementation)
    random = torch.Generator().manual_seed(8)
    rows, variables, edges, chosen = (torch.randperm(n, generator=random) for n in (17, 23, 90, 7))
    new_rows, order = rows.argsort()[graph.edge_index[0]][edges].sort(stable=True)
    permuted = Graph(
        row_features=graph.row_features[rows],
        variable_features=graph.variable_features[variables],
        indptr=torch.searchsorted(new_rows, torch.arange(18)),
        indices=variables.argsort()[graph.indices][edges][order].int(),
        edge_values=graph.edge_values[edges][order],
        candidates=variables.argsort()[graph.candidates][chosen],
    )
    torch.testing.assert_close(network.score(permuted), network.score(graph)[chosen], rtol=1e-9, atol=1e-10)


def test_dropout_acts_in_training_only() -> None:
    network, graph = make_network(ModelConfig(dropout=0.5)), make_graph()
    assert torch.equal(network.score(graph), network.score(graph))
    network.train()
    assert not torch.equal(network.score(graph), network.score(graph))


def test_reference_differentiates_forward_and_twice() -> None:
    network, graph = make_network(ModelConfig(hidden_size=6), "reference"), make_graph(n_edges=30)
    parameters = {name: value.detach() for name, value in network.named_parameters()}
    direction = {name: torch.randn_like(value) for name, value in parameters.items()}

    def loss(values: dict[str, Tensor]) -> Tensor:
        return functional_call(network, values, graph.tensors()).logsumexp(0)

    step = 1e-6
    ahead, behind = ({k: v + s * direction[k] for k, v in parameters.items()} for s in (step, -step))
    slope = jvp(loss, (parameters,), (direction,))[1]
    torch.testing.assert_close(slope, (loss(ahead) - loss(behind)) / (2 * step), rtol=1e-6, atol=1e-8)
    curvature = jvp(lambda values: jvp(loss, (values,), (direction,))[1], (parameters,), (direction,))[1]
    leaves = {name: value.clone().requires_grad_() for name, value in parameters.items()}
    first = torch.autograd.grad(loss(leaves), list(leaves.values()), create_graph=True)
    along = sum((g * direction[name]).sum() for g, name in zip(first, leaves, strict=True))
    second = torch.autograd.grad(along, list(leaves.values()))
    product = sum((h * direction[name]).sum() for h, name in zip(second, leaves, strict=True))
    torch.testing.assert_close(product, curvature, rtol=1e-8, atol=1e-10)


def test_weights_start_orthogonal() -> None:
    network = BipartiteGCNN(ModelConfig(hidden_size=16))
    weight = network.to_rows[0].message_linear.weight
    torch.testing.assert_close(weight @ weight.T, torch.eye(16), rtol=0, atol=1e-5)
    assert all((bias == 0).all() for name, bias in network.named_parameters() if name.endswith("bias"))
