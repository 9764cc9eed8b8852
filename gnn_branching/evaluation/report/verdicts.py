"""What a busy person reads: one card a rule and group, one sentence for everything."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gnn_branching.config import BASELINE_RULE, SCIP_RULES
from gnn_branching.evaluation.report.comparison_tables import group_title
from gnn_branching.evaluation.report.tables import Tone, format_estimate, format_ratio, ratio_tone
from gnn_branching.evaluation.statistics.comparison import ALL, UNTOUCHED, GroupComparison, MethodFigures
from gnn_branching.evaluation.statistics.estimators import RatioEstimate

EVERYTHING = "all instances"
MIN_INSTANCES = 6
"""Below six, no signed-rank test can reach p < 0.05 (at best 2/2⁵)."""
TOO_FEW = "too few instances"


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherSettings:
    """A rule's time ratio under settings that are not a card's main ones."""

    settings: str
    headline: str
    ratio: RatioEstimate
    tone: Tone

    def __str__(self) -> str:
        """Return it in a few words."""
        figures = f", {format_estimate(self.ratio)}" if math.isfinite(self.ratio.value) else ""
        return f"{self.settings} settings: {self.headline}{figures}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleVerdict:
    """One rule against the baseline on one family and size.

    Args:
        policy: The rule.
        instances: Family and size.
        settings: Named SCIP settings.
        tone: Good if clearly faster, bad if clearly slower.
        headline: A few words.
        ratio: Time ratio under the same settings.
        sentence: What the ratio means.
        basis: Over what.
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
    basis: str
    facts: tuple[str, ...]
    others: tuple[OtherSettings, ...] = ()


def make_verdicts(groups: Sequence[GroupComparison], baseline: str) -> tuple[RuleVerdict, ...]:
    """Return a verdict for each learned rule in each group, on everything first; without learned rules, for all.

    A rule's first settings lead, the others are beside them.
    """
    found: list[RuleVerdict] = []
    any_learned = has_learned(groups)
    for group in sorted(groups, key=lambda group: group.family != ALL):
        rivals = [line for line in group.methods if line.method.policy != baseline]
        shown = [line for line in rivals if line.is_learned or not any_learned]
        for policy in dict.fromkeys(line.method.policy for line in shown):
            main, *rest = (line for line in shown if line.method.policy == policy)
            others = tuple(_other(line) for line in rest)
            found.append(replace(_verdict(main, group, baseline), others=others))
    return tuple(found)


def has_learned(groups: Sequence[GroupComparison]) -> bool:
    """Return whether a learned rule was asked in any of these runs."""
    return any(line.is_learned for group in groups for line in group.methods)


def overall_sentence(verdicts: Sequence[RuleVerdict], baseline: str) -> str:
    """Return one honest sentence over all comparisons of single groups, and one over everything together."""
    own = [verdict for verdict in verdicts if verdict.instances != EVERYTHING]
    if not own:
        return f"Only {_in_words(baseline)} was run: there is nothing to compare."
    if len(own) == 1:
        return " ".join([_single_sentence(own[0], baseline), *(f"Under {other}." for other in own[0].others)])
    settings = " and ".join(dict.fromkeys(verdict.settings for verdict in own))
    rival = _in_words(baseline)
    policies = list(dict.fromkeys(verdict.policy for verdict in own))
    subject = policies[0] if len(policies) == 1 else "the rules"
    verb = "is" if len(policies) == 1 else "are"
    counted = _tally([verdict.tone for verdict in own])
    text = f"Of {len(own)} comparisons with {rival} under {settings} settings, {subject} {verb} {counted}."
    total = [verdict for verdict in verdicts if verdict.instances == EVERYTHING]
    if len(total) == 1 and math.isfinite(total[0].ratio.value):
        who = "it" if len(policies) == 1 else total[0].policy
        text += f" Over everything {who} takes {_difference(total[0].ratio.value)}."
    others = [other for verdict in own for other in verdict.others]
    for name in dict.fromkeys(other.settings for other in others):
        counted = _tally([other.tone for other in others if other.settings == name])
        text += f" Under {name} settings: {counted}."
    return text


def _tally(tones: Sequence[Tone]) -> str:
    n_better, n_worse = tones.count(Tone.GOOD), tones.count(Tone.BAD)
    return (
        f"clearly faster in {n_better}, clearly slower in {n_worse}, and undecided in {len(tones) - n_better - n_worse}"
    )


def _single_sentence(verdict: RuleVerdict, baseline: str) -> str:
    where = f"on {verdict.instances} under {verdict.settings} settings"
    estimate, rival = verdict.ratio, _in_words(baseline)
    if not math.isfinite(estimate.value):
        return f"{verdict.policy} cannot be compared with {rival} {where}: no runs in common."
    took = f"{_difference(estimate.value)} {'as' if estimate.value >= 2 else 'than'} {rival} {where}"
    if verdict.headline == TOO_FEW:
        few = _counted(estimate.n_instances, "instance")
        return f"{verdict.policy} took {took}, but {few} can prove nothing."
    if verdict.tone is Tone.PLAIN:
        return f"No clear difference: {verdict.policy} took {took}."
    return f"{verdict.policy} is clearly {verdict.headline}: it takes {took}."


def _in_words(baseline: str) -> str:
    if baseline == BASELINE_RULE:
        return f"SCIP's default rule ({baseline})"
    return f"SCIP's {baseline}" if baseline in SCIP_RULES else baseline


def _difference(ratio: float) -> str:
    """Return ``40 % less time``, ``25 % more time`` or ``3.5 times as much time``."""
    if ratio >= 2:
        return f"{ratio:.1f} times as much time"
    return f"{abs(100 * (1 - ratio)):.0f} % {'less' if ratio < 1 else 'more'} time"


def _other(line: MethodFigures) -> OtherSettings:
    estimate = line.ratios["time"]
    return OtherSettings(
        settings=line.method.settings, headline=_headline(estimate), ratio=estimate, tone=ratio_tone(estimate)
    )


def _headline(estimate: RatioEstimate) -> str:
    if not math.isfinite(estimate.value):
        return "not comparable"
    if estimate.n_instances < MIN_INSTANCES:
        return TOO_FEW
    return {Tone.GOOD: "faster", Tone.BAD: "slower"}.get(ratio_tone(estimate), "no clear difference")


def _verdict(line: MethodFigures, group: GroupComparison, baseline: str) -> RuleVerdict:
    estimate = line.ratios["time"]
    sentence = f"× {baseline}'s time"
    if not math.isfinite(estimate.value):
        sentence = f"No runs of {baseline} on the same instances and seeds under these settings."
    return RuleVerdict(
        policy=line.method.policy,
        instances=EVERYTHING if group.family == ALL else group_title(group.family, group.size),
        settings=line.method.settings,
        tone=ratio_tone(estimate),
        headline=_headline(estimate),
        ratio=estimate,
        sentence=sentence,
        basis=f"{_counted(estimate.n_instances, 'instance')}, {_counted(estimate.n_pairs, 'pair')} of solves",
        facts=tuple(_facts(line, group, baseline)),
    )


def _counted(n: int, word: str) -> str:
    return f"{n} {word}{'' if n == 1 else 's'}"


def _facts(line: MethodFigures, group: GroupComparison, baseline: str) -> list[str]:
    counts = line.counts
    rivals = [other for other in group.methods if other.method.settings == line.method.settings]
    base = next((other for other in rivals if other.method.policy == baseline), None)
    solved = f"solved {counts.n_solved} of {counts.n_solves}"
    facts = [f"{solved} ({baseline}: {base.counts.n_solved} of {base.counts.n_solves})" if base else solved]
    nodes = line.ratios["nodes"]
    if math.isfinite(nodes.value):
        price = f", {line.price.decision_ms:.2g} ms a decision" if line.price.n_decisions else ""
        facts.append(f"{format_ratio(nodes.value)} × its tree nodes{price}")
    user = line.user_time_ratio
    is_said_already = UNTOUCHED in (line.method, replace(line.method, policy=baseline))
    if math.isfinite(user.value) and not is_said_already:
        facts.append(f"{format_estimate(user)} × untouched SCIP's time")
    return facts
