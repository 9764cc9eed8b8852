"""Cards, the one sentence, and alerts: what is said in words must be what the numbers say."""

from __future__ import annotations

from dataclasses import replace

import pytest
from records import failed, solved
from synthetic import TIME_LIMIT, made_up_rows

from gnn_branching.contracts import RuleStatistics, SolveRecord
from gnn_branching.evaluation.report.alerts import core_share, make_alerts
from gnn_branching.evaluation.report.sources import Sources
from gnn_branching.evaluation.report.verdicts import EVERYTHING, RuleVerdict, make_verdicts, overall_sentence
from gnn_branching.evaluation.solves.leavings import Conditions
from gnn_branching.evaluation.statistics.comparison import compare
from gnn_branching.evaluation.statistics.pairing import ComparisonOptions

OPTIONS = ComparisonOptions(time_limit_seconds=TIME_LIMIT, n_resamples=200)
ROWS = made_up_rows()


def verdicts_of(rows: list[SolveRecord]) -> tuple[RuleVerdict, ...]:
    return make_verdicts(compare(rows, OPTIONS), "relpscost")


def test_learned_rules_have_cards_and_everything_comes_first() -> None:
    everything, faster, unclear = verdicts_of(ROWS)
    assert (everything.policy, everything.instances) == ("gcnn", EVERYTHING)
    assert (faster.policy, faster.instances, faster.headline) == ("gcnn", "set-cover, easy", "faster")
    assert (unclear.instances, unclear.headline) == ("combinatorial-auction, easy", "no clear difference")
    assert faster.settings == "paper"
    assert [other.settings for other in faster.others] == ["default"]
    assert faster.basis == "8 instances, 16 pairs of solves"
    assert "solved 16 of 16 (relpscost: 16 of 16)" in faster.facts
    assert any("2 ms a decision" in fact for fact in faster.facts)


def test_the_sentence_counts_and_adds_up() -> None:
    verdicts = verdicts_of(ROWS)
    text = overall_sentence(verdicts, "relpscost")
    assert text.startswith(
        "Of 2 comparisons with SCIP's default rule (relpscost) under paper settings, gcnn is clearly faster in 1, "
        "clearly slower in 0, and undecided in 1. Over everything it takes 2"
    )
    assert text.endswith(
        " % less time. Under default settings: clearly faster in 1, clearly slower in 0, and undecided in 1."
    )
    two_rules = (*verdicts, replace(verdicts[1], policy="verified-top"))
    assert "the rules are clearly faster in 2" in overall_sentence(two_rules, "relpscost")
    assert "Over everything gcnn takes 2" in overall_sentence(two_rules, "relpscost")
    single = overall_sentence((replace(verdicts[1], others=()),), "relpscost")
    less = round(100 * (1 - verdicts[1].ratio.value))
    assert single == (
        f"gcnn is clearly faster: it takes {less} % less time than SCIP's default rule (relpscost) on set-cover, easy "
        "under paper settings."
    )


def test_other_settings_are_not_passed_over() -> None:
    faster = verdicts_of(ROWS)[1]
    (other,) = faster.others
    quoted = f"{other.ratio.value:.2f} [{other.ratio.low:.2f}, {other.ratio.high:.2f}]"
    assert str(other) == f"default settings: faster, {quoted}"
    assert overall_sentence((faster,), "relpscost").endswith(f" Under {other}.")


@pytest.mark.parametrize(
    ("baseline", "called"),
    [("relpscost", "SCIP's default rule (relpscost)"), ("pscost", "SCIP's pscost"), ("gcnn", "gcnn")],
)
def test_a_baseline_is_scips_only_if_it_is(baseline: str, called: str) -> None:
    rows = [row for row in ROWS if row.family == "set-cover"]
    options = replace(OPTIONS, baseline=baseline)
    sentence = overall_sentence(make_verdicts(compare(rows, options), baseline), baseline)
    assert f" {called} " in sentence


def test_few_instances_prove_nothing_however_many_seeds() -> None:
    rows = [row for row in made_up_rows(n_instances=5) if row.family == "set-cover"]
    (few,) = verdicts_of(rows)
    assert (few.headline, few.tone) == ("too few instances", "")
    assert "5 instances can prove nothing" in overall_sentence((few,), "relpscost")
    (one,) = verdicts_of([row for row in made_up_rows(1, 8) if row.family == "set-cover"])
    assert one.tone == "", "seeds of one instance say nothing about another instance"


def test_without_learned_rules_scips_own_have_cards() -> None:
    rows = [row for row in ROWS if row.policy != "gcnn" and row.family == "set-cover"]
    verdicts = verdicts_of(rows)
    assert {(verdict.policy, verdict.headline) for verdict in verdicts} == {("pscost", "faster"), ("random", "slower")}
    assert not any("a decision" in fact for verdict in verdicts for fact in verdict.facts)
    assert "the rules are clearly faster in 1, clearly slower in 1" in overall_sentence(verdicts, "relpscost")
    only_base = [row for row in rows if row.policy == "relpscost"]
    assert "nothing to compare" in overall_sentence(verdicts_of(only_base), "relpscost")


def test_a_policy_that_always_hands_over_still_has_a_card() -> None:
    handing_over = RuleStatistics(fallbacks={"no-lp": 5})
    rows = [
        solved(f"i{i}", p, rule=handing_over if p == "ours" else None) for i in range(3) for p in ("ours", "pscost")
    ]
    rows += [solved(f"i{i}") for i in range(3)]
    assert [verdict.policy for verdict in verdicts_of(rows)] == ["ours"]


def sources(records: list[SolveRecord], **changes: object) -> Sources:
    plain = Sources(
        records=tuple(records),
        settings_files={},
        conditions=(Conditions(time_limit_seconds=TIME_LIMIT),),
        optima={},
        n_repeated=0,
        trees=(),
        agreement={},
        metrics={},
        diagnoses=(),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_a_busy_machine_is_an_alert() -> None:
    calm = [solved(f"i{i}") for i in range(3)]
    assert list(make_alerts(sources(calm), ())) == []
    assert core_share(calm) == pytest.approx(0.9, rel=1e-12)
    assert core_share([failed()]) is None
    figures = calm[0].figures
    assert figures is not None
    slowed = replace(calm[0], figures=replace(figures, cpu_seconds=0.3 * figures.wall_seconds))
    (alert,) = make_alerts(sources([slowed]), ())
    assert "30 % of a core" in alert.title


def test_solves_that_the_guard_left_to_scip_are_an_alert() -> None:
    away = RuleStatistics(fallbacks={"guard-input": 9})
    home = RuleStatistics(n_decisions=9, fallbacks={"guard-gain": 2})
    unguarded = RuleStatistics(fallbacks={"decision-limit": 9})
    rows = [solved("i0", "ours", rule=away), solved("i1", "ours", rule=home), solved("i2", "ours", rule=unguarded)]
    (alert,) = make_alerts(sources([*rows, *(solved(f"i{i}") for i in range(3))]), ())
    assert "1 of 3 solves of ours" in alert.title
    assert alert.lines == ("i0",)


def test_folders_under_other_conditions_are_an_alert() -> None:
    both = (Conditions(time_limit_seconds=60.0), Conditions(time_limit_seconds=600.0))
    titles = [alert.title for alert in make_alerts(sources([solved()], conditions=both, n_repeated=2), ())]
    assert "60 s, 600 s" in titles[0]
    assert "2 solves are in several folders" in titles[1]
