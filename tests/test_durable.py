"""Folders are locked by one process at a time, and no longer than it lives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gnn_branching.contracts import InputError
from gnn_branching.durable import exclusive

HOLDER = """
import os, sys, time
from pathlib import Path
from gnn_branching.durable import exclusive
with exclusive(Path(sys.argv[1]), work="job is running in"):
    child = os.fork()
    if child:
        print(child, flush=True)
    time.sleep(60)
"""


def test_a_killed_process_leaves_no_lock_though_its_child_lives(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        try:
            with pytest.raises(InputError, match=r"another job is running in .*; wait for it") as refused:
                lock(tmp_path)
            assert "\n" not in str(refused.value)
            holder.kill()
            holder.wait()
            lock(tmp_path)
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_folder_that_cannot_be_made_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write .*; choose a folder that can be written to"):
        lock(tmp_path / "file" / "folder")


def lock(folder: Path) -> None:
    with exclusive(folder, work="job is running in"):
        pass
