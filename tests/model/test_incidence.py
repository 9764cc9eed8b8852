import pytest
import torch

from gnn_branching.model.incidence import Incidence, by_variable
from tests.model.conftest import make_graph


@pytest.mark.parametrize("device", ["cpu", "any"])
@pytest.mark.parametrize("restricted", [True, False])
def test_groups_every_edge_in_order(
    case: dict[str, int], restricted: bool, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = make_graph(**case)
    n_variables = graph.variable_features.shape[0]
    keep = graph.candidates if restricted else None
    if device == "any":  # the way taken on a GPU
        monkeypatch.setattr("gnn_branching.model.incidence.CPU", "none")
    incidence = by_variable(graph.indptr, graph.indices, n_variables, keep=keep)
    rows, variables = graph.edge_index
    assert incidence.sources.dtype == torch.int32
    for position, target in enumerate(keep.tolist() if keep is not None else range(n_variables)):
        edges = slice(int(incidence.offsets[position]), int(incidence.offsets[position + 1]))
        mine = variables == target
        assert incidence.sources[edges].tolist() == rows[mine].tolist()
        assert incidence.arrange(graph.edge_values)[edges].tolist() == graph.edge_values[mine].tolist()
        assert incidence.targets[edges].tolist() == [position] * int(mine.sum())


def test_a_batch_s_own_edges_are_not_copied() -> None:
    graph = make_graph()
    incidence = Incidence(offsets=graph.indptr, sources=graph.indices)
    assert incidence.arrange(graph.edge_values) is graph.edge_values
    assert incidence.targets.tolist() == graph.edge_index[0].tolist()


def test_a_repeated_candidate_is_refused() -> None:
    graph = make_graph()
    with pytest.raises(ValueError, match="candidate occurs twice"):
        by_variable(graph.indptr, graph.indices, 23, keep=torch.tensor([3, 4, 3]))
