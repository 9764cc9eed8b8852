from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from records import failed, solved

from gnn_branching.contracts import RuleStatistics, SolveRecord, SolveStatus
from gnn_branching.evaluation.statistics.comparison import MethodFigures, compare
from gnn_branching.evaluation.statistics.disagreement import Disagreement
from gnn_branching.evaluation.statistics.measures import MEASURES
from gnn_branching.evaluation.statistics.pairing import ComparisonOptions, Method
from gnn_branching.evaluation.statistics.summary import flat_figures, summary_lines, write_summary

OPTIONS = ComparisonOptions(time_limit_seconds=100.0, n_resamples=400)


def line_of(
    records: list[SolveRecord], policy: str, settings: str = "paper", options: ComparisonOptions = OPTIONS
) -> MethodFigures:
    (group,) = compare(records, options)
    return next(line for line in group.methods if line.method == Method(settings, policy))


def test_hand_checked_table() -> None:
    """Two instances, one seed: 3 s and 7 s against 1 s and a time-out."""
    records = [
        solved("i0", "relpscost", seconds=3.0, nodes=9),
        solved("i1", "relpscost", seconds=7.0, nodes=19),
        solved("i0", "ours", seconds=1.0, nodes=99),
        solved("i1", "ours", seconds=100.2, nodes=7, status=SolveStatus.TIME_LIMIT, dual=1.0),
    ]
    ours, base = line_of(records, "ours"), line_of(records, "relpscost")
    assert (base.counts.n_solved, base.counts.n_wins, base.counts.n_timeouts) == (2, 1, 0)
    assert (ours.counts.n_solved, ours.counts.n_wins, ours.counts.n_timeouts) == (1, 1, 1)
    assert base.means.time_seconds == pytest.approx(math.sqrt(4 * 8) - 1, rel=1e-12)
    assert ours.means.time_seconds == pytest.approx(math.sqrt(2 * 101) - 1, rel=1e-12)
    assert ours.ratios["time"].value == pytest.approx(ours.means.time_seconds / base.means.time_seconds, rel=1e-12)
    assert ours.means.n_commonly_solved == 1
    assert (ours.means.nodes, base.means.nodes) == (pytest.approx(99.0, rel=1e-12), pytest.approx(9.0, rel=1e-12))
    assert ours.means.fair_nodes == pytest.approx(101.0, rel=1e-12)
    assert ours.ratios["nodes"].value == pytest.approx(11.0, rel=1e-12)
    assert ours.ratios["nodes"].n_pairs == 1
    assert ours.ratios["time"].n_pairs == 2


def test_failing_is_never_fast() -> None:
    """A crash, a kill and a quick memory-out all count like a time-out, and are never wins."""
    base = [solved(f"i{i}", seconds=50.0) for i in range(3)]
    bad = [
        failed("i0", "bad"),
        failed("i1", "bad", status=SolveStatus.KILLED_MEMORY),
        solved("i2", "bad", seconds=0.1, status=SolveStatus.MEMORY_LIMIT, dual=1.0),
    ]
    line = line_of([*base, *bad], "bad")
    assert line.means.time_seconds == pytest.approx(100.0, rel=1e-12)
    assert line.ratios["time"].value == pytest.approx(2.0, rel=1e-12)
    assert (line.counts.n_wins, line.counts.n_solved, line.counts.n_failures) == (0, 0, 2)
    assert line.ratios["nodes"].n_pairs == 0
    assert math.isnan(line.means.nodes)


def test_known_ratios_are_recovered_from_noisy_runs() -> None:
    rng = np.random.default_rng(0)
    records: list[SolveRecord] = []
    for i in range(40):
        difficulty = rng.lognormal(4.0, 0.7)
        for seed in range(5):
            noise = rng.lognormal(0.0, 0.1, size=4)
            nodes = round(20 * difficulty * noise[1])
            slow, fast = 4 * difficulty * noise[0], 2.4 * difficulty * noise[2]
            records.append(solved(f"i{i}", seed=seed, seconds=slow, root_seconds=0.5, nodes=nodes))
            records.append(
                solved(f"i{i}", "ours", seed=seed, seconds=fast, root_seconds=0.5, nodes=round(3 * nodes * noise[3]))
            )
    options = ComparisonOptions(time_limit_seconds=1e6, n_resamples=400)
    (group,) = compare(records, options)
    ours = next(line for line in group.methods if line.method.policy == "ours")
    for key, truth in {"time": 0.6, "post_root_time": 0.6, "cpu_time": 0.6, "nodes": 3.0, "lp_iterations": 3.0}.items():
        ratio = ours.ratios[key]
        assert ratio.value == pytest.approx(truth, rel=0.03), key
        assert ratio.low < ratio.value < ratio.high, key
        assert ratio.p < 1e-6, key
    assert ours.means.time_deviation_percent == pytest.approx(10.0, rel=0.2)


def test_root_time_is_what_no_rule_can_save() -> None:
    records = [
        solved("i0", "relpscost", seconds=11.0, root_seconds=8.0),
        solved("i0", "ours", seconds=9.0, root_seconds=8.0),
    ]
    ours = line_of(records, "ours")
    assert ours.ratios["time"].value == pytest.approx(9 / 11, rel=1e-12)
    assert ours.ratios["post_root_time"].value == pytest.approx(1 / 3, rel=1e-12)


def test_settings_are_compared_apart_and_with_what_a_user_has() -> None:
    records = [
        solved(policy="relpscost", seconds=10.0),
        solved(policy="ours", seconds=5.0),
        solved(policy="relpscost", seconds=20.0, settings="default"),
        solved(policy="ours", seconds=4.0, settings="default"),
    ]
    paper, default = line_of(records, "ours"), line_of(records, "ours", "default")
    assert paper.ratios["time"].value == pytest.approx(0.5, rel=1e-12)
    assert default.ratios["time"].value == pytest.approx(0.2, rel=1e-12)
    assert paper.user_time_ratio.value == pytest.approx(0.25, rel=1e-12)
    assert paper.counts.n_wins == default.counts.n_wins == 1
    assert default.method.label == "ours (default)"
    # Untouched SCIP stays what it is, whatever else the rules are compared with.
    default = line_of(records, "relpscost", "default", replace(OPTIONS, baseline="ours"))
    assert default.ratios["time"].value == pytest.approx(5.0, rel=1e-12)
    assert default.user_time_ratio.value == pytest.approx(1.0, rel=1e-12)


def test_times_of_different_machines_are_not_paired() -> None:
    records = [
        solved("i0", "relpscost"),
        solved("i0", "ours", versions='{"cpu":"another"}'),
        solved("i1", "relpscost"),
        solved("i1", "ours"),
    ]
    ours = line_of(records, "ours")
    assert ours.ratios["time"].n_pairs == 1
    assert ours.ratios["nodes"].n_pairs == 2


def test_price_of_a_decision_adds_up() -> None:
    rule = RuleStatistics(
        n_decisions=1000, decision_seconds=2.0, feature_seconds=0.5, inference_seconds=1.2, fallbacks={"no-lp": 3}
    )
    price = line_of([solved(), solved(policy="ours", seconds=8.0, rule=rule)], "ours").price
    assert (price.decision_ms, price.feature_ms, price.inference_ms) == pytest.approx((2.0, 0.5, 1.2), rel=1e-12)
    assert price.rest_ms == pytest.approx(0.3, rel=1e-12)
    assert price.share_percent == pytest.approx(25.0, rel=1e-12)
    assert (price.n_decisions, price.n_fallbacks) == (1000, 3)
    assert math.isnan(line_of([solved()], "relpscost").price.decision_ms)


def test_groups_by_family_and_size_and_all_together() -> None:
    records = [solved(), solved("i1", size="medium"), solved("i2", family="mis")]
    groups = compare(records, OPTIONS)
    assert [(group.family, group.size, group.n_instances) for group in groups] == [
        ("set-cover", "easy", 1),
        ("set-cover", "medium", 1),
        ("mis", "easy", 1),
        ("all", "all", 3),
    ]
    assert compare([], OPTIONS) == ()


def test_a_policy_of_one_family_is_left_out_over_everything() -> None:
    records = [solved(), solved(policy="ours"), solved("i1", family="mis")]
    *_, overall = compare(records, OPTIONS)
    assert [line.method.policy for line in overall.methods] == ["relpscost"]


def test_summary_is_flat_strict_json_with_the_documented_keys(tmp_path: Path) -> None:
    records = [solved(f"i{i}", p, seconds=s + i) for i in range(3) for p, s in (("relpscost", 9.0), ("ours", 5.0))]
    records.append(failed("i3", "ours"))
    groups = compare(records, OPTIONS)
    clash = Disagreement(instance="i0", first="a", second="b")
    lines = summary_lines(groups, OPTIONS)
    write_summary(tmp_path / "summary.json", lines, OPTIONS, [clash])
    document = json.loads((tmp_path / "summary.json").read_text(), parse_constant=pytest.fail)
    assert document["n_disagreements"] == 1
    ours = next(line for line in document["results"] if line["policy"] == "ours")
    for stem in ("time", "post_root_time", "nodes", "fair_nodes", "lp_iterations"):
        for suffix in ("", "_low", "_high", "_p"):
            assert isinstance(ours[f"{stem}_ratio{suffix}"], float), stem + suffix
    for measure in MEASURES:
        assert ours[f"{measure.key}_ratio_n_pairs"] == 3, measure.key
    assert ours["p"] == ours["time_ratio_p"]
    assert (ours["solved"], ours["failures"], ours["family"], ours["size"]) == (3, 1, "set-cover", "easy")
    assert ours["user_time_ratio"] is None, "nothing was run under SCIP's default settings"
    assert not any(isinstance(value, (dict, list)) for value in ours.values())
    flat = flat_figures(lines)
    assert flat["set-cover/easy/paper/ours/time_ratio"] == ours["time_ratio"]
    assert not any(isinstance(value, str) for value in flat.values())


def test_bootstrap_is_reproducible() -> None:
    records = [
        solved(f"i{i}", p, seconds=1.0 + i * s) for i in range(4) for p, s in (("relpscost", 2.0), ("ours", 1.0))
    ]
    forth, back = (summary_lines(compare(rows, OPTIONS), OPTIONS) for rows in (records, records[::-1]))
    assert forth == back


def test_no_time_after_the_root_has_no_ratio() -> None:
    records = [solved(f"i{i}", p, seconds=2.0, root_seconds=2.0) for i in range(3) for p in ("relpscost", "ours")]
    ratio = line_of(records, "ours").ratios["post_root_time"]
    assert all(map(math.isnan, (ratio.value, ratio.low, ratio.high)))
    assert ratio.p == 1.0
