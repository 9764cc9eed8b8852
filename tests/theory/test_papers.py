"""Each reproduction passes on small sizes, fails under each of its faults, and shows its negative controls."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from gnn_branching.cli.theory import theory
from gnn_branching.contracts import InputError
from gnn_branching.theory import (
    PAPERS,
    TheoryReport,
    du2018,
    li2020,
    liu2020,
    lucas2021,
    run,
    senen_cerda2020,
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As the command runs them: the models are so small that threads only wait for each other."""
    with threadpool_limits(limits=1):
        yield


def small(paper: str, out: Path, fault: str = "none") -> TheoryReport:
    match paper:
        case "liu2020":
            return liu2020.Experiment(
                fault=liu2020.Fault(fault), n_cases=40, n_steps=8, widths=(64, 256, 1024), n_flow_steps=1000
            ).run(out)
        case "du2018":
            return du2018.Experiment(
                fault=du2018.Fault(fault), n_samples=40, n_dimensions=40, widths=(500, 2000, 8000)
            ).run(out)
        case "lucas2021":
            return lucas2021.Experiment(fault=lucas2021.Fault(fault), n_networks=200).run(out)
        case "li2020":
            return li2020.Experiment(
                fault=li2020.Fault(fault),
                n_dimensions=(10,),
                widths=(60,),
                n_steps=(2500,),
                kernel_n_samples=(1000,),
                test_n_samples=4000,
            ).run(out)
        case _:
            return senen_cerda2020.Experiment(fault=senen_cerda2020.Fault(fault), n_draws=50_000).run(out)


FAULTS = [(paper, fault) for paper, entry in PAPERS.items() for fault in entry.faults]


def test_papers_are_those_of_the_command() -> None:
    assert list(PAPERS) == ["liu2020", "du2018", "lucas2021", "li2020", "senen-cerda2020"]
    assert all(entry.faults for entry in PAPERS.values())


@pytest.mark.parametrize("paper", PAPERS)
def test_claim_holds_without_fault(paper: str, tmp_path: Path) -> None:
    report = small(paper, tmp_path)
    failed = [check.finding.name for check in report.checks if not check.passed]
    assert not failed
    assert report.passed
    assert any(check.is_negative_control for check in report.checks)
    assert report.picture.read_bytes().startswith(b"\x89PNG")
    stored = json.loads((tmp_path / f"{paper}.json").read_text(), parse_constant=pytest.fail)
    assert stored["passed"] is True
    assert len(stored["checks"]) == len(report.checks) == len(report.table().splitlines()) - 1


@pytest.mark.parametrize(("paper", "fault"), FAULTS)
def test_report_fails_under_fault(paper: str, fault: str, tmp_path: Path) -> None:
    report = small(paper, tmp_path, fault)
    assert not report.passed
    assert "NO" in report.table()


def test_same_seed_same_numbers(tmp_path: Path) -> None:
    first, second = (run("senen-cerda2020", tmp_path, seed=3) for _ in range(2))
    values = [[check.finding.value for check in report.checks] for report in (first, second)]
    np.testing.assert_array_equal(values[0], values[1])


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown paper 'liu2021': choose one of liu2020"):
        run("liu2021", tmp_path)
    with pytest.raises(InputError, match="unknown fault 'rain' of li2020: choose one of none, frozen-features"):
        run("li2020", tmp_path, fault="rain")


SLOW_PAPERS = ("liu2020", "du2018", "li2020")


@pytest.mark.parametrize(
    ("paper", "fault"),
    [pytest.param(*case, marks=[pytest.mark.slow] if case[0] in SLOW_PAPERS else []) for case in FAULTS],
)
def test_command_exits_with_3_under_fault(paper: str, fault: str, tmp_path: Path) -> None:
    assert theory(paper, fault=fault, out=tmp_path, json=tmp_path / "figures.json") == 3
    assert json.loads((tmp_path / "figures.json").read_text()) == {paper: False}


@pytest.mark.parametrize(
    "paper", [pytest.param(p, marks=[pytest.mark.slow] if p in SLOW_PAPERS else []) for p in PAPERS]
)
def test_command_exits_with_0(paper: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert theory(paper, out=tmp_path) == 0
    assert str(tmp_path / f"{paper}.png") in capsys.readouterr().out


def test_command_wants_one_paper_or_all() -> None:
    with pytest.raises(InputError, match="give one of liu2020"):
        theory()
    with pytest.raises(InputError, match="a fault belongs to one paper"):
        theory(all_=True, fault="wrong-lambda")
