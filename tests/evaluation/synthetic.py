"""A whole evaluation's folder, made up: rows with a known ratio, trees, agreement, a training, diagnostics."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from records import solved

from gnn_branching.contracts import AgreementRecord, RuleStatistics, SolveRecord, SolveStatus, TreeNodeRecord
from gnn_branching.evaluation.solves.leavings import (
    Conditions,
    PolicyAgreement,
    TreeEntry,
    write_agreement,
    write_conditions,
    write_tree_index,
)
from gnn_branching.evaluation.solves.results import write_results
from gnn_branching.evaluation.solves.trees import write_tree

TIME_LIMIT = 60.0
FACTORS = {"relpscost": 1.0, "pscost": 0.8, "gcnn": 0.6, "random": 3.5}
GROUPS = (("set-cover", "easy"), ("combinatorial-auction", "easy"))
VERSIONS = json.dumps(
    {"cpu": "Toy CPU", "n_cores": 2, "packages": {"pyscipopt": "6.3.0"}, "python": "3.11", "system": "Linux"}
)


def made_up_rows(n_instances: int = 8, n_seeds: int = 2) -> list[SolveRecord]:
    """Return rows in which ``gcnn`` takes 0.6 of the baseline's time on the first group and 1.0 on the second."""
    rng = np.random.default_rng(3)
    rows: list[SolveRecord] = []
    for number, (family, size) in enumerate(GROUPS):
        for i in range(n_instances):
            difficulty = 5 + rng.lognormal(1.8, 0.8)
            for seed in range(n_seeds):
                for settings, slower in (("paper", 1.0), ("default", 1.4)):
                    for policy, factor in FACTORS.items():
                        own = 1.0 if policy == "gcnn" and number else factor
                        seconds = difficulty * own * slower * rng.lognormal(0, 0.05)
                        rows.append(made_up_row(f"{family}/{i:03d}.lp", policy, seed, seconds, settings, family, size))
    return rows


def made_up_row(
    instance: str, policy: str, seed: int, seconds: float, settings: str, family: str, size: str
) -> SolveRecord:
    nodes = max(1, int(30 * seconds))
    rule = RuleStatistics(fallbacks={})
    if policy == "gcnn":
        rule = replace(rule, n_decisions=nodes, decision_seconds=2e-3 * nodes, inference_seconds=1e-3 * nodes)
    is_solved = seconds < TIME_LIMIT
    return solved(
        instance,
        policy,
        seed=seed,
        seconds=min(seconds, TIME_LIMIT),
        nodes=nodes,
        value=100.0,
        dual=100.0 if is_solved else 90.0,
        status=SolveStatus.OPTIMAL if is_solved else SolveStatus.TIME_LIMIT,
        settings=settings,
        family=family,
        size=size,
        rule=rule,
        versions=VERSIONS,
    )


def made_up_tree(n_nodes: int) -> list[TreeNodeRecord]:
    return [
        TreeNodeRecord(
            number=i,
            parent=i // 2,
            depth=int(math.log2(i)),
            lower_bound=90.0,
            variable="x" if 2 * i <= n_nodes else "",
            score=0.5,
            wall_seconds=0.01 * i,
            primal_bound=100.0 if i > 3 else math.inf,
            dual_bound=90.0 + 10 * i / n_nodes,
        )
        for i in range(1, n_nodes + 1)
    ]


def write_everything(folder: Path, rows: list[SolveRecord]) -> None:
    """Fill a folder as evaluate, train-policy and diagnose would."""
    write_results(folder / "results.parquet", rows)
    write_conditions(folder, Conditions(time_limit_seconds=TIME_LIMIT, memory_limit_mib=4096, n_workers=2))
    (folder / "trees").mkdir()
    entries = []
    for policy, n_nodes in (("gcnn", 63), ("relpscost", 31)):
        write_tree(folder / "trees" / f"{policy}.jsonl", made_up_tree(n_nodes))
        path = f"trees/{policy}.jsonl"
        entries.append(TreeEntry(instance="set-cover/000.lp", policy=policy, settings="paper", seed=0, path=path))
    write_tree_index(folder, entries)
    agreement = (
        AgreementRecord(instance="a", depth=i % 20, n_candidates=9, agrees=i % 3 > 0, in_top=True, score_ratio=0.9)
        for i in range(200)
    )
    write_agreement(folder / "agreement.jsonl", (PolicyAgreement(policy="gcnn", record=own) for own in agreement))
    run = folder / "my-run"
    run.mkdir()
    epochs = (
        {"epoch": i, "train_loss": 1 + 1 / i, "valid_loss": 1.2 + 1 / i, "acc_1": 0.6 - 0.4 / i, "is_best": True}
        for i in range(1, 20)
    )
    (run / "metrics.jsonl").write_text("".join(json.dumps(epoch) + "\n" for epoch in epochs))
    finding = {"name": "sandwich", "value": 0.3, "bound": 0.5, "verdict": "holds", "statement": "<b>Not markup</b>"}
    skipped = {"name": "linearity", "value": None, "bound": None, "verdict": "not_applicable", "statement": "ReLU."}
    advice = {"topic": "learning-rate", "recommendation": "Keep it", "measured": "2.0", "assumptions_met": True}
    diagnosis = {
        "name": "my-run",
        "headline": {
            "limit": "data",
            "advice": "collect more samples",
            "evidence": ["gap 0.3"],
            "gain": {"value": 0.1},
            "record": "right in 16 of 25",
        },
        "findings": [finding, skipped],
        "advice": [advice],
        "numbers": {"mu": 1.0},
    }
    (run / "diagnostics").mkdir()
    (run / "diagnostics" / "diagnosis.json").write_text(json.dumps(diagnosis))
    draw = Figure(figsize=(2, 1))
    draw.subplots().plot([0, 1])
    draw.savefig(run / "diagnostics" / "training.png")
