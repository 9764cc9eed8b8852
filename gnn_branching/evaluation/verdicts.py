"""What a busy person reads: one card a learned rule and group, one sentence for everything."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gnn_branching.evaluation.comparison import ALL, GroupComparison, MethodFigures
from gnn_branching.evaluation.report_tables import group_title
from gnn_branching.evaluation.statistics import RatioEstimate
from gnn_branching.evaluation.tables import Tone, is_better, is_worse

EVERYTHING = "all instances"
MIN_INSTANCES = 6
"""Below six, no signed-rank test can reach p < 0.05 (at best 2/2⁵)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherSettings:
    """A rule's time ratio under settings that are not a card's main ones."""

    settings: str
    ratio: RatioEstimate
    tone: Tone


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One learned rule against the baseline on one family and size.

    Args:
        policy: The rule.
        instances: Family and size.
        settings: Named SCIP settings.
        tone: Good if clearly faster, bad if clearly slower.
        headline: One or two words.
        ratio: Time ratio under the same settings.
        sentence: What the ratio means, and over what.
        facts: Further short statements.
        others: The same under other settings.
    """

    policy: str
    instances: str
    settings: str
    tone: Tone
    headline: str
    ratio: RatioEstimate
    sentence: str
    facts: tuple[str, ...]
    others: tuple[OtherSettings, ...] = ()


def learned_verdicts(groups: Sequence[GroupComparison], baseline: str) -> tuple[Verdict, ...]:
    """Return a verdict for each learned rule in each group; its first settings lead, the others are beside them."""
    found: list[Verdict] = []
    for group in groups:
        learned = [line for line in group.methods if line.price.n_decisions]
        for policy in dict.fromkeys(line.method.policy for line in learned):
            main, *rest = (line for line in learned if line.method.policy == policy)
            others = tuple(_other(line) for line in rest)
            found.append(replace(_verdict(main, group, baseline), others=others))
    return tuple(found)


def overall_sentence(verdicts: Sequence[Verdict], baseline: str) -> str:
    """Return one honest sentence over all comparisons of single groups."""
    own = [verdict for verdict in verdicts if verdict.instances != EVERYTHING]
    settings = " and ".join(dict.fromkeys(verdict.settings for verdict in own))
    if not own:
        return "No learned rule branched in these runs: this page compares SCIP's own rules."
    n_better = sum(verdict.tone is Tone.GOOD for verdict in own)
    n_worse = sum(verdict.tone is Tone.BAD for verdict in own)
    if len(own) == 1:
        outcome = {Tone.GOOD: "faster than", Tone.BAD: "slower than"}.get(own[0].tone, "not clearly different from")
        return f"{own[0].policy} is {outcome} SCIP's {baseline} on {own[0].instances} ({own[0].settings} settings)."
    unclear = len(own) - n_better - n_worse
    return (
        f"Of {len(own)} comparisons with SCIP's {baseline} ({settings} settings), the learned rules are clearly faster "
        f"in {n_better}, clearly slower in {n_worse}, and undecided in {unclear}."
    )


def _other(line: MethodFigures) -> OtherSettings:
    estimate = line.ratios["time"]
    return OtherSettings(settings=line.method.settings, ratio=estimate, tone=_tone(estimate))


def _tone(estimate: RatioEstimate) -> Tone:
    return Tone.GOOD if is_better(estimate) else Tone.BAD if is_worse(estimate) else Tone.PLAIN


def _verdict(line: MethodFigures, group: GroupComparison, baseline: str) -> Verdict:
    estimate = line.ratios["time"]
    tone = _tone(estimate)
    headline = {Tone.GOOD: "faster", Tone.BAD: "slower"}.get(tone, "no clear difference")
    if not math.isfinite(estimate.value):
        headline = "not comparable"
    elif estimate.n_instances < MIN_INSTANCES:
        headline = "too few instances to tell"
    return Verdict(
        policy=line.method.policy,
        instances=EVERYTHING if group.family == ALL else group_title(group.family, group.size),
        settings=line.method.settings,
        tone=tone,
        headline=headline,
        ratio=estimate,
        sentence=_sentence(estimate, baseline),
        facts=tuple(_facts(line, group, baseline)),
    )


def _sentence(estimate: RatioEstimate, baseline: str) -> str:
    if not math.isfinite(estimate.value):
        return f"No runs of {baseline} on the same instances and seeds under these settings."
    over = f"{estimate.n_instances} instances, {estimate.n_pairs} pairs"
    return f"of {baseline}'s time ({over})"


def _facts(line: MethodFigures, group: GroupComparison, baseline: str) -> list[str]:
    counts = line.counts
    rivals = [other for other in group.methods if other.method.settings == line.method.settings]
    base = next((other for other in rivals if other.method.policy == baseline), None)
    solved = f"solved {counts.n_solved} of {counts.n_solves}"
    facts = [f"{solved} ({baseline}: {base.counts.n_solved} of {base.counts.n_solves})" if base else solved]
    nodes = line.ratios["nodes"]
    if math.isfinite(nodes.value):
        facts.append(f"{nodes.value:.1f}× its tree nodes, {line.price.decision_ms:.2g} ms a decision")
    user = line.user_time_ratio
    if math.isfinite(user.value) and line.method.settings != "default":
        interval = f" [{user.low:.2f}, {user.high:.2f}]" if math.isfinite(user.low) else ""
        facts.append(f"{user.value:.2f}{interval} of untouched SCIP's time")
    return facts
