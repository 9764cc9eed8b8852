"""The benchmark of training measures what it says; how fast it is, no test asks."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.training import benchmark
from tests.dataset.shards import synthetic_dataset


@pytest.mark.slow
def test_both_networks_train_alike_in_processes_of_their_own(tmp_path: Path) -> None:
    dataset = synthetic_dataset(tmp_path, {"train": 20})
    sizes = {"hidden_size": 8, "batch_size": 4, "n_batches": 2, "n_reference_batches": 2, "n_rounds": 1}
    figures = benchmark(dataset=dataset, n_threads=1, **sizes)
    assert figures["relative_gradient_difference"] < 1e-5
    assert figures["max_abs_gradient_difference"] > 0
    assert max(figures["max_relative_gradient_error"], figures["reference_max_relative_gradient_error"]) < 1e-4
    for prefix in ("", "reference_"):
        assert figures[f"{prefix}base_rss_mib"] <= figures[f"{prefix}train_peak_rss_mib"]
        assert figures[f"{prefix}train_peak_rss_mib"] <= figures[f"{prefix}peak_rss_mib"]
        assert figures[f"{prefix}samples_per_second"] > 0
