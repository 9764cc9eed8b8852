import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from gnn_branching.config import ModelConfig
from gnn_branching.contracts import BranchingState
from gnn_branching.edges import Edges
from gnn_branching.feature_schema import ROW_FEATURES, VARIABLE_FEATURES
from gnn_branching.model.network import BipartiteGCNN
from gnn_branching.policy import runtime
from gnn_branching.policy.runtime import CompiledNetwork
from gnn_branching.policy.torch_runtime import TorchNetwork
from tests.policy.conftest import make_network, make_state

CONFIGS = [
    ModelConfig(),
    ModelConfig(aggregation="mean", hidden_size=40, dropout=0.3),
    ModelConfig(n_rounds=2),
    ModelConfig(hidden_size=5, n_rounds=3, aggregation="mean"),
    ModelConfig(hidden_size=24, n_rounds=2, aggregation="sqrt"),
    ModelConfig(hidden_size=1),
    ModelConfig(hidden_size=19),
]
configs = pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.aggregation}-{c.n_rounds}-{c.hidden_size}")
SHAPES = {
    "random": {},
    "dense": {"n_edges": 2000},
    "few candidates": {"n_rows": 300, "n_variables": 500, "n_edges": 900, "n_candidates": 3},
    "one candidate": {"n_candidates": 1},
    "all candidates": {"n_candidates": 60},
    "no candidate": {"n_candidates": 0},
    "no edge": {"n_edges": 0},
    "one edge": {"n_edges": 1, "n_candidates": 60},
    "one vertex a side": {"n_rows": 1, "n_variables": 1, "n_edges": 1, "n_candidates": 1},
    "no row": {"n_rows": 0, "n_edges": 0},
}


def compiled(network: BipartiteGCNN) -> CompiledNetwork:
    return CompiledNetwork(network.config, {name: value.numpy() for name, value in network.state_dict().items()})


def reference(network: BipartiteGCNN) -> TorchNetwork:
    slow = BipartiteGCNN(network.config, "reference")
    slow.load_state_dict(network.state_dict())
    return TorchNetwork(slow.double())


@configs
def test_equals_the_reference(config: ModelConfig) -> None:
    network = make_network(config)
    fast, slow = compiled(network), reference(network)
    for _ in range(2):  # again, with buffers that other states have used
        for shape in SHAPES.values():
            state = make_state(**shape)
            logits = fast.logits(state)
            assert logits.dtype == np.float64
            assert logits.shape == (state.n_candidates,)
            np.testing.assert_allclose(logits, slow.logits(state), rtol=1e-5, atol=1e-5)


@configs
@pytest.mark.parametrize("n_distinct", [1, 7, 200])
def test_equal_rows_are_embedded_once(config: ModelConfig, n_distinct: int, monkeypatch: pytest.MonkeyPatch) -> None:
    network = make_network(config)
    state = make_state(n_rows=400, n_variables=90, n_edges=900, n_candidates=80)
    choice = np.random.default_rng(1).integers(n_distinct, size=state.n_rows)
    state = replace(state, row_features=state.row_features[:n_distinct][choice])
    n_groups = []
    group_equal = runtime.kernels.group_equal

    def counting(*arguments: object) -> int:
        n_groups.append(group_equal(*arguments))
        return n_groups[-1]

    monkeypatch.setattr(runtime.kernels, "group_equal", counting)
    np.testing.assert_allclose(compiled(network).logits(state), reference(network).logits(state), rtol=1e-5, atol=1e-5)
    assert n_groups == [n_distinct if n_distinct < 100 else 0]


def test_edges_need_no_order() -> None:
    network, state = make_network(ModelConfig()), make_state()
    order = np.random.default_rng(0).permutation(state.n_edges)
    mixed = replace(
        state,
        edges=Edges.from_pairs(
            state.edges.rows[order], state.edges.indices[order], state.edges.values[order], state.n_rows
        ),
    )
    np.testing.assert_allclose(compiled(network).logits(mixed), compiled(network).logits(state), rtol=1e-5, atol=1e-6)


def test_structure_is_reused_only_while_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    n_built = 0
    normalise = runtime.kernels.normalise

    def counting(*arguments: object) -> None:
        nonlocal n_built
        n_built += 1  # by row, then by variable
        normalise(*arguments)

    monkeypatch.setattr(runtime.kernels, "normalise", counting)
    network = make_network(ModelConfig())
    fast, slow = compiled(network), reference(network)
    first = make_state(n_edges=2000)
    edges, features = first.edges, first.variable_features * 2
    coefficient, column = edges.values.copy(), edges.indices.copy()
    coefficient[1999] += 1e-6
    column[0] = 0 if column[0] else 1
    for state, expected in [
        (first, 1),
        (replace(first, variable_features=features, candidates=np.array([3, 4])), 1),
        (replace(first, edges=replace(edges, values=coefficient)), 2),
        (replace(first, edges=replace(edges, values=coefficient, indices=column)), 3),
        (replace(first, variable_features=np.vstack([features, features[:1]])), 4),
        (first, 4),
    ]:
        np.testing.assert_allclose(fast.logits(state), slow.logits(state), rtol=1e-5, atol=1e-5)
        assert n_built == 2 * expected


def test_the_callers_arrays_may_change_afterwards() -> None:
    network, state = make_network(ModelConfig()), make_state()
    fast, slow = compiled(network), reference(network)
    values, indices = state.edges.values.copy(), state.edges.indices.copy()
    state = replace(state, edges=Edges(indptr=state.edges.indptr, indices=indices, values=values))
    expected = slow.logits(state)
    fast.logits(state)
    values[7] *= -2
    indices[5] = (indices[5] + 1) % 60
    np.testing.assert_array_equal(slow.logits(state), expected)
    np.testing.assert_allclose(fast.logits(state), slow.logits(state), rtol=1e-5, atol=1e-5)


@configs
def test_every_input_column_changes_the_output(config: ModelConfig) -> None:
    if config.hidden_size < 12:
        pytest.skip("a ReLU network this narrow may well be deaf to a column")
    fast, state = compiled(make_network(config)), make_state(n_edges=900)
    before = fast.logits(state)
    for name, columns in (("row_features", ROW_FEATURES), ("variable_features", VARIABLE_FEATURES)):
        for column, label in enumerate(columns):
            changed = getattr(state, name).copy()
            changed[:, column] += 1
            assert np.abs(fast.logits(replace(state, **{name: changed})) - before).max() > 1e-5, label
    doubled = replace(state.edges, values=state.edges.values * 2)
    assert np.abs(fast.logits(replace(state, edges=doubled)) - before).max() > 1e-5


@pytest.mark.parametrize("field", ["row_features", "variable_features", "edges"])
def test_a_nan_is_not_swallowed(field: str) -> None:
    state = make_state(n_edges=2000, n_candidates=60)
    values = (state.edges.values if field == "edges" else getattr(state, field)).copy()
    values[3] = np.nan
    change = {field: replace(state.edges, values=values) if field == "edges" else values}
    assert np.isnan(compiled(make_network(ModelConfig())).logits(replace(state, **change))).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"variable_features": np.zeros((60, 18))}, "18 variable features"),
        ({"row_features": np.zeros((40, 6))}, "6 row features"),
        ({"candidates": np.array([3, 60])}, "candidate's index"),
        ({"candidates": np.array([-1])}, "candidate's index"),
        ({"edges": replace(make_state().edges, indices=np.full(300, 60))}, "an edge is not between"),
        ({"edges": make_state(n_rows=39).edges}, "an edge is not between"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compiled(make_network(ModelConfig())).logits(replace(make_state(), **change))


def test_memory_does_not_grow() -> None:
    fast = compiled(make_network(ModelConfig(hidden_size=12)))
    states: list[BranchingState] = [make_state(n_rows=30 + i, n_edges=200 + i, seed=i) for i in range(20)]
    for state in states:
        fast.logits(state)
    held = fast._scratch.blocks.nbytes
    for state in states * 3:
        fast.logits(state)
    assert fast._scratch.blocks.nbytes == held


def test_threads_do_not_disturb_each_other() -> None:
    fast = compiled(make_network(ModelConfig()))
    states = [make_state(n_rows=600, n_variables=900, n_edges=20_000, n_candidates=300, seed=seed) for seed in range(8)]
    expected = [fast.logits(state) for state in states]
    with ThreadPoolExecutor(4) as threads:
        for _ in range(20):
            for logits, alone in zip(threads.map(fast.logits, states), expected, strict=True):
                np.testing.assert_array_equal(logits, alone)


def test_runs_without_torch() -> None:
    program = (
        "import sys, gnn_branching.policy.graph, gnn_branching.policy.load; raise SystemExit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=100)


def test_dense_layer_equals_numpy() -> None:
    from gnn_branching.policy.layers import TILE_COLUMNS, TILE_ROWS, dense

    random = np.random.default_rng(0)
    for n_rows, n_inputs, n_tiles in ((1, 1, 1), (6, 7, 2), (13, 129, 3)):
        capacity, width = -(-n_rows // TILE_ROWS) * TILE_ROWS, n_tiles * TILE_COLUMNS
        x = random.normal(size=(capacity, n_inputs + 3)).astype(np.float32)
        weight = random.normal(size=(n_inputs, width)).astype(np.float32)
        for step, floor in ((0, 0.0), (0, -np.inf), (1, 0.0), (1, -np.inf)):
            start = random.normal(size=(capacity if step else 1, width)).astype(np.float32)
            out = np.full((capacity + 1, width), 7, dtype=np.float32)
            dense(x, weight, start, step, floor, out, n_rows)
            expected = np.maximum(x[:, :n_inputs].astype(float) @ weight + start, floor)
            np.testing.assert_allclose(out[:n_rows], expected[:n_rows], rtol=1e-4, atol=1e-4)
            assert (out[capacity:] == 7).all()


def test_torch_runtime_names_a_missing_device() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(ValueError, match="device 'cuda' cannot be used"):
        TorchNetwork(make_network(ModelConfig(hidden_size=12)), "cuda")
