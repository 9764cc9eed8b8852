"""How well do policies imitate strong branching, by number of samples, kind, size of the instances, and settings?

For one family, trains the graph network and the three published baselines on growing parts of a dataset of EASY
instances (``--n-train``), then the network's variants on one part of it, and measures each on held-out easy samples, on
samples of MEDIUM instances, and on samples of easy instances under SCIP's DEFAULT settings. Only the rows of
``MIXTURES`` have trained on any of the last two. Datasets come from ``gnn-branching collect`` with ``--set
collection.khalil_features=true``; the medium one also with ``--set 'instances.sizes=["medium"]'``, the last one with
``--set collection.settings=default``. Only the easy one has to be there.

    python -m scripts.accuracy_experiment set-cover --easy DATASET --medium DATASET --default DATASET --out OUT

Every policy is a line of ``results.jsonl``; what is there is not trained again, only measured on a dataset that is new,
and what was interrupted goes on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from gnn_branching.contracts import FloatArray
from gnn_branching.dataset.source import SubsetSource
from gnn_branching.pipeline import read_experiment, train_policy
from gnn_branching.policy import load_policy
from gnn_branching.policy.kind import kind_names
from gnn_branching.run_folder import RunFolder
from gnn_branching.shards import open_dataset
from gnn_branching.training.metrics import policy_ranks
from scripts.results_file import append_result, read_results

N_TRAIN = (2000, 5000, 10_000)
N_VARIANTS = 5000
"""Training samples of the variants."""
N_TEST = {"easy": 1000, "medium": 250, "default": 250}
"""Test samples by dataset."""
MIXTURES = {
    "mixed sizes": {"easy": 4500, "medium": 500},
    "both settings": {"easy": 4000, "default": 1000},
    "everything": {"easy": 10_000, "medium": 500, "default": 1000},
}
"""Variants that train on several datasets: training samples of each."""
TOP = (1, 5, 10)
REFERENCE = f"gcnn {N_VARIANTS}"
"""The row that the variants are compared with, sample by sample."""
VARIANTS: dict[str, tuple[str, ...]] = {
    "mean aggregation": ("model.aggregation=mean",),
    "sqrt aggregation": ("model.aggregation=sqrt",),
    "loss: pairwise": ("training.loss=pairwise",),
    "loss: listwise": ("training.loss=listwise",),
    "two rounds": ("model.n_rounds=2",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One policy of the table.

    Args:
        name: Unique in a family.
        n_train: Training samples of each dataset.
        overrides: What it changes in the family's configuration, read as one for whole LPs.
    """

    name: str
    n_train: dict[str, int]
    overrides: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """Name of its run folder."""
        return self.name.replace(": ", "-").replace(" ", "-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One policy and what it ranked; a line of ``results.jsonl``.

    Args:
        family: Problem family.
        row: Name of the row.
        n_train: Training samples.
        ranks: Per dataset, for every test sample, the policy's rank, from 0, of the first of the expert's best.
        instances: Per dataset, for every test sample, a number that its instance's samples share.
    """

    family: str
    row: str
    n_train: int
    ranks: dict[str, list[int]]
    instances: dict[str, list[int]]

    def hits(self, dataset: str, k: int) -> FloatArray:
        """Return 1 for every test sample that is hit at ``k``, else 0."""
        return (np.array(self.ranks[dataset]) < k).astype(float)


def plan(sizes: Iterable[int] = N_TRAIN) -> Iterator[Row]:
    """Yield every kind, and the network on subproblems, on growing parts of the samples, then the variants."""
    for n_train in sizes:
        for kind in kind_names():
            yield Row(name=f"{kind} {n_train}", n_train={"easy": n_train}, overrides=(f"model.kind={kind}",))
        yield Row(name=f"subproblem {n_train}", n_train={"easy": n_train}, overrides=("model.graph=subproblem",))
    for name, overrides in VARIANTS.items():
        yield Row(name=name, n_train={"easy": N_VARIANTS}, overrides=overrides)
    for name, mixture in MIXTURES.items():
        yield Row(name=name, n_train=mixture)


def lacks(row: Row, datasets: dict[str, Path]) -> str:
    """Say which dataset a row cannot be trained without; nothing if all its samples are there."""
    for name, wanted in row.n_train.items():
        n = len(open_dataset(datasets[name], "train")) if name in datasets else 0
        if n < wanted:
            return f"{row.name}: needs {wanted} {name} training samples, there are {n}"
    return ""


def train(family: str, row: Row, datasets: dict[str, Path], out: Path, overrides: Sequence[str]) -> None:
    """Train one policy, or go on with it."""
    samples = (
        f"collection.n_train_samples={row.n_train['easy']}",
        f"collection.n_test_samples={N_TEST['easy']}",
    )
    experiment = read_experiment(
        Path("configs") / f"{family}.toml", [*samples, "model.graph=lp", *row.overrides, *overrides]
    )
    folder = RunFolder(path=out / family / row.folder)
    train_policy(experiment, folder, datasets=[datasets[name] for name in row.n_train], verdict_seconds=0)


def measure(family: str, row: Row, datasets: dict[str, Path], out: Path) -> Measured:
    """Rank the test samples of every dataset with a trained policy."""
    policy = load_policy(RunFolder(path=out / family / row.folder).policy)
    ranks: dict[str, list[int]] = {}
    instances: dict[str, list[int]] = {}
    for name, dataset in datasets.items():
        reader = open_dataset(dataset, "test")
        source = SubsetSource(reader, range(min(len(reader), N_TEST[name])))
        ranks[name] = policy_ranks(policy, source).tolist()
        hashes = [reader.origin(index).instance_sha256 for index in range(len(source))]
        instances[name] = np.unique(hashes, return_inverse=True)[1].tolist()
    n_train = sum(row.n_train.values())
    return Measured(family=family, row=row.name, n_train=n_train, ranks=ranks, instances=instances)


def mean_and_error(values: FloatArray, clusters: Sequence[int]) -> tuple[float, float]:
    """Return the mean and its standard error, with the samples of an instance taken as dependent.

    The cluster-robust estimate (Liang and Zeger 1986), with Bessel's correction for the number of clusters.
    """
    mean = float(values.mean())
    sums = np.bincount(clusters, weights=values - mean)
    n_clusters = len(sums)
    return mean, float(np.sqrt(n_clusters / (n_clusters - 1) * np.square(sums).sum())) / len(values)


def table(measured: Sequence[Measured], family: str) -> Iterator[str]:
    """Yield one family's tables as Markdown: every policy, then the variants' differences to the reference."""
    found = {m.row: m for m in measured if m.family == family}
    sizes = sorted({m.n_train for m in found.values()})
    own = {row.name: found[row.name] for row in plan(sizes) if row.name in found}
    datasets = [name for name in N_TEST if all(name in m.ranks for m in own.values())]
    yield from _header(["policy", "samples"], datasets)
    for m in own.values():
        cells = [_cell(*mean_and_error(m.hits(name, k), m.instances[name])) for name in datasets for k in TOP]
        yield f"| {m.row.removesuffix(f' {m.n_train}')} | {m.n_train} | {' | '.join(cells)} |"
    if REFERENCE not in own:
        return
    yield ""
    yield from _header([f"against the graph network at {N_VARIANTS}"], datasets)
    reference = own[REFERENCE]
    for row in (*VARIANTS, *MIXTURES):
        if row in own and own[row].n_train == reference.n_train:
            differences = (
                mean_and_error(own[row].hits(name, k) - reference.hits(name, k), reference.instances[name])
                for name in datasets
                for k in TOP
            )
            yield f"| {row} | {' | '.join(_cell(*d, sign=True) for d in differences)} |"


def _header(first: Sequence[str], datasets: Iterable[str]) -> Iterator[str]:
    columns = [*first, *(f"{name} @{k}" for name in datasets for k in TOP)]
    yield f"| {' | '.join(columns)} |"
    yield "|---" * len(columns) + "|"


def _cell(mean: float, error: float, *, sign: bool = False) -> str:
    return f"{100 * mean:{'+' if sign else ''}.1f} ± {100 * error:.1f}"


def read(out: Path) -> list[Measured]:
    """Return what was measured so far."""
    return [Measured(**line) for line in read_results(out)]


def markdown(folders: Sequence[Path]) -> str:
    """Return every family's tables from the rows in some folders."""
    measured = [m for folder in folders for m in read(folder)]
    families = dict.fromkeys(m.family for m in measured)
    return "\n".join(line for family in families for line in ("", f"### {family}", "", *table(measured, family)))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family")
    parser.add_argument("--easy", type=Path, required=True)
    parser.add_argument("--medium", type=Path)
    parser.add_argument("--default", type=Path)
    parser.add_argument("--n-train", type=int, nargs="*", default=N_TRAIN, help="training samples; default %(default)s")
    parser.add_argument("--rows", nargs="*", help="only rows whose names contain one of these")
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    parser.add_argument("--out", type=Path, default=Path("runs/accuracy"))
    given = parser.parse_args()
    datasets = {name: dataset for name in N_TEST if (dataset := getattr(given, name))}
    for row in plan(given.n_train):
        if given.rows and not any(part in row.name for part in given.rows):
            continue
        before = {m.row: m for m in read(given.out) if m.family == given.family}.get(row.name)
        if before and before.ranks.keys() >= datasets.keys():
            continue
        if not before:
            if missing := lacks(row, datasets):
                print(missing, file=sys.stderr)
                continue
            train(given.family, row, datasets, given.out, given.overrides)
        append_result(given.out, asdict(measure(given.family, row, datasets, given.out)))


if __name__ == "__main__":
    main()
