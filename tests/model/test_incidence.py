import pytest
import torch

from gnn_branching.model.incidence import group_edges
from tests.model.conftest import make_graph


@pytest.mark.parametrize("sort", [True, False])
@pytest.mark.parametrize("restricted", [True, False])
def test_groups_every_edge_in_order(case: dict[str, int], sort: bool, restricted: bool) -> None:
    graph = make_graph(**{**case, "sort": sort})
    targets, sources = graph.edge_index[1 if restricted else 0], graph.edge_index[0 if restricted else 1]
    n_targets = graph.variable_features.shape[0] if restricted else graph.row_features.shape[0]
    keep = graph.candidates if restricted else None
    incidence = group_edges(targets, sources, n_targets, keep=keep)
    for position, target in enumerate(keep.tolist() if keep is not None else range(n_targets)):
        edges = slice(int(incidence.offsets[position]), int(incidence.offsets[position + 1]))
        mine = targets == target
        assert incidence.sources[edges].tolist() == sources[mine].tolist()
        assert incidence.arrange(graph.edge_values)[edges].tolist() == graph.edge_values[mine].tolist()
        assert incidence.targets[edges].tolist() == [position] * int(mine.sum())


def test_sorted_edges_are_not_copied() -> None:
    graph = make_graph()
    incidence = group_edges(graph.edge_index[0], graph.edge_index[1], 17)
    assert incidence.order is None
    assert incidence.arrange(graph.edge_values) is graph.edge_values


def test_a_repeated_candidate_is_refused() -> None:
    graph = make_graph()
    with pytest.raises(ValueError, match="candidate occurs twice"):
        group_edges(graph.edge_index[1], graph.edge_index[0], 23, keep=torch.tensor([3, 4, 3]))
