import numpy as np

from gnn_branching.diagnostics.advice.story import (
    LAYER_FIGURES,
    ball_radius,
    by_layer,
    layer_panels,
    promised,
    story_panels,
)
from gnn_branching.diagnostics.tracking.tracker import ProbeKind, ProbeRecord

RATE = 0.05


def points(n: int = 21, *, mu: float = 0.2, beta: float = 4.0) -> list[ProbeRecord]:
    """Gradient descent on a quadratic whose two curvatures are μ and β, with steps 1/β, from (1, 1)."""
    records = []
    for step in range(n):
        slow, fast = (1 - mu / beta) ** step, 0.0**step
        loss = 0.5 * (mu * slow**2 + beta * fast**2)
        slope = mu**2 * slow**2 + beta**2 * fast**2
        values = {
            "target_entropy": 0.1,
            "probe_excess_loss": loss,
            "mu": slope / (2 * loss),
            "hessian_lambda_max": beta,
            "distance": float(np.hypot(1 - slow, 1 - fast)),
            "learning_rate": RATE,
            "move/a": 0.1 * step,
            "layer_gradient/a": slope,
        }
        records.append(record(step, values))
    return records


def record(step: int, values: dict[str, float]) -> ProbeRecord:
    return ProbeRecord(kind=ProbeKind.POINT, step=step, epoch=1, training_seconds=0.0, probe_seconds=0.0, values=values)


def test_gradient_descent_keeps_the_promise_and_stays_in_the_ball() -> None:
    walked = points()
    losses = np.array([p.values["probe_excess_loss"] for p in walked])
    assert (losses <= promised(walked) * (1 + 1e-12)).all()
    distances = np.array([p.values["distance"] for p in walked])
    assert (distances[1:] <= ball_radius(walked)[1:]).all()


def test_a_training_that_stands_still_breaks_the_promise() -> None:
    still = [record(10 * i, dict(points()[1].values)) for i in range(5)]
    assert promised(still)[-1] < still[-1].values["probe_excess_loss"]


def test_unmeasured_sharpness_promises_nothing() -> None:
    blind = [record(p.step, {k: v for k, v in p.values.items() if k != "hessian_lambda_max"}) for p in points()]
    np.testing.assert_allclose(promised(blind), blind[0].values["probe_excess_loss"])
    assert promised([]).size == 0


def test_panels_without_and_with_points() -> None:
    assert [len(panel.curves) for panel in story_panels([])] == [3, 2, 5, 3]
    panels = layer_panels(points())
    assert [panel.title for panel in panels] == list(LAYER_FIGURES.values())
    assert [curve.label for panel in panels for curve in panel.curves] == ["a"] * len(panels)


def test_numbers_by_layer() -> None:
    assert by_layer(points()[2].values) == {
        "a": {"move": 0.2, "layer_gradient": points()[2].values["layer_gradient/a"]}
    }


def test_a_promise_far_below_the_loss_leaves_the_picture() -> None:
    loss = story_panels(points())[0]
    measured = np.array([p.values["probe_excess_loss"] for p in points()])
    assert loss.y_limits == (measured.min() / 10, measured.max() * 2)
