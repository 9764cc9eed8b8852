"""The whole of evaluate: with hand-made solves, and with SCIP in earnest."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import toy_instance

from gnn_branching.contracts import InputError, InstanceFile, SolveRecord, SolveStatus
from gnn_branching.evaluation.evaluate import EvaluationRequest, evaluate, plan_request
from gnn_branching.evaluation.report.sources import read_sources
from gnn_branching.evaluation.solves import recordings
from gnn_branching.evaluation.solves.plan import PolicySpec, ResourceLimits, SolveJob, instance_files
from gnn_branching.evaluation.solves.results import read_results
from gnn_branching.solver.ecole_module import write_generated
from gnn_branching.solver.settings import SolveLimits
from gnn_branching.solver.solve import prepare_solve

LIMITS = ResourceLimits(time_limit_seconds=60.0, memory_limit_mib=2048)
TOYS = EvaluationRequest(
    instances=(toy_instance("a"), toy_instance("b", size="medium")),
    policies=(PolicySpec(name="pscost"),),
    seeds=(0, 1),
    limits=LIMITS,
    target="toys:solve_well",
)


def test_toys_leave_every_documented_file(tmp_path: Path) -> None:
    result = evaluate(TOYS, tmp_path)
    assert result.exit_code == 0
    assert len(result.records) == 2 * 2 * 2, "the baseline was added"
    for name in ("results.parquet", "summary.json", "evaluation.json", "report.html", "report.md"):
        assert (tmp_path / name).stat().st_size > 0, name
    for table in result.tables:
        assert {path.suffix for path in (tmp_path / "tables").glob(f"{table.name}.*")} == {".md", ".csv", ".tex"}
    for picture in (tmp_path / "figures").glob("*.svg"):
        assert picture.read_text().startswith("<?xml")
    assert result.figures["toys/easy/paper/pscost/time_ratio"] == pytest.approx(1.0, rel=1e-12)
    assert read_results(tmp_path / "results.parquet") == result.records
    again: list[SolveJob] = []
    evaluate(TOYS, tmp_path, lambda job, record: again.append(job))
    assert again == []


def test_an_interrupt_still_leaves_results(tmp_path: Path) -> None:
    def interrupt(job: SolveJob, record: SolveRecord) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(TOYS, tmp_path, interrupt)
    assert 1 <= len(read_results(tmp_path / "results.parquet")) < 8


def test_a_known_optimum_that_is_missed_gives_exit_code_3(tmp_path: Path) -> None:
    (tmp_path / "known.solu").write_text("=opt= a 6.5\n=opt= b 7\n")
    result = evaluate(replace(TOYS, solu_files=(tmp_path / "known.solu",)), tmp_path / "out")
    assert result.exit_code == 3
    assert {entry.instance for entry in result.disagreements} == {"a.lp"}
    assert "trust nothing below" in (tmp_path / "out" / "report.html").read_text()
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["n_disagreements"] == 4


def test_nothing_to_evaluate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no instance given"):
        plan_request(replace(TOYS, instances=()))
    with pytest.raises(InputError, match="holds neither"):
        read_sources([tmp_path])
    with pytest.raises(InputError, match="is no folder"):
        read_sources([tmp_path / "none"])


@pytest.fixture(scope="module")
def set_covers(tmp_path_factory: pytest.TempPathFactory) -> tuple[InstanceFile, ...]:
    """Return two instances that need some branching."""
    folder = tmp_path_factory.mktemp("instances")
    paths = [folder / f"cover-{seed}.lp" for seed in (1, 2)]
    for seed, path in zip((1, 2), paths, strict=True):
        write_generated("SetCover", {"n_rows": 200, "n_cols": 200, "density": 0.06}, seed, path)
    return instance_files(paths, family="set-cover", size="tiny")


@pytest.mark.slow
def test_scip_in_earnest(set_covers: tuple[InstanceFile, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "TREE_RECORDER", "earnest:record_tree")
    monkeypatch.setattr(recordings, "AGREEMENT_RECORDER", "earnest:record_agreement")
    request = EvaluationRequest(
        instances=set_covers,
        policies=(PolicySpec(name="pscost"), PolicySpec(name="first", source="first")),
        settings=("paper", "default"),
        limits=LIMITS,
        n_tree_instances=1,
        n_agreement_instances=1,
        target="earnest:solve_in_earnest",
    )
    result = evaluate(request, tmp_path)
    assert result.exit_code == 0, result.disagreements
    assert [record.status for record in result.records] == [SolveStatus.OPTIMAL] * 12
    learned = [record for record in result.records if record.policy == "first" and record.figures is not None]
    for record in learned:
        assert record.figures is not None
        rule = record.figures.rule
        assert rule.n_decisions > 0
        assert 0 < rule.inference_seconds + rule.feature_seconds <= rule.decision_seconds
        assert rule.decision_seconds < record.figures.wall_seconds
        assert record.figures.root_seconds <= record.figures.wall_seconds
    sources = read_sources([tmp_path])
    assert [entry.policy for entry, _ in sources.trees] == ["first", "relpscost"]
    for entry, tree in sources.trees:
        n_timed = next(
            record.figures.n_tree_nodes
            for record in result.records
            if record.figures
            and (record.instance, record.policy, record.settings) == (entry.instance, entry.policy, "paper")
        )
        assert Counter(node.depth for node in tree.nodes)[0] == 1, "one root"
        assert abs(len(tree.nodes) - n_timed) <= 1, "the recorded solve is the timed one"
    assert len(sources.agreement["first"]) > 0
    assert "| first | all |" in (tmp_path / "tables" / "agreement.md").read_text()
    assert "| first | all |" in (tmp_path / "report.md").read_text()
    assert "Agreement with strong branching" in (tmp_path / "report.html").read_text()


@pytest.mark.slow
def test_a_node_limit_and_a_missing_file_are_rows(set_covers: tuple[InstanceFile, ...], tmp_path: Path) -> None:
    missing = replace(set_covers[0], path=str(tmp_path / "missing.lp"))
    request = EvaluationRequest(
        instances=(set_covers[0], missing),
        policies=(PolicySpec(name="pscost"), PolicySpec(name="nonsense")),
        limits=replace(LIMITS, node_limit=2),
    )
    result = evaluate(request, tmp_path / "out")
    statuses = {(Path(record.instance).name, record.policy): record for record in result.records}
    assert statuses["cover-1.lp", "pscost"].status is SolveStatus.NODE_LIMIT
    assert "does not exist" in statuses["missing.lp", "pscost"].detail
    assert "SCIP has no branching rule 'nonsense'" in statuses["cover-1.lp", "nonsense"].detail


@pytest.mark.slow
def test_a_time_limit_in_scip_is_a_row_with_figures(set_covers: tuple[InstanceFile, ...], tmp_path: Path) -> None:
    request = EvaluationRequest(
        instances=set_covers[:1],
        policies=(PolicySpec(name="pscost"),),
        limits=replace(LIMITS, time_limit_seconds=0.02),
    )
    for record in evaluate(request, tmp_path).records:
        assert record.status is SolveStatus.TIME_LIMIT
        assert record.figures is not None
        assert record.figures.wall_seconds > 0
    lines = json.loads((tmp_path / "summary.json").read_text())["results"]
    assert [(line["solved"], line["timeouts"], line["time_seconds"]) for line in lines] == [
        (0, 1, pytest.approx(0.02, rel=1e-9)),
        (0, 1, pytest.approx(0.02, rel=1e-9)),
    ]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("Minimize\n obj: x + y\nSubject To\n c: x + y >= 1\nBinary\n x y\nEnd\n", SolveStatus.OPTIMAL),
        ("Minimize\n obj: x\nSubject To\n c: x >= 2\nBinary\n x\nEnd\n", SolveStatus.INFEASIBLE),
    ],
)
def test_what_presolving_settles_has_figures(text: str, status: SolveStatus, tmp_path: Path) -> None:
    (tmp_path / "m.lp").write_text(text)
    figures = prepare_solve(tmp_path / "m.lp", rule="relpscost", settings="default", seed=0, limits=SolveLimits()).run()
    assert figures.status is status
    assert (figures.n_tree_nodes, figures.n_fair_nodes, figures.n_strong_branching_lp_iterations) == (0, 0, 0)


def test_a_time_limit_within_presolving_has_figures(
    small_instances: Mapping[str, list[Path]], capfd: pytest.CaptureFixture[str]
) -> None:
    limits = SolveLimits(time_limit_seconds=1e-6)
    path = small_instances["set-cover"][0]
    figures = prepare_solve(path, rule="pscost", settings="paper", seed=0, limits=limits).run()
    assert figures.status is SolveStatus.TIME_LIMIT
    assert figures.n_tree_nodes == 0
    assert "ERROR" not in capfd.readouterr().err, "SCIP was asked what it does not know at this stage"
