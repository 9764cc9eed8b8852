import math

import pytest

from gnn_branching.diagnostics.measures.finding import Finding, Verdict, at_least, at_most


def test_comparisons() -> None:
    assert at_most("a", 1.0, 1.0, "").verdict is Verdict.HOLDS
    assert at_most("a", 1.1, 1.0, "").verdict is Verdict.VIOLATED
    assert at_most("a", 1.1, 1.0, "", slack=0.2).verdict is Verdict.HOLDS
    assert at_least("a", 0.9, 1.0, "").verdict is Verdict.VIOLATED
    assert at_least("a", 0.9, 1.0, "", assumptions_met=False).verdict is Verdict.NOT_APPLICABLE


@pytest.mark.parametrize("compare", [at_most, at_least])
def test_nan_never_holds(compare: type[at_most]) -> None:  # type: ignore[valid-type]
    assert compare("a", math.nan, 1.0, "").verdict is Verdict.VIOLATED
    assert compare("a", 1.0, math.nan, "").verdict is Verdict.VIOLATED


def test_no_guarantee_without_assumptions() -> None:
    with pytest.raises(ValueError, match="assumptions_met=False contradicts holds"):
        Finding(name="a", value=0, bound=1, assumptions_met=False, verdict=Verdict.HOLDS, statement="")
