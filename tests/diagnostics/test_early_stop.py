from dataclasses import dataclass

from gnn_branching.diagnostics.tracking.early_stop import PlStarRule, stopping_epoch


@dataclass(frozen=True)
class Probe:
    values: dict[str, float]
    epoch: int = 1


def probe(excess: float, mu: float) -> Probe:
    return Probe({"probe_excess_loss": excess, "mu": mu})


def test_stops_below_epsilon() -> None:
    rule = PlStarRule(epsilon=0.1)
    assert rule.reason([], 1.0) == ""
    assert rule.reason([probe(0.2, 1.0)], 0.9) == ""
    assert "below epsilon 0.1" in rule.reason([probe(0.2, 1.0), probe(0.05, 1.0)], 0.8)


def test_stops_when_the_ratio_collapsed_and_validation_is_flat() -> None:
    rule = PlStarRule(epsilon=1e-9, n_flat_epochs=2)
    past = [probe(1.0, 5.0), probe(0.9, 0.01)]
    assert rule.reason(past, 1.0) == ""
    assert rule.reason(past, 1.1) == ""
    assert "fell to 0.2% of its highest, validation flat for 2 epochs" in rule.reason(past, 1.1)


def test_goes_on_while_either_still_moves() -> None:
    falling = PlStarRule(epsilon=1e-9, n_flat_epochs=2)
    assert not any(falling.reason([probe(1.0, 5.0), probe(0.9, 0.01)], 1.0 - 0.1 * k) for k in range(6))
    healthy = PlStarRule(epsilon=1e-9, n_flat_epochs=2)
    assert not any(healthy.reason([probe(1.0, 5.0), probe(0.9, 1.0)], 1.0) for _ in range(6))


def test_replay_finds_the_epoch_after_which_the_rule_stops() -> None:
    probes = [
        Probe({"probe_excess_loss": excess, "mu": 1.0}, epoch) for epoch, excess in ((1, 0.5), (3, 0.2), (6, 0.01))
    ]
    falling = [1.0 - 0.1 * k for k in range(8)]
    assert stopping_epoch(PlStarRule(epsilon=0.3), probes, falling) == 3
    assert stopping_epoch(PlStarRule(epsilon=0.1), probes, falling) == 6
    assert stopping_epoch(PlStarRule(epsilon=1e-3), probes, falling) is None
