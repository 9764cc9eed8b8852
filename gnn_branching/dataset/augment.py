"""Exact augmentation: the sample of an equivalent problem, whose features differ and whose label does not.

What rescaling and moving a problem does to Ecole's ``NodeBipartite`` (ecole-fork 0.10, each tried on a live SCIP):

- objective scaled by a positive number: nothing; objective, reduced costs and dual values are over its norm;
- rows scaled by a positive number ``a``: coefficients, sides and cosines are over the row's norm and stay, but the dual
  value, itself ``1 / a`` of the old one, is divided by the norm once more, so the feature shrinks by ``a²``:
  :func:`scale_rows`;
- origin of a variable moved (CAMBranch, Lin et al. 2024): sides and values move along, and the column's age, which
  counts LPs with value 0, is 0 once the value 0 is out of reach: :func:`shift_binaries`;
- rows or variables permuted: a graph network cannot see it.

The expert's scores are gains in the dual bound, which none of them changes but objective scaling, by a common factor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from gnn_branching.contracts import ROW_FEATURES, VARIABLE_FEATURES, IndexArray, InputError, Sample
from gnn_branching.dataset.loader import Augmentation

HIGHEST_SHIFT = 5
"""Random shifts are drawn from 1 to this."""
SHARE_SHIFTED = 0.5
"""Share of the samples that a random shift moves; the others stay."""
HIGHEST_ROW_SCALE = 2.0
"""Random row scales are log-uniform between this and its inverse."""

_BIAS = ROW_FEATURES.index("bias")
_DUAL = ROW_FEATURES.index("dual_solution_value")
_BINARY = VARIABLE_FEATURES.index("is_type_binary")
_INTEGER = VARIABLE_FEATURES.index("is_type_integer")
_VALUE = VARIABLE_FEATURES.index("solution_value")
_AGE = VARIABLE_FEATURES.index("scaled_age")
_INCUMBENT = VARIABLE_FEATURES.index("incumbent_value")
_AVERAGE = VARIABLE_FEATURES.index("average_incumbent_value")


def shift_binaries(sample: Sample, shifts: IndexArray) -> Sample:
    """Return the sample of the problem in which binary variable ``j`` is ``x_j + shifts[j]``.

    Args:
        sample: Any sample; candidates' Khalil features, for which this is not derived, are left out of the result.
        shifts: int64, (n_variables,): 0 leaves a variable alone; -1 is not allowed, as the new variable could be 0 in
            LPs of which the features say nothing, and only binaries move, as only their bounds are known.

    Raises:
        InputError: If a shift is -1 or moves another variable than a binary.
    """
    state = sample.state
    moved = shifts != 0
    if (shifts == -1).any() or (state.variable_features[moved, _BINARY] != 1).any():
        raise InputError("only binary variables can be shifted, and not by -1; set the other shifts to 0")
    variables, rows = state.variable_features.copy(), state.row_features.copy()
    variables[moved, _BINARY], variables[moved, _INTEGER] = 0.0, 1.0
    variables[moved, _AGE] = 0.0
    variables[:, _VALUE] += shifts
    if np.isfinite(sample.origin.primal_bound):
        variables[:, _INCUMBENT] += shifts
        variables[:, _AVERAGE] += shifts
    row, variable = state.edge_indices
    rows[:, _BIAS] += np.bincount(row, state.edge_values * shifts[variable], minlength=state.n_rows)
    moved_state = replace(state, row_features=rows, variable_features=variables, candidate_features=None)
    return replace(sample, state=moved_state)


def scale_rows(sample: Sample, factor: float) -> Sample:
    """Return the sample of the problem in which every row, with its sides, is multiplied by ``factor`` > 0.

    Candidates' Khalil features, for which this is not derived, are left out of the result.

    Raises:
        InputError: If the factor is not positive and finite.
    """
    if not (np.isfinite(factor) and factor > 0):
        raise InputError(f"rows scaled by {factor}; use a positive finite number")
    rows = sample.state.row_features.copy()
    rows[:, _DUAL] /= factor**2
    return replace(sample, state=replace(sample.state, row_features=rows, candidate_features=None))


def random_shift(sample: Sample, rng: np.random.Generator) -> Sample:
    """Shift all binaries of half of the samples, each by 1 to ``HIGHEST_SHIFT``."""
    if rng.random() >= SHARE_SHIFTED:
        return sample
    shifts = rng.integers(1, HIGHEST_SHIFT + 1, sample.state.n_variables)
    return shift_binaries(sample, np.where(sample.state.variable_features[:, _BINARY] == 1, shifts, 0))


def random_row_scale(sample: Sample, rng: np.random.Generator) -> Sample:
    """Scale all rows of a sample by a random factor."""
    span = np.log(HIGHEST_ROW_SCALE)
    return scale_rows(sample, float(np.exp(rng.uniform(-span, span))))


AUGMENTATIONS: Mapping[str, Augmentation | None] = MappingProxyType(
    {"none": None, "shift": random_shift, "row-scale": random_row_scale}
)


def get_augmentation(name: str) -> Augmentation | None:
    """Return the augmentation called ``name``; None for ``none``.

    Raises:
        InputError: If there is none of that name.
    """
    if name not in AUGMENTATIONS:
        raise InputError(f"augmentation {name!r} is unknown; choose one of {', '.join(AUGMENTATIONS)}")
    return AUGMENTATIONS[name]
