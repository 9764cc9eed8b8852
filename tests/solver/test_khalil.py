"""Khalil's features are those of Ecole to the last bit, at real tree nodes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import ecole
import numpy as np
import pyscipopt
import pytest

from gnn_branching.contracts import CandidateSet
from gnn_branching.feature_schema import KHALIL_SCHEMA, N_KHALIL_FEATURES
from gnn_branching.solver.candidates import Candidates, HandoverError
from gnn_branching.solver.features import FeatureExtractor
from tests.conftest import SMALL_FAMILIES
from tests.solver.probe import probe
from tests.solver.test_random_programs import write_program


class Comparison:
    """Compares the features of a tree node's candidates with Ecole's, and keeps them."""

    def __init__(self, kind: CandidateSet) -> None:
        self.observation = ecole.observation.Khalil2016(pseudo_candidates=kind is CandidateSet.PSEUDO)
        self.extractor = FeatureExtractor(KHALIL_SCHEMA)
        self.seen: list[np.ndarray] = []

    def __call__(self, model: pyscipopt.Model, candidates: Candidates) -> None:
        expected = self.observation.extract(ecole.scip.Model.from_pyscipopt(model), False).features
        features = self.extractor.extract(model, candidates).candidate_features
        assert features is not None
        assert features.shape == (len(candidates), N_KHALIL_FEATURES)
        np.testing.assert_array_equal(features, expected[candidates.indices])
        self.seen.append(features)


@pytest.mark.parametrize("settings", ["paper", "default"])
@pytest.mark.parametrize("kind", CandidateSet)
@pytest.mark.parametrize("family", SMALL_FAMILIES)
def test_features_are_those_of_ecole(
    small_instances: Mapping[str, list[Path]], family: str, kind: CandidateSet, settings: str
) -> None:
    seen = []
    for path in small_instances[family][:4]:
        comparison = Comparison(kind)
        probe(path, comparison, kind=kind, settings=settings)
        seen += comparison.seen
    assert len(seen) > 3


def test_features_of_general_programs_are_those_of_ecole(tmp_path: Path) -> None:
    """General integers, rows of every sense, coefficients of both signs, not all whole: nearly every column varies."""
    seen = []
    for seed in range(60):
        write_program(tmp_path / "a.lp", seed)
        text = (tmp_path / "a.lp").read_text()
        (tmp_path / "a.lp").write_text(text.replace(" x1 ", ".5 x1 ").replace(" x2 ", ".25 x2 "))
        comparison = Comparison(CandidateSet.PSEUDO)
        probe(tmp_path / "a.lp", comparison, kind=CandidateSet.PSEUDO)
        seen += comparison.seen
    features = np.concatenate(seen)
    constant = np.flatnonzero(features.min(axis=0) == features.max(axis=0))
    assert constant.size <= 4, constant


def test_a_root_that_was_not_seen_hands_over(small_instances: Mapping[str, list[Path]]) -> None:
    extractor = FeatureExtractor(KHALIL_SCHEMA)
    n_checked = 0

    def check(model: pyscipopt.Model, candidates: Candidates) -> None:
        nonlocal n_checked
        if model.getDepth() > 0:
            n_checked += 1
            with pytest.raises(HandoverError, match="khalil-root-unknown"):
                extractor.extract(model, candidates)

    probe(small_instances["set-cover"][1], check, n_nodes=6)
    assert n_checked > 1
