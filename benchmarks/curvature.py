"""Curvature of any PyTorch network, beside curvlinops and SciPy: the same quantities, to the same accuracy.

    pip install --no-deps curvlinops-for-pytorch einops einconv linear_operator jaxtyping wadler_lindig
    python -m benchmarks.curvature --width 64

On the table model of ``examples/watch_any_network.py``, trained for a while, in double precision, all of its rows: the
largest eigenvalues of the Hessian and of the Gauss-Newton matrix by Lanczos to the same tolerance from the same vector,
and the Hessian's trace by the same number of sign vectors. Medians of wall seconds, in turns.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import eigsh
from torch import nn

from examples.watch_any_network import RATE, table
from gnn_branching.contracts import InputError
from gnn_branching.diagnostics.measures.any_network import batch_probe
from gnn_branching.diagnostics.measures.curvature import gauss_newton_top, hessian_top, hessian_trace

TOLERANCE = 1e-8


def trained(width: int, n_steps: int) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """Return a network after some steps of Adam, in double precision, with its rows and labels."""
    torch.manual_seed(0)
    rows, labels = table()
    layers = (nn.Linear(2, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2))
    network = nn.Sequential(*layers)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    for _ in range(n_steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(rows), labels).backward()
        optimizer.step()
    return network.double(), rows.double(), labels


def benchmark(*, width: int = 64, n_steps: int = 100, n_vectors: int = 100, n_repetitions: int = 5) -> dict[str, float]:
    """Measure; the docstring of this module says what.

    Args:
        width: Of the network.
        n_steps: Steps of its training.
        n_vectors: Sign vectors of a trace.
        n_repetitions: Of each measurement, of which the median counts.

    Raises:
        InputError: If curvlinops is not installed.
    """
    try:
        curvlinops: Any = __import__("curvlinops")
    except ImportError as error:
        raise InputError(f"{error}; the benchmark's docstring says how to install curvlinops") from None
    network, rows, labels = trained(width, n_steps)
    probe = batch_probe(network, rows, labels)
    parameters = probe.parameters()
    start = torch.from_numpy(np.random.default_rng(0).standard_normal(len(parameters)))
    peer = (network, nn.CrossEntropyLoss(), list(network.parameters()), [(rows, labels)])

    def top(operator: Any) -> float:
        scipy_operator = operator.to_scipy()
        return float(eigsh(scipy_operator, k=1, which="LA", v0=start.numpy(), tol=TOLERANCE)[0][0])

    def hessian() -> Any:
        return curvlinops.HessianLinearOperator(*peer, check_deterministic=False)

    def gauss_newton() -> Any:
        return curvlinops.GGNLinearOperator(*peer, check_deterministic=False)

    measured: dict[str, tuple[Callable[[], float], Callable[[], float]]] = {
        "hessian_top": (
            lambda: hessian_top(probe, parameters, start=start, tolerance=TOLERANCE).value,
            lambda: top(hessian()),
        ),
        "gauss_newton_top": (
            lambda: gauss_newton_top(probe, parameters, start=start, tolerance=TOLERANCE).value,
            lambda: top(gauss_newton()),
        ),
        "hessian_trace": (
            lambda: hessian_trace(probe, parameters, n_vectors=n_vectors, seed=0)[0],
            lambda: float(curvlinops.hutchinson_trace(hessian(), n_vectors, distribution="rademacher")),
        ),
    }
    figures = {"n_parameters": float(len(parameters))}
    for name, pair in measured.items():
        seconds: tuple[list[float], list[float]] = ([], [])
        values = [0.0, 0.0]
        for _ in range(n_repetitions):
            for whose, measure in enumerate(pair):
                began = perf_counter()
                values[whose] = measure()
                seconds[whose].append(perf_counter() - began)
        figures |= {
            name: values[0],
            f"reference_{name}": values[1],
            f"{name}_seconds": median(seconds[0]),
            f"reference_{name}_seconds": median(seconds[1]),
        }
    return figures


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--n-steps", type=int, default=100)
    parser.add_argument("--n-vectors", type=int, default=100)
    parser.add_argument("--n-repetitions", type=int, default=5)
    print(json.dumps(benchmark(**vars(parser.parse_args())), indent=1))


if __name__ == "__main__":
    main()
