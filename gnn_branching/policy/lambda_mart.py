"""LambdaMART: boosted trees that rank (Burges 2010), fitted and run by LightGBM."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gnn_branching.contracts import FloatArray, IndexArray, InputError
from gnn_branching.feature_schema import N_KHALIL_FEATURES
from gnn_branching.libraries import imported
from gnn_branching.policy.baseline import Baseline, Predictor
from gnn_branching.policy.candidate_table import VALIDATION_SHARE, CandidateTable
from gnn_branching.policy.card import TEXT_FILE, PolicyCard, read_file
from gnn_branching.seeding import derive_seed, generator

N_GRADES = 15
"""LambdaMART's relevance of the best; the others have the rounded share of it."""
N_BOOSTING_ROUNDS = 500
EARLY_STOPPING_ROUNDS = 50
N_BOOSTING_LEAVES = 31


class LambdaMart(Baseline):
    """The ranker as a policy kind, in LightGBM's own text format."""

    name = "lambda-mart"
    library = "lightgbm"
    weights_file = TEXT_FILE

    def fit_table(self, table: CandidateTable, *, seed: int, n_threads: int = -1) -> str:
        """Fit until held-out ranks stop improving; return the model in LightGBM's text format."""
        lightgbm = imported("baselines", "lightgbm")
        fitted, held_out = table.split(VALIDATION_SHARE, generator(seed, "lambda-mart"))
        ranker = lightgbm.LGBMRanker(
            objective="lambdarank",
            n_estimators=N_BOOSTING_ROUNDS,
            num_leaves=N_BOOSTING_LEAVES,
            learning_rate=0.05,
            label_gain=[2**grade - 1 for grade in range(N_GRADES + 1)],
            random_state=derive_seed(seed, "lambda-mart"),
            n_jobs=n_threads,
            deterministic=True,
            force_row_wise=True,
            verbosity=-1,
        )
        ranker.fit(
            fitted.features,
            _grades(fitted),
            group=fitted.n_candidates,
            eval_X=held_out.features,
            eval_y=_grades(held_out),
            eval_group=[held_out.n_candidates],
            eval_at=[1],
            callbacks=[lightgbm.early_stopping(EARLY_STOPPING_ROUNDS, verbose=False)],
        )
        text: str = ranker.booster_.model_to_string(num_iteration=ranker.best_iteration_)
        return text

    def predictor(self, folder: Path, card: PolicyCard) -> Predictor:
        """Read the model."""
        lightgbm = imported("baselines", "lightgbm")
        try:
            booster = lightgbm.Booster(model_str=read_file(folder, card).decode())
        except (lightgbm.basic.LightGBMError, UnicodeDecodeError) as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"{folder / card.weights_file} is no model of LightGBM ({reason}); train it again"
            ) from None
        if booster.num_feature() != N_KHALIL_FEATURES:
            n_features = booster.num_feature()
            raise InputError(f"{folder} reads {n_features} features, not {N_KHALIL_FEATURES}; train it again")

        def predict(features: FloatArray) -> FloatArray:
            return np.asarray(booster.predict(features, num_threads=1), dtype=np.float64)

        return predict


def _grades(table: CandidateTable) -> IndexArray:
    return np.rint(table.shares * N_GRADES).astype(np.int64)


KIND = LambdaMart()
