"""A collector to be killed: ``python -m tests.collection.collector FOLDER N_TRAIN_SAMPLES``."""

from __future__ import annotations

import sys
from pathlib import Path

from gnn_branching.collection import collect_dataset
from gnn_branching.contracts import InputError
from gnn_branching.execution import LocalExecutor
from tests.collection.toys import toy_config, toy_instances, toy_sampler

N_ATTEMPTS = 5
"""More than a test kills workers: an episode whose process dies this often is set aside, as it should be."""


def main(folder: Path, n_train: int) -> int:
    """Collect the toy dataset into ``folder``; 2 if that cannot be."""
    instances = toy_instances(folder / "i")
    try:
        config = toy_config(n_train, 4, 3)
        collect_dataset(
            config, instances, folder / "d", LocalExecutor(workers=2, attempts=N_ATTEMPTS), sampler=toy_sampler
        )
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
