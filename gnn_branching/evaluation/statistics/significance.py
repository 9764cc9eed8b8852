"""The two functions that statistics take from SciPy."""

from __future__ import annotations

import numpy as np
from scipy import stats

from gnn_branching.contracts import FloatArray


def wilcoxon_p(differences: FloatArray) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test; 1 if all differences vanish.

    Zeros share their ranks (Pratt 1959). Exact without ties and zeros up to 50 differences, else the normal
    approximation (``scipy.stats.wilcoxon``, ``method="auto"``).
    """
    if not np.any(differences):
        return 1.0
    return float(stats.wilcoxon(differences, zero_method="pratt").pvalue)


def student_quantile(probability: float, n_degrees_of_freedom: int) -> float:
    """Return the quantile of Student's t distribution."""
    return float(stats.t.ppf(probability, n_degrees_of_freedom))
