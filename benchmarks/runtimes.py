"""The compiled layers against libraries that could take their place: NumPy with BLAS, and ONNX Runtime.

A policy scores stored tree nodes; what it hands to ``layers.forward`` is recorded, and four ways of computing the same
scores are timed on it, in turns, on one thread: the compiled layers; NumPy, whose dense layers are BLAS's, with
messages summed by a plain compiled loop, or by NumPy alone; and ONNX Runtime, if ``onnx`` and ``onnxruntime`` are
there.
``cold`` times each call after 8 MiB of other data went through the caches, as an LP solve does between two decisions.

    python -m benchmarks.runtimes set-cover runs/set-cover/dataset
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from gnn_branching.policy import layers, load_policy, runtime
from gnn_branching.policy.layers import N_HALF_LAYERS, OWN, SOURCE, TARGET, THROUGH, UPDATE
from gnn_branching.shards import open_dataset

N_STATES, N_REPEATS = 60, 10
COLD_BYTES = 8 << 20
Matrix = NDArray[np.float32]
NAMES = tuple(inspect.signature(layers.forward.py_func).parameters)  # type: ignore[attr-defined]
"""Arguments of ``layers.forward``."""


class Call:
    """One recorded call, its arguments by name."""

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        self.arguments = tuple(np.array(a) if isinstance(a, np.ndarray) else a for a in arguments)
        self.by_name = dict(zip(NAMES, self.arguments, strict=True))

    def __getattr__(self, name: str) -> Any:
        return self.by_name[name]


class Weights:
    """Takes one layer after the other from the folded weights."""

    def __init__(self, folded: Matrix) -> None:
        self._folded, self._at = folded, 0
        self._height = folded.shape[1] + 1

    def rows(self, n: int) -> Matrix:
        """Take the next rows."""
        self._at += n
        return self._folded[self._at - n : self._at]

    def layer(self, n_inputs: int | None = None) -> Matrix:
        """Take the next layer, of ``n_inputs`` or of the hidden width."""
        return self.rows(self._height if n_inputs is None else n_inputs + 1)

    def half(self) -> tuple[list[Matrix], Matrix]:
        """Take the next half-convolution: its layers, and the factors of the edge values."""
        return [self.layer() for _ in range(N_HALF_LAYERS)], self.rows(1)[0]


def apply(x: Matrix, layer: Matrix) -> Matrix:
    """Send rows through a layer."""
    return x @ layer[:-1] + layer[-1]


def relu(x: Matrix) -> Matrix:
    """Cut off what is negative, in place."""
    return np.maximum(x, 0, out=x)


@numba.njit(nogil=True, error_model="numpy", fastmath={"contract"})
def sum_messages(chosen, group, offsets, others, values, position, target, source, edge, out):  # type: ignore[no-untyped-def]
    """Sum the messages of each chosen vertex: the plain loop, left to LLVM's own vectoriser."""
    for i in range(chosen.size):
        for k in range(edge.size):
            out[i, k] = 0
        for index in range(offsets[chosen[i]], offsets[chosen[i] + 1]):
            sender = position[others[index]]
            for k in range(edge.size):
                out[i, k] += max(target[group[i], k] + source[sender, k] + values[index] * edge[k], np.float32(0))


def sum_messages_with_numpy(chosen, group, offsets, others, values, position, target, source, edge, out):  # type: ignore[no-untyped-def]
    """Sum the messages of each chosen vertex by NumPy alone: one row of a matrix for every edge."""
    degrees = offsets[chosen + 1] - offsets[chosen]
    starts = np.concatenate([[0], np.cumsum(degrees)[:-1]])
    index = np.repeat(offsets[chosen] - starts, degrees) + np.arange(degrees.sum())
    messages = relu(
        np.repeat(target[group], degrees, axis=0) + source[position[others[index]]] + values[index, None] * edge
    )
    out[:] = np.add.reduceat(messages, starts, axis=0) if len(messages) else 0
    out[degrees == 0] = 0


def forward_with_blas(call: Call, summing: Callable[..., None]) -> NDArray[np.float64]:
    """Compute what ``layers.forward`` computes, for networks of one round that sum."""
    weights, c = Weights(call.weights), call

    def embed(features: NDArray[np.float64], chosen: NDArray[np.int64], norm: NDArray[np.float64]) -> Matrix:
        x = ((features[chosen] + norm[0]) * norm[1]).astype(np.float32)
        return relu(apply(relu(apply(x, weights.layer(x.shape[1]))), weights.layer()))

    def convolve(chosen, group, offsets, others, values, position, own, sources):  # type: ignore[no-untyped-def]
        half, edge = weights.half()
        sums = np.empty((len(chosen), edge.size), dtype=np.float32)
        target, source = apply(own, half[TARGET]), apply(sources, half[SOURCE])
        summing(chosen, group, offsets, others, values, position, target, source, edge, sums)
        degrees = (offsets[chosen + 1] - offsets[chosen]).astype(np.float32)
        start = apply(own, half[OWN])[group] + degrees[:, None] * half[THROUGH][-1]
        return relu(apply(relu(sums @ half[THROUGH][:-1] + start), half[UPDATE]))

    rows = embed(c.row_features, c.first_rows[: c.n_groups], c.row_norm)
    variables = embed(c.variable_features, c.variables[: c.n_variables], c.variable_norm)
    rows = convolve(
        c.rows[: c.n_rows], c.row_group[: c.n_rows], c.row_offsets, c.row_others, c.row_values, c.variable_position,
        rows, variables,
    )  # fmt: skip
    own = variables[c.variable_position[c.candidates]]
    own = convolve(
        c.candidates, np.arange(len(own)), c.variable_offsets, c.variable_others, c.variable_values, c.row_position,
        own, rows,
    )  # fmt: skip
    start: Matrix | float = 0.0
    if c.search_features.shape[1]:
        searched = embed(c.search_features, np.arange(len(own)), c.search_norm)
        start = searched @ weights.layer()[:-1]
    hidden = relu(apply(own, weights.layer()) + start)
    return hidden.astype(np.float64) @ weights.rows(1)[0].astype(np.float64)


def make_onnx(call: Call) -> Callable[[Call], NDArray[np.float64]]:
    """Return the same network as a session of ONNX Runtime, of any graph; without the search's features."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    weights, nodes, constants = Weights(call.weights), [], []

    def constant(value: NDArray[Any]) -> str:
        name = f"c{len(constants)}"
        constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"n{len(nodes)}"
        nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def dense(x: str, layer: Matrix, *, floor: bool) -> str:
        out = node("Gemm", x, constant(layer[:-1]), constant(layer[-1]))
        return node("Relu", out) if floor else out

    def embed(x: str, n_features: int) -> str:
        return dense(dense(x, weights.layer(n_features), floor=True), weights.layer(), floor=True)

    def convolve(side: str, group: str, own: str, sources: str) -> str:
        half, edge = weights.half()
        target = node("Gather", dense(own, half[TARGET], floor=False), f"{side}_to_group")
        source = node("Gather", dense(sources, half[SOURCE], floor=False), f"{side}_from")
        value = node("Mul", f"{side}_value", constant(edge[None]))
        messages = node("Relu", node("Add", node("Add", target, source), value))
        sums = node("ScatterND", f"{side}_zeros", f"{side}_to", messages, reduction="add")
        kept = node("Gather", dense(own, half[OWN], floor=False), group)
        start = node("Add", kept, node("Mul", f"{side}_degree", constant(half[THROUGH][-1][None])))
        hidden = node("Relu", node("Add", node("MatMul", sums, constant(half[THROUGH][:-1])), start))
        return dense(hidden, half[UPDATE], floor=True)

    rows, variables = embed("row", call.row_features.shape[1]), embed("variable", call.variable_features.shape[1])
    rows = convolve("r", "row_group", rows, variables)
    own = convolve("v", "each", node("Gather", variables, "candidate"), rows)
    hidden = dense(own, weights.layer(), floor=True)
    nodes.append(helper.make_node("MatMul", [hidden, constant(weights.rows(1).T)], ["scores"]))
    kinds = {
        "row": TensorProto.FLOAT,
        "variable": TensorProto.FLOAT,
        "row_group": TensorProto.INT64,
        "each": TensorProto.INT64,
        "candidate": TensorProto.INT64,
    }
    for side in "rv":
        kinds |= {f"{side}_{name}": TensorProto.INT64 for name in ("to_group", "from", "to")}
        kinds |= {f"{side}_{name}": TensorProto.FLOAT for name in ("value", "zeros", "degree")}
    ranks = {"row_group": 1, "each": 1, "candidate": 1, "r_to_group": 1, "v_to_group": 1, "r_from": 1, "v_from": 1}
    inputs = [helper.make_tensor_value_info(n, kind, [None] * ranks.get(n, 2)) for n, kind in kinds.items()]
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, 1])]
    graph = helper.make_graph(nodes, "network", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    width = call.weights.shape[1]

    def run(c: Call) -> NDArray[np.float64]:
        def norm(features: NDArray[np.float64], chosen: NDArray[np.int64], norm: NDArray[np.float64]) -> Matrix:
            return ((features[chosen] + norm[0]) * norm[1]).astype(np.float32)

        def edges(side: str, chosen, group, offsets, others, values, position):  # type: ignore[no-untyped-def]
            degrees = offsets[chosen + 1] - offsets[chosen]
            starts = np.concatenate([[0], np.cumsum(degrees)[:-1]])
            index = np.repeat(offsets[chosen] - starts, degrees) + np.arange(degrees.sum())
            to = np.repeat(np.arange(len(chosen)), degrees)
            return {
                f"{side}_to": to[:, None], f"{side}_to_group": group[to], f"{side}_from": position[others[index]],
                f"{side}_value": values[index, None], f"{side}_degree": degrees.astype(np.float32)[:, None],
                f"{side}_zeros": np.zeros((len(chosen), width), dtype=np.float32),
            }  # fmt: skip

        each = np.arange(len(c.candidates))
        feed = {
            "row": norm(c.row_features, c.first_rows[: c.n_groups], c.row_norm),
            "variable": norm(c.variable_features, c.variables[: c.n_variables], c.variable_norm),
            "row_group": c.row_group[: c.n_rows],
            "each": each,
            "candidate": c.variable_position[c.candidates],
            **edges(
                "r", c.rows[: c.n_rows], c.row_group[: c.n_rows], c.row_offsets, c.row_others, c.row_values,
                c.variable_position,
            ),
            **edges("v", c.candidates, each, c.variable_offsets, c.variable_others, c.variable_values, c.row_position),
        }  # fmt: skip
        return session.run(None, feed)[0][:, 0].astype(np.float64)

    return run


def record(policy_name: str, dataset: Path, n_states: int) -> list[Call]:
    """Let a policy score stored tree nodes, and return its calls of ``layers.forward``."""
    policy, reader = load_policy(policy_name), open_dataset(dataset, "train")
    calls: list[Call] = []
    original = layers.forward

    def recording(*arguments: Any) -> None:
        calls.append(Call(arguments))
        original(*arguments)
        calls[-1].by_name["out"] = np.array(arguments[-1])

    runtime.layers.forward = recording  # type: ignore[assignment]
    try:
        for index in np.linspace(0, len(reader) - 1, n_states).astype(int):
            policy.scores(reader[index].state)
    finally:
        runtime.layers.forward = original  # type: ignore[assignment]
    return calls


def main() -> None:
    """Run the command line, and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policy", help="name or folder of a policy of one round that sums")
    parser.add_argument("dataset", type=Path)
    given = parser.parse_args()
    calls = record(given.policy, given.dataset, N_STATES)
    ways = ways_for(calls[0])
    for call in calls:
        for name, way in ways.items():
            found = way(call)
            if found is not None:
                np.testing.assert_allclose(found, call.by_name["out"], rtol=2e-4, atol=2e-4, err_msg=name)
    with threadpool_limits(1):
        seconds = measure(calls, ways)
    sizes = [(len(c.candidates), c.n_rows, c.n_variables) for c in calls]
    print("candidates, rows and variables that take part (medians):", *np.median(sizes, axis=0).astype(int))
    print("| | ms, warm | ms, cold | cold, over the compiled layers |\n|---|---|---|---|")
    base = np.median(seconds["compiled layers", True])
    for name in ways:
        warm, cold = (float(np.median(seconds[name, c])) for c in (False, True))
        print(f"| {name} | {1e3 * warm:.3f} | {1e3 * cold:.3f} | {cold / base:.2f} |")


def ways_for(call: Call) -> dict[str, Callable[[Call], NDArray[np.float64] | None]]:
    """Return the ways of computing the scores, by name; the compiled layers write theirs where they are told to."""
    ways: dict[str, Callable[[Call], NDArray[np.float64] | None]] = {
        "compiled layers": lambda call: layers.forward(*call.arguments),
        "NumPy with BLAS, plain compiled loop over edges": lambda call: forward_with_blas(call, sum_messages),
        "NumPy with BLAS alone": lambda call: forward_with_blas(call, sum_messages_with_numpy),
    }
    if not call.search_features.shape[1]:
        with contextlib.suppress(ImportError):
            ways["ONNX Runtime"] = make_onnx(call)
    return ways


def measure(calls: list[Call], ways: Mapping[str, Callable[[Call], object]]) -> dict[tuple[str, bool], list[float]]:
    """Return the seconds of every call, by way and by whether the caches were cold."""
    rubbish = np.zeros(COLD_BYTES // 8)
    seconds: dict[tuple[str, bool], list[float]] = {}
    for _ in range(N_REPEATS):
        for call, cold, name in product(calls, (False, True), ways):
            ways[name](call)
            if cold:
                rubbish += 1.0
            start = perf_counter()
            ways[name](call)
            seconds.setdefault((name, cold), []).append(perf_counter() - start)
    return seconds


if __name__ == "__main__":
    main()
