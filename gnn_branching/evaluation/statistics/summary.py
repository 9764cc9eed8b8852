"""``summary.json``: every figure of the comparison under a flat, documented name."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType

from gnn_branching.durable import write_durably
from gnn_branching.evaluation.statistics.comparison import GroupComparison, MethodFigures
from gnn_branching.evaluation.statistics.disagreement import Disagreement
from gnn_branching.evaluation.statistics.estimators import RatioEstimate
from gnn_branching.evaluation.statistics.measures import MEASURES
from gnn_branching.evaluation.statistics.pairing import ComparisonOptions

SUMMARY_FILE = "summary.json"

Figure = float | int | str | None
Line = dict[str, Figure]
"""One method on one family and size: text keys ``family size policy settings baseline``, all others numbers."""
AS_SHOWN: Mapping[str, str] = MappingProxyType({})
"""No settings that are shown by another name than they were given by."""


def summary_lines(
    groups: Sequence[GroupComparison], options: ComparisonOptions, settings_files: Mapping[str, str] = AS_SHOWN
) -> tuple[Line, ...]:
    """Return one flat mapping per family, size, settings and policy.

    Keys: ``family, size, policy, settings, baseline``; ``n_instances, n_seeds, n_solves, solved, wins, timeouts,
    failures``; shifted geometric means ``time_seconds, cpu_seconds, root_seconds, primal_dual_integral`` and, over
    ``n_commonly_solved`` runs, ``nodes, fair_nodes, lp_iterations, strong_branching_lp_iterations``;
    ``time_deviation_percent``; ``n_decisions, n_fallbacks, decision_ms, feature_ms, inference_ms, rest_ms,
    decision_share_percent``; for each ``<measure>_ratio`` of ``time, post_root_time, cpu_time, nodes, fair_nodes,
    lp_iterations`` and for ``user_time_ratio`` (against untouched SCIP) the value and
    ``_low, _high`` (95 % bootstrap interval), ``_p`` (Wilcoxon over instances), ``_n_pairs``; ``p`` is
    ``time_ratio_p``. null: nothing can be said. Settings are those of the rows: ``settings_files`` maps back what a
    report shortens.
    """
    return tuple(_line(group, method, options, settings_files) for group in groups for method in group.methods)


def flat_figures(lines: Sequence[Line]) -> dict[str, float | int | None]:
    """Return all numbers in one object, keyed ``<family>/<size>/<settings>/<policy>/<figure>``."""
    return {
        f"{line['family']}/{line['size']}/{line['settings']}/{line['policy']}/{key}": value
        for line in lines
        for key, value in line.items()
        if not isinstance(value, str)
    }


def write_summary(
    path: Path, lines: Sequence[Line], options: ComparisonOptions, disagreements: Sequence[Disagreement] = ()
) -> None:
    """Write ``{"n_disagreements", "time_limit_seconds", "time_shift_seconds", "count_shift", "results": [line…]}``."""
    document: Mapping[str, object] = {
        "n_disagreements": len(disagreements),
        "time_limit_seconds": _finite(options.time_limit_seconds),
        "time_shift_seconds": options.time_shift_seconds,
        "count_shift": options.count_shift,
        "results": lines,
    }
    write_durably(path, (json.dumps(document, indent=2, allow_nan=False) + "\n").encode())


def _line(
    group: GroupComparison, line: MethodFigures, options: ComparisonOptions, settings_files: Mapping[str, str]
) -> Line:
    counts, means, price = line.counts, line.means, line.price
    figures: Line = {
        "family": group.family,
        "size": group.size,
        "policy": line.method.policy,
        "settings": settings_files.get(line.method.settings, line.method.settings),
        "baseline": options.baseline,
        "n_instances": group.n_instances,
        "n_seeds": group.n_seeds,
        "n_solves": counts.n_solves,
        "solved": counts.n_solved,
        "wins": counts.n_wins,
        "timeouts": counts.n_timeouts,
        "failures": counts.n_failures,
        **{name: _finite(value) for name, value in asdict(means).items()},
        "n_decisions": price.n_decisions,
        "n_fallbacks": price.n_fallbacks,
        "decision_ms": _finite(price.decision_ms),
        "feature_ms": _finite(price.feature_ms),
        "inference_ms": _finite(price.inference_ms),
        "rest_ms": _finite(price.rest_ms),
        "decision_share_percent": _finite(price.share_percent),
    }
    for measure in MEASURES:
        figures |= _ratio(f"{measure.key}_ratio", line.ratios[measure.key])
    figures |= _ratio("user_time_ratio", line.user_time_ratio)
    figures["p"] = figures["time_ratio_p"]
    return figures


def _ratio(key: str, ratio: RatioEstimate) -> Line:
    return {
        key: _finite(ratio.value),
        f"{key}_low": _finite(ratio.low),
        f"{key}_high": _finite(ratio.high),
        f"{key}_p": _finite(ratio.p),
        f"{key}_n_pairs": ratio.n_pairs,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
