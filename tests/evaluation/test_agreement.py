from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from records import failed, solved

from gnn_branching.contracts import InputError, SolveStatus
from gnn_branching.evaluation.solves.known_optima import instance_stem, known_optima, read_sol, read_solu
from gnn_branching.evaluation.statistics.disagreement import find_disagreements

TIME_LIMIT = SolveStatus.TIME_LIMIT


def test_equal_optima_agree_whatever_stopped_others() -> None:
    records = [
        solved(policy="a", value=100.0),
        solved(policy="b", value=100.0 + 1e-5),
        solved(policy="c", status=TIME_LIMIT, value=103.0, dual=98.0),
        solved(policy="d", status=TIME_LIMIT, value=float("inf"), dual=98.0),
        solved(policy="e", status=TIME_LIMIT, value=1e20, dual=-1e20),
        failed(policy="f"),
        solved("i1", policy="a", value=-3.0),
    ]
    assert find_disagreements(records) == ()


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (solved(policy="b", value=100.1), "100.1 is optimal"),
        (solved(policy="b", status=TIME_LIMIT, value=99.0, dual=90.0), "within [90, 99]"),
        (solved(policy="b", status=TIME_LIMIT, value=120.0, dual=101.0), "within [101, 120]"),
        (solved(policy="b", status=TIME_LIMIT, value=99.0, dual=99.5), "within [99, 99.5]"),
        (solved(policy="b", status=SolveStatus.INFEASIBLE, value=1e20), "says infeasible"),
    ],
)
def test_contradictions_are_named(other: object, words: str) -> None:
    (found,) = find_disagreements([solved(policy="a", value=100.0), other])  # type: ignore[list-item]
    assert found.instance == "i0"
    assert "a (paper, seed 0) says 100 is optimal" in str(found)
    assert words in str(found)


def test_bounds_are_read_in_either_sense() -> None:
    maximised = solved(policy="b", status=TIME_LIMIT, value=90.0, dual=110.0)
    assert find_disagreements([solved(policy="a", value=100.0), maximised]) == ()


def test_infeasible_and_unbounded() -> None:
    infeasible = solved(policy="a", status=SolveStatus.INFEASIBLE, value=1e20)
    unbounded = solved(policy="b", status=SolveStatus.UNBOUNDED, value=-1e20)
    either = solved(policy="c", status=SolveStatus.INFEASIBLE_OR_UNBOUNDED, value=1e20)
    limited = solved(policy="d", status=TIME_LIMIT, value=1e20, dual=5.0)
    incumbent = solved(policy="e", status=TIME_LIMIT, value=6.0, dual=5.0)
    assert find_disagreements([infeasible, either, limited]) == ()
    assert len(find_disagreements([infeasible, unbounded])) == 1
    assert len(find_disagreements([infeasible, incumbent])) == 1


def test_known_optimum_has_the_last_word(tmp_path: Path) -> None:
    (tmp_path / "list.solu").write_text("=opt= p0033 3089\n=inf=  nope\n=best= x 1\n=unkn= y\n\n")
    known = read_solu(tmp_path / "list.solu")
    assert known["p0033"].value == 3089.0
    assert known["nope"].status is SolveStatus.INFEASIBLE
    assert set(known) == {"p0033", "nope"}
    wrong = [solved("data/p0033.mps.gz", policy="a", value=3090.0), solved("data/p0033.mps.gz", "b", value=3090.0)]
    assert find_disagreements(wrong) == ()
    optima = known_optima({record.instance for record in wrong}, [tmp_path / "list.solu"])
    assert len(find_disagreements(wrong, optima)) == 2
    assert "list.solu says 3089 is optimal" in str(find_disagreements(wrong, optima)[0])


def test_solutions_beside_the_instances_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.sol").write_text("solution status: optimal\nobjective value:                     12.5\nx 1\n")
    with gzip.open(tmp_path / "b.sol.gz", "wt") as stream:
        stream.write("=obj= -3e2\nx 1\n")
    (tmp_path / "c.sol").write_text("x 1\n")
    (tmp_path / "d.sol").write_text("solution status: time limit reached\nobjective value:   99\n")
    (tmp_path / "list.solu").write_text("=opt= a 13\n")
    names = [str(tmp_path / name) for name in ("a.lp", "b.mps.gz", "c.lp", "d.lp")]
    values = {instance: optimum.value for instance, optimum in known_optima(names).items()}
    assert values == {names[0]: 12.5, names[1]: -300.0}
    assert known_optima(names, [tmp_path / "list.solu"])[names[0]].value == 13.0
    assert read_sol(tmp_path / "c.sol") is None
    assert read_sol(tmp_path / "d.sol") is None, "not a proof: SCIP stopped early"


def test_bad_lists_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.solu").write_text("=opt= a\n")
    with pytest.raises(InputError, match="line 1"):
        read_solu(tmp_path / "bad.solu")
    with pytest.raises(InputError, match="cannot be read"):
        read_solu(tmp_path / "none.solu")


def test_stem_drops_folder_and_known_suffixes_only() -> None:
    assert instance_stem("x/y/p0033.mps.gz") == "p0033"
    assert instance_stem("neos-1.5.lp") == "neos-1.5"
