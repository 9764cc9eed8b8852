"""``gnn-branching policies``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from gnn_branching.cli.output import JsonPath, results_console, write_figures

if TYPE_CHECKING:
    from gnn_branching.policy.card import PolicyCard


def policies(*, json: JsonPath = None) -> None:
    """List the policies that ship with the package, with their cards.

    Example: `gnn-branching policies --json policies.json`
    """
    from gnn_branching.policy import list_policies

    cards = list_policies()
    if not cards:
        print("no policy ships with this version; train one with train-policy")
    else:
        table = Table("name", "family", "sizes", "settings", "candidates", "acc@1", "acc@5", "recipe", box=None)
        for column in table.columns:
            column.overflow = "fold"
        for name, card in cards.items():
            accuracy = [
                f"{card.metrics[key]:.3f}" if key in card.metrics else "–" for key in ("test_acc_1", "test_acc_5")
            ]
            sizes, settings = ", ".join(card.sizes), ", ".join(card.settings)
            table.add_row(name, card.family, sizes, settings, card.candidates, *accuracy, _gain(card))
        results_console().print(table)
    rows = [
        {
            "name": name,
            "kind": card.kind,
            "family": card.family,
            "sizes": list(card.sizes),
            "settings": list(card.settings),
            "metrics": dict(card.metrics),
            "recipe": card.recipe is not None,
            "evidence": _evidence(card),
        }
        for name, card in cards.items()
    ]
    write_figures(json, {"policies": rows})


def _gain(card: PolicyCard) -> str:
    """Say what a policy's recipe saves."""
    if card.recipe is None or card.recipe.against_untouched.time_ratio is None:
        return "–"
    return f"{card.recipe.against_untouched.time_ratio:.2f} of untouched SCIP's time"


def _evidence(card: PolicyCard) -> list[dict[str, object]]:
    """Return every comparison that the card knows: time ratios with their intervals, and against what."""
    found = {"verdict": card.verdict}
    if card.recipe is not None:
        found |= {"recipe": card.recipe.against_untouched, "recipe, start": card.recipe.against_start}
    names = ("baseline", "settings", "time_ratio", "time_ratio_low", "time_ratio_high", "n_instances", "n_pairs")
    return [
        {"of": of} | {name: getattr(verdict, name) for name in names}
        for of, verdict in found.items()
        if verdict is not None
    ]
