"""The command line where Ecole cannot be imported, here and in the processes it starts; a tiny family beside others.

python -m tests.pipeline.without_ecole train-policy …
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec

from gnn_branching.cli import main
from gnn_branching.instances.family import Family, add_family
from gnn_branching.instances.set_cover import write_set_cover


class NoEcole:
    """An import hook that refuses Ecole."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: object = None) -> ModuleSpec | None:
        """Raise for Ecole, and leave everything else to others."""
        if name.partition(".")[0] == "ecole":
            raise ModuleNotFoundError(f"No module named {name!r} for this test", name=name)
        return None


# Processes that do the work import this module first: the hook is there before anything else.
sys.meta_path.insert(0, NoEcole())  # type: ignore[arg-type]
TINY = Family(
    name="tiny-cover",
    write=write_set_cover,
    sizes={"easy": {"n_rows": 200, "n_cols": 300, "density": 0.05, "max_coef": 100}},
    ecole="SetCover",
)
add_family(TINY)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
