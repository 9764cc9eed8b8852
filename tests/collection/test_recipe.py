"""Who labels a dataset: Ecole where it is, SCIP by itself elsewhere, and whoever began to until it is done."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gnn_branching.collection.recipe import begun_recipe, choose_labeller, make_recipe, recipe_difference
from gnn_branching.config import CollectionConfig, ExperimentConfig
from gnn_branching.contracts import InputError, InstanceFile
from gnn_branching.instances import InstanceSplits
from gnn_branching.shards import DatasetDescription, write_description
from gnn_branching.solver.ecole_module import ecole_name, scip_name

CONFIG = ExperimentConfig()
LIMITED = replace(CONFIG, collection=CollectionConfig(strong_branching_iteration_limit=50))


@pytest.fixture
def without_ecole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ecole", None)


def splits(generator: str = "") -> InstanceSplits:
    def files(name: str) -> tuple[InstanceFile, ...]:
        return (
            InstanceFile(path=name, family="set-cover", size="easy", seed=1, sha256=name * 64, generator=generator),
        )

    return InstanceSplits(train=files("a"), valid=files("b"), test=files("c"))


def begin(dataset: Path, recipe: dict[str, object]) -> Path:
    dataset.mkdir(exist_ok=True)
    write_description(dataset, DatasetDescription(recipe=recipe))
    return dataset


def of_before(config: ExperimentConfig, ecole: str) -> dict[str, object]:
    """Return a recipe as versions before this one wrote it."""
    recipe = make_recipe(config, splits(), "")
    versions = recipe["versions"]
    assert isinstance(versions, dict)
    return {
        **{key: value for key, value in recipe.items() if key not in ("labelled_by", "generated_by")},
        "versions": {**versions, "ecole-fork": ecole},
    }


def test_ecole_labels_where_it_is(tmp_path: Path) -> None:
    assert choose_labeller(CONFIG.collection, tmp_path) == ecole_name() == "ecole 0.10.0"
    assert choose_labeller(LIMITED.collection, tmp_path) == scip_name()


@pytest.mark.usefixtures("without_ecole")
def test_scip_labels_elsewhere(tmp_path: Path) -> None:
    assert choose_labeller(CONFIG.collection, tmp_path) == scip_name()
    assert scip_name().startswith("scip 10.")


def test_what_scip_began_goes_on_with_scip(tmp_path: Path) -> None:
    recipe = make_recipe(CONFIG, splits(), scip_name())
    assert choose_labeller(CONFIG.collection, begin(tmp_path / "d", recipe)) == scip_name()


@pytest.mark.usefixtures("without_ecole")
@pytest.mark.parametrize("is_old", [False, True])
def test_what_ecole_began_is_refused_without_it(tmp_path: Path, is_old: bool) -> None:
    recipe = of_before(CONFIG, "0.10.0") if is_old else make_recipe(CONFIG, splits(), "ecole 0.10.0")
    with pytest.raises(InputError, match=r"were begun by ecole 0\.10\.0: not installed: ecole.*another folder"):
        choose_labeller(CONFIG.collection, begin(tmp_path / "d", recipe))
    limited = of_before(LIMITED, "0.10.0")
    assert choose_labeller(LIMITED.collection, begin(tmp_path / "l", limited)) == scip_name()


def test_recipes_of_earlier_versions_are_the_same(tmp_path: Path) -> None:
    now = make_recipe(CONFIG, splits("ecole 0.10.0"), "ecole 0.10.0")
    assert now["generated_by"] == "ecole 0.10.0"
    assert recipe_difference(of_before(CONFIG, "0.10.0"), now) == ""
    assert recipe_difference(of_before(LIMITED, "0.10.0"), make_recipe(LIMITED, splits(), scip_name())) == ""
    begun = begun_recipe(begin(tmp_path / "d", of_before(CONFIG, "0.9.0")))
    assert begun is not None
    assert recipe_difference(begun, now) == "labelled_by is 'ecole 0.9.0' there, 'ecole 0.10.0' asked"


def test_another_labeller_is_another_recipe() -> None:
    one, other = (make_recipe(CONFIG, splits(), name) for name in ("ecole 0.10.0", "scip 10.0.2"))
    assert recipe_difference(one, other) == "labelled_by is 'ecole 0.10.0' there, 'scip 10.0.2' asked"
    assert recipe_difference(one, one) == ""
