"""Whether a policy is at home in a model, and whether it does well there: what makes the rule hand over to SCIP.

Two tests. What the policy sees must lie within the ranges that it was trained on; this costs microseconds, and finds
models of another kind at the root. And at a few tree nodes strong branching compares the policy's choice with that of
SCIP's pseudocosts: a betting martingale (Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by
betting", section 4) grows as long as the policy loses, and may be looked at after every bet.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyscipopt

from gnn_branching.compilation import FixedRealMatrix, Reals, kernel
from gnn_branching.contracts import BranchingState, CandidateIndex, FeatureRanges, FloatArray
from gnn_branching.equal_costs import EqualCosts, scaled
from gnn_branching.feature_schema import ROW_FEATURES, VARIABLE_FEATURES
from gnn_branching.solver.candidates import Candidates, HandoverError, pseudocost_scores
from gnn_branching.solver.expert import limited_strong_branching

MARGIN = 0.1
"""A value is outside if it is beyond its range by more than this part of the range's width."""
MOST_OUTSIDE = 0.3
"""Share of a feature's values that may be outside; ranges leave out a hundredth of the training's."""
FIRST_CHECKS, CHECK_EVERY = 4, 64
"""Tree nodes at which what the policy sees is checked: the first few, then now and then."""

AGE = "scaled_age"
"""Not checked: it tells how long the search has gone on, and nothing of the model. Under other settings than those of
the training a third of it may lie outside at home."""

SHARE_OF_ITERATIONS = 0.02
"""LP iterations that comparisons may take, of all there were so far."""
LPS_OF_A_COMPARISON = 4
"""Two children of two candidates."""
TOLERATED_LOSS = 0.2
"""Mean loss, in [-1, 1], that a policy may have: it is cheaper than what it is compared with, and may choose worse."""
STAKE = 0.9
"""Part of the wealth at risk in a bet."""
HAND_OVER_AT, COME_BACK_AT = 10.0, 1.0
"""Wealth at which the policy has lost (it is as high with probability 1/10 at most if it has not), and has not."""
LEAST_WEALTH = 0.1
"""Wealth never falls below: a policy that was good for long is still caught when it turns bad."""


class InputGuard:
    """Tells whether tree nodes look like those of the training.

    Args:
        ranges: What was seen in training.
    """

    def __init__(self, ranges: FeatureRanges) -> None:
        self._ranges = replace(
            ranges,
            row=_without(ranges.row, ROW_FEATURES.index(AGE)),
            variable=_without(ranges.variable, VARIABLE_FEATURES.index(AGE)),
        )
        self._equal_costs = EqualCosts(ranges)
        self.n_checks = 0
        self._is_home = True

    def is_home(self, state: BranchingState) -> bool:
        """Return whether the policy may decide at a tree node, looking again at some of them only."""
        if self.n_checks < FIRST_CHECKS or self.n_checks % CHECK_EVERY == 0:
            self._is_home = self.outside(state) <= MOST_OUTSIDE
        self.n_checks += 1
        return self._is_home

    def outside(self, state: BranchingState) -> float:
        """Return, of the feature that is furthest from home, the share of values outside its range."""
        ranges, state = self._ranges, scaled(state, self._equal_costs.scale(state))
        return max(
            share_outside(state.row_features, *ranges.row),
            share_outside(state.edges.values[:, None], *ranges.edge),
            share_outside(state.variable_features, *ranges.variable),
        )


def _without(bounds: FloatArray, column: int) -> FloatArray:
    """Return bounds that let a column be anything."""
    open_ended = bounds.copy()
    # A quarter of the largest number: the width between both, and the margin on it, must not overflow.
    open_ended[:, column] = (-np.finfo(np.float64).max / 4, np.finfo(np.float64).max / 4)
    return open_ended


class GainGuard:
    """Bets, at a few tree nodes, that SCIP's pseudocosts choose better than the policy.

    How often depends on LP iterations, not on time: a solve is the same whenever it is done again.

    Attributes:
        wealth: What the bets have made of 1.
        n_bets: Bets settled.
        n_comparisons: Strong branching on two candidates, whether it settled a bet or not.
        n_iterations: LP iterations that comparisons took.
    """

    def __init__(self) -> None:
        self.wealth = 1.0
        self.n_bets = 0
        self.n_comparisons = 0
        self.n_iterations = 0
        self._has_lost = False

    @property
    def has_lost(self) -> bool:
        """Whether SCIP is to decide for now."""
        # Two thresholds, so that who decides does not flicker from bet to bet.
        self._has_lost = self.wealth > (COME_BACK_AT if self._has_lost else HAND_OVER_AT)
        return self._has_lost

    def may_compare(self, model: pyscipopt.Model) -> bool:
        """Return whether another comparison is affordable at this tree node.

        It is expected to take what the ones before took on average, and the first what the solve's LPs did: a small
        tree, where no number of bets could make a difference, pays for none.
        """
        so_far = model.getNLPIterations()
        if self.n_comparisons:
            expected = self.n_iterations / self.n_comparisons
        else:
            expected = LPS_OF_A_COMPARISON * so_far / max(model.getNLPs(), 1)
        return bool(self.n_iterations + expected <= SHARE_OF_ITERATIONS * so_far)

    def compare(self, candidates: Candidates, chosen: CandidateIndex) -> None:
        """Strong-branch on the policy's choice and on SCIP's pseudocosts', if they differ, and settle the bet."""
        rival = int(np.argmax(pseudocost_scores(candidates)))
        if rival == chosen:
            return
        model = candidates.model
        before = model.getNStrongbranchLPIterations()
        try:
            # Only what is not idempotent is counted by SCIP, and only what is counted has a budget.
            ours, rivals = limited_strong_branching(model, candidates, -1, (chosen, rival), idempotent=False)
        except HandoverError:  # an LP failed: no bet
            return
        finally:
            self.n_iterations += model.getNStrongbranchLPIterations() - before
            self.n_comparisons += 1
        if not ours + rivals > 0.0:  # neither gained anything, or one is NaN: there is nothing to divide
            return
        loss = float((rivals - ours) / (ours + rivals))
        # The loss is at least -1: a bet multiplies the wealth by 1 - STAKE at worst, and never makes it negative. As
        # long as the mean loss is tolerable, no bet is expected to raise it.
        self.wealth *= 1.0 + STAKE / (1.0 + TOLERATED_LOSS) * (loss - TOLERATED_LOSS)
        self.wealth = max(self.wealth, LEAST_WEALTH)
        self.n_bets += 1


@kernel(nogil=True)
def share_outside(values: FixedRealMatrix, low: Reals, high: Reals) -> float:
    """Return the largest share, over the columns, of values outside the column's range, widened by ``MARGIN``.

    Args:
        values: (n, n_features).
        low: (n_features,).
        high: (n_features,).
    """
    most = 0
    for k in range(values.shape[1]):
        margin = MARGIN * (high[k] - low[k]) + 1e-9
        n_outside = 0
        for i in range(values.shape[0]):
            n_outside += not low[k] - margin <= values[i, k] <= high[k] + margin
        most = max(most, n_outside)
    return float(most / max(values.shape[0], 1))
