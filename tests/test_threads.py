"""How OpenMP's threads wait is settled before PyTorch reads it, by any command."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SPY = """
import os, sys

class Spy:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(os.environ.get("OMP_WAIT_POLICY"))
            sys.meta_path.remove(self)

sys.meta_path.insert(0, Spy())
import gnn_branching.cli
import {module}
"""


@pytest.mark.parametrize(
    "module", ["diagnostics.tracking.tracker", "training.loop", "model.network", "policy.torch_runtime"]
)
@pytest.mark.parametrize(("said", "read"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_sleep_unless_told_otherwise(module: str, said: str | None, read: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    if said is not None:
        environment["OMP_WAIT_POLICY"] = said
    code = SPY.format(module=f"gnn_branching.{module}")
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [read]


def test_importing_the_library_changes_no_environment_variable() -> None:
    code = "import os; before = dict(os.environ); import gnn_branching.pipeline; raise SystemExit(os.environ != before)"
    subprocess.run([sys.executable, "-c", code], check=True)
