"""What is read from an optimizer is what its own step divides by."""

import pytest
import torch

from gnn_branching.diagnostics.tracking.adam import inverse_diagonal


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_a_step_is_the_first_moment_times_the_inverse_diagonal(kind: type[torch.optim.Adam]) -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)).double()
    optimizer = kind(network.parameters(), lr=0.1, betas=(0.5, 0.9), eps=1e-3, weight_decay=0.0)
    for n_steps in range(1, 6):
        before = torch.nn.utils.parameters_to_vector(network.parameters()).detach().clone()
        optimizer.zero_grad()
        network(torch.randn(7, 3, dtype=torch.float64)).square().mean().backward()
        optimizer.step()
        after = torch.nn.utils.parameters_to_vector(network.parameters()).detach()
        first = torch.cat([optimizer.state[p]["exp_avg"].flatten() for p in network.parameters()])
        wanted = before - 0.1 * first / (1.0 - 0.5**n_steps) * inverse_diagonal(optimizer)
        torch.testing.assert_close(after, wanted, rtol=1e-12, atol=1e-14)


def test_a_parameter_without_a_gradient_has_no_second_moment() -> None:
    used, unused = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([unused, used])
    used.square().sum().backward()
    optimizer.step()
    torch.testing.assert_close(inverse_diagonal(optimizer)[:3], torch.full((3,), 1e8, dtype=torch.float64))
    torch.testing.assert_close(inverse_diagonal(optimizer)[3:], torch.full((2,), 0.5, dtype=torch.float64))
