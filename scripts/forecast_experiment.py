"""How far off are predicted epochs to a target? A back-test on real trainings, published as it is.

For each training, the forecast sees the training losses of the first 30 % of the epochs (at least six) and predicts
when later losses were reached. Three trainings are made here on each dataset; others are given as run folders.

    python -m scripts.forecast_experiment set-cover=runs/set-cover/dataset --run runs/demo --out runs/forecast

The training losses of every training are a line of ``results.jsonl``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gnn_branching.diagnostics.measures.forecast import LEAST_EPOCHS, back_test
from gnn_branching.model.network import initial_network
from gnn_branching.training.loop import train
from gnn_branching.training.outputs import read_metrics
from scripts.learning_rate_experiment import MODEL, TRAINING, load
from scripts.results_file import append_result, read_results

N_EPOCHS = 30
SETTINGS = {
    "constant rate 1e-3": replace(TRAINING, learning_rate=1e-3, schedule="plateau", patience=1000, n_epochs=N_EPOCHS),
    "constant rate 3e-3": replace(TRAINING, learning_rate=3e-3, schedule="plateau", patience=1000, n_epochs=N_EPOCHS),
    "one-cycle to 4e-3": replace(TRAINING, learning_rate=4e-3, schedule="one-cycle", n_epochs=N_EPOCHS),
}


def train_all(family: str, dataset: Path, out: Path) -> list[tuple[str, Path]]:
    """Train what is missing on one dataset; return names and run folders."""
    data = load(family, dataset)
    runs = []
    for name, config in SETTINGS.items():
        folder = out / family / name.replace(" ", "-")
        folder.mkdir(parents=True, exist_ok=True)
        train(initial_network(MODEL, 0), data.train, data.valid, config, seed=0, run_folder=folder, display="none")
        runs.append((f"{family}, {name}", folder))
        print(runs[-1][0], flush=True)
    return runs


def markdown(folders: Sequence[Path]) -> str:
    """Return the back-tests of the trainings in some folders, those too short to be tested left out."""
    lines = [
        "| training | epochs | seen | targets | median error | median signed error | interval held |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in (row for folder in folders for row in read_results(folder)):
        losses = row["train_losses"]
        if len(losses) > LEAST_EPOCHS:
            found = back_test(losses)
            lines.append(
                f"| {row['training']} | {len(losses)} | {found.n_epochs_seen} | {found.n_forecasts} | "
                f"{found.median_relative_error:.0%} | {found.median_signed_error:+.0%} | {found.coverage:.0%} |"
            )
    return "\n".join(lines)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="*", metavar="FAMILY=DATASET")
    parser.add_argument("--run", action="append", type=Path, default=[], help="run folder of another training")
    parser.add_argument("--out", type=Path, default=Path("runs/forecast"))
    given = parser.parse_args()
    runs = [(folder.name, folder) for folder in given.run]
    for item in given.datasets:
        family, _, folder = item.partition("=")
        runs += train_all(family, Path(folder), given.out)
    done = {row["training"] for row in read_results(given.out)}
    for name, folder in runs:
        if name not in done:
            losses = [epoch.train_loss for epoch in read_metrics(folder / "metrics.jsonl")]
            append_result(given.out, {"training": name, "train_losses": losses})
    print(markdown([given.out]))


if __name__ == "__main__":
    main()
