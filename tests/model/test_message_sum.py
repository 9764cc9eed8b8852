import subprocess
import sys

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from gnn_branching.model.incidence import Incidence
from gnn_branching.model.message_sum import message_sum, torch_message_sum
from tests.model.conftest import Graph, make_graph

WIDTH = 9


def inputs(graph: Graph, width: int = WIDTH, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    random = torch.Generator().manual_seed(1)
    shapes = [(graph.row_features.shape[0], width), (graph.variable_features.shape[0], width), (width,)]
    values = [torch.randn(shape, generator=random, dtype=dtype) for shape in shapes]
    return [tensor.requires_grad_() for tensor in [*values, graph.edge_values.to(dtype)]]


def group(graph: Graph) -> Incidence:
    return Incidence(offsets=graph.indptr, sources=graph.indices)


def fused(tensors: list[Tensor], incidence: Incidence) -> Tensor:
    return message_sum(*tensors[:3], incidence.arrange(tensors[3]), incidence)


def plain(tensors: list[Tensor], graph: Graph) -> Tensor:
    return torch_message_sum(*tensors, *graph.edge_index)


def test_gradcheck(case: dict[str, int]) -> None:
    graph = make_graph(**{**case, "n_edges": min(case.get("n_edges", 90), 60)})
    incidence = group(graph)
    assert gradcheck(lambda *tensors: fused(list(tensors), incidence), inputs(graph), atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("width", [1, 16, 64])
def test_equals_plain_torch(case: dict[str, int], dtype: torch.dtype, rtol: float, n_threads: int, width: int) -> None:
    graph = make_graph(**case)
    left, right = inputs(graph, width, dtype), inputs(graph, width, dtype)
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        result, expected = fused(left, group(graph)), plain(right, graph)
        weights = torch.randn(result.shape, generator=torch.Generator().manual_seed(2), dtype=dtype)
        result.backward(weights)
        expected.backward(weights)
    finally:
        torch.set_num_threads(before)
    for ours, theirs in [(result, expected), *((a.grad, b.grad) for a, b in zip(left, right, strict=True))]:
        scale = float(theirs.detach().abs().amax()) if theirs.numel() else 1.0
        torch.testing.assert_close(ours, theirs, rtol=0, atol=rtol * scale)


def test_a_nan_reaches_the_output() -> None:
    graph = make_graph()
    tensors = inputs(graph)
    with torch.no_grad():
        tensors[3][4] = torch.nan
    row = int(graph.edge_index[0, 4])
    assert fused(tensors, group(graph))[row].isnan().all()


def test_second_derivatives_are_refused() -> None:
    graph = make_graph()
    tensors = inputs(graph)
    (gradient,) = torch.autograd.grad(fused(tensors, group(graph)).square().sum(), tensors[0], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_same_result_after_fork() -> None:
    program = """
import os, torch
from tests.model.test_message_sum import fused, group, inputs, make_graph
torch.set_num_threads(3)
graph = make_graph(n_rows=200, n_variables=300, n_edges=30_000)
expected = fused(inputs(graph), group(graph))
child = os.fork()
if child == 0:
    os._exit(0 if torch.equal(fused(inputs(graph), group(graph)), expected) else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=100)


def test_plain_torch_path_compiles_without_breaks() -> None:
    graph = make_graph()
    compiled = torch.compile(torch_message_sum, fullgraph=True, dynamic=True, backend="aot_eager")
    ours, theirs = inputs(graph), inputs(graph)
    compiled(*ours, *graph.edge_index).square().sum().backward()
    plain(theirs, graph).square().sum().backward()
    for left, right in zip(ours, theirs, strict=True):
        torch.testing.assert_close(left.grad, right.grad, rtol=1e-12, atol=1e-12)
