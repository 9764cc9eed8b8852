"""``gnn-branching policies``."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from gnn_branching.cli.output import JsonPath, write_figures


def policies(*, json: JsonPath = None) -> None:
    """List the policies that ship with the package, with their cards.

    Example: `gnn-branching policies --json policies.json`
    """
    from gnn_branching.policy import list_policies

    cards = list_policies()
    if not cards:
        print("no policy ships with this version; train one with train-policy")
    else:
        table = Table("name", "family", "sizes", "settings", "candidates", "kind", "acc@1", "acc@5", box=None)
        for column in table.columns:
            column.overflow = "fold"
        for name, card in cards.items():
            accuracy = [
                f"{card.metrics[key]:.3f}" if key in card.metrics else "–" for key in ("test_acc_1", "test_acc_5")
            ]
            sizes, settings = ", ".join(card.sizes), ", ".join(card.settings)
            table.add_row(name, card.family, sizes, settings, card.candidates, card.kind, *accuracy)
        Console().print(table)
    rows = [
        {
            "name": name,
            "kind": card.kind,
            "family": card.family,
            "sizes": list(card.sizes),
            "settings": list(card.settings),
            "metrics": dict(card.metrics),
        }
        for name, card in cards.items()
    ]
    write_figures(json, {"policies": rows})
