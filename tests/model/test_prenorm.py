import pytest
import torch

from gnn_branching.model.prenorm import PreNorm, PrenormObserved


def fit(layer: PreNorm, *batches: torch.Tensor) -> None:
    layer.start()
    for batch in batches:
        with pytest.raises(PrenormObserved):
            layer(batch)
    layer.finish()


def test_normalises_what_it_was_fitted_on() -> None:
    values = torch.randn(400, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1e-3, 1.0, 50.0]) + 7
    layer = PreNorm(3)
    fit(layer, values[:10], values[10:10], values[10:])
    result = layer(values)
    torch.testing.assert_close(result.mean(0), torch.zeros(3), rtol=0, atol=1e-3)
    torch.testing.assert_close(result.var(0, correction=0), torch.ones(3), rtol=1e-3, atol=0)


def test_scale_alone_keeps_zero_and_sign() -> None:
    layer = PreNorm(1, shift=False)
    fit(layer, torch.tensor([[2.0, 4.0], [2.0, 4.0]]))
    torch.testing.assert_close(layer(torch.tensor([0.0, -3.0])), torch.tensor([0.0, -3.0]), rtol=1e-6, atol=0)
    assert float(layer.shift) == 0


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e6])
def test_a_constant_column_is_shifted_and_not_scaled(constant: float) -> None:
    layer = PreNorm(1)
    fit(layer, torch.full((1000, 1), constant))
    assert float(layer.scale) == 1
    torch.testing.assert_close(layer(torch.tensor([[constant + 1]])), torch.ones(1, 1), rtol=0, atol=1e-6)


def test_nothing_observed_is_an_error() -> None:
    layer = PreNorm(2)
    layer.start()
    with pytest.raises(ValueError, match="saw no data"):
        layer.finish()


def test_statistics_are_saved_with_the_weights() -> None:
    layer, other = PreNorm(1), PreNorm(1)
    fit(layer, torch.tensor([[1.0], [5.0]]))
    other.load_state_dict(layer.state_dict())
    assert (float(other.shift), float(other.scale)) == (-3.0, 0.5)
