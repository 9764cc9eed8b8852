"""The command line where Ecole cannot be imported, here and in the processes it starts; a tiny family beside others.

python -m tests.pipeline.without_ecole train-policy …
"""

from __future__ import annotations

import sys

from gnn_branching.cli import main
from gnn_branching.instances.family import Family, add_family
from gnn_branching.instances.set_cover import write_set_cover

# Python's way to say that a module cannot be found. Processes that do the work import this module first.
sys.modules["ecole"] = None  # type: ignore[assignment]
TINY = Family(
    name="tiny-cover",
    write=write_set_cover,
    sizes={"easy": {"n_rows": 200, "n_cols": 300, "density": 0.05, "max_coef": 100}},
    ecole="SetCover",
)
add_family(TINY)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
