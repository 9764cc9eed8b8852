"""Size and speed of the shards of a collected dataset, against one gzipped pickle a sample.

Rates are per second of CPU time, which other load on the machine changes less than wall time.

python -m benchmarks.shards runs/demo/dataset
"""

from __future__ import annotations

import argparse
import gzip
import json
import pickle
import tempfile
import time
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np

from gnn_branching.shards import encode_episode, open_dataset, write_episode

PICKLE_LEVEL = 6


def benchmark(
    dataset: str, *, split: str = "train", n_reads: int = 3000, with_khalil: bool = True, seed: int = 0
) -> dict[str, float]:
    """Rewrite a split in both forms, and read it at random.

    Args:
        dataset: Folder of a dataset.
        split: Which split.
        n_reads: Random reads of the shards; a tenth of them of the pickles.
        with_khalil: Keep the Khalil features of samples that have them.
        seed: Of the order.

    Returns:
        Kilobytes a sample, and samples written and read a second, of both forms.
    """
    samples = list(open_dataset(dataset, split))
    if not with_khalil:
        samples = [replace(sample, state=replace(sample.state, candidate_features=None)) for sample in samples]
    episodes = [list(group) for _, group in groupby(samples, key=lambda sample: sample.origin.episode)]
    order = np.random.default_rng(seed).integers(0, len(samples), n_reads).tolist()
    with tempfile.TemporaryDirectory(prefix="gnn-branching-benchmark-") as name:
        folder = Path(name)
        start = time.process_time()
        for number, episode in enumerate(episodes):
            write_episode(folder / "train" / f"episode-{number:06d}.arrow", episode)
        written = time.process_time()
        for number, sample in enumerate(samples):
            (folder / f"{number}.pkl.gz").write_bytes(gzip.compress(pickle.dumps(sample), PICKLE_LEVEL))
        pickled = time.process_time()
        reader = open_dataset(folder, "train")
        opened = time.process_time()
        for index in order:
            reader[index]
        read = time.process_time()
        for index in order[: n_reads // 10]:
            pickle.loads(gzip.decompress((folder / f"{index}.pkl.gz").read_bytes()))
        unpickled = time.process_time()
        pickle_bytes = sum(path.stat().st_size for path in folder.glob("*.gz"))
    return {
        "n_samples": len(samples),
        "n_episodes": len(episodes),
        "n_edges_mean": float(np.mean([sample.state.n_edges for sample in samples])),
        "kilobytes_per_sample": sum(len(encode_episode(episode)) for episode in episodes) / len(samples) / 1e3,
        "writes_per_second": len(samples) / (written - start),
        "reads_per_second": n_reads / (read - opened),
        "pickle_kilobytes_per_sample": pickle_bytes / len(samples) / 1e3,
        "pickle_writes_per_second": len(samples) / (pickled - written),
        "pickle_reads_per_second": n_reads // 10 / (unpickled - read),
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--split", default="train")
    parser.add_argument("--n-reads", type=int, default=3000)
    parser.add_argument("--without-khalil", dest="with_khalil", action="store_false")
    parser.add_argument("--seed", type=int, default=0)
    print(json.dumps(benchmark(**vars(parser.parse_args())), indent=1))


if __name__ == "__main__":
    main()
