"""How much of its time a job has used, over all its starts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from time import perf_counter

from gnn_branching.durable import write_json

HEARTBEAT_SECONDS = 5.0
"""What a kill may cost the count."""


class Ledger:
    """Wall time used by a job, kept on disk while it runs.

    Args:
        path: A JSON file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before = float(json.loads(path.read_text())["seconds"]) if path.is_file() else 0.0
        self._start = perf_counter()

    @property
    def seconds(self) -> float:
        """Wall time so far, that of earlier starts included."""
        return self._before + perf_counter() - self._start

    @contextmanager
    def running(self) -> Iterator[None]:
        """Write the time down every few seconds while the block runs, and at its end."""
        done = Event()

        # A heartbeat, as a kill runs no ``finally``: at most HEARTBEAT_SECONDS are forgotten.
        def beat() -> None:
            while not done.wait(HEARTBEAT_SECONDS):
                self._write()

        thread = Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            self._write()

    def _write(self) -> None:
        write_json(self._path, {"seconds": self.seconds})
