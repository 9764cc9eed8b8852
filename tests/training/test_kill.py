"""SIGKILL at random moments, then the same command again: the weights of an uninterrupted training, bit for bit."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from gnn_branching.training.outputs import read_metrics

from .killable import N_STEPS
from .toys import same_weights

ROOT = Path(__file__).parents[2]


def start(folder: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.training.killable", str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def kill_at(folder: Path, step: int, delay_seconds: float) -> int:
    """Kill a training soon after it announces ``step``; return the last step announced."""
    process = start(folder)
    assert process.stdout is not None
    last = 0
    for line in process.stdout:
        last = int(line)
        if last >= step:
            break
    time.sleep(delay_seconds)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"
    return last


@pytest.mark.slow
def test_killed_three_times_equals_uninterrupted(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    moments = np.sort(rng.choice(np.arange(2, N_STEPS - 4), 3, replace=False)).tolist()
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert start(whole).wait() == 0
    for moment in moments:
        assert kill_at(parts, moment, float(rng.uniform(0, 0.01))) >= moment
    assert start(parts).wait() == 0
    for name in ("best.safetensors", f"step-{N_STEPS:09d}.safetensors"):
        assert same_weights(load_file(whole / "checkpoints" / name), load_file(parts / "checkpoints" / name)), name
    timeless = [
        [(r.epoch, r.step, r.train_loss, r.valid_loss, r.acc_1, r.is_best) for r in read_metrics(f / "metrics.jsonl")]
        for f in (whole, parts)
    ]
    assert timeless[0] == timeless[1]
    assert not list((parts / "checkpoints").glob("*.partial"))
