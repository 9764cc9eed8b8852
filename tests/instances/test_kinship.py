"""A folder of models is taken for one family unless its rows say otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from gnn_branching.contracts import InputError
from gnn_branching.instances.kinship import check_kinship

ROW = "Minimize\n obj: x + {y} y\nSubject To\n c: x + {y} y >= 1\n{more}Bounds\n 0 <= x <= 9\n{types}End\n"


def write(folder: Path, name: str, *, y: int = 2, more: str = "", types: str = "General\n x\n") -> Path:
    path = folder / name
    path.write_text(ROW.format(y=y, more=more, types=types))
    return path


def test_one_family_passes_whatever_its_numbers(small_instances: Mapping[str, list[Path]]) -> None:
    for paths in small_instances.values():
        check_kinship(paths)


def test_two_families_are_told_apart(small_instances: Mapping[str, list[Path]]) -> None:
    covers, auctions = small_instances["set-cover"], small_instances["combinatorial-auction"]
    locations = small_instances["capacitated-facility-location"]
    with pytest.raises(InputError, match=r"set-cover-0\.lp and capacitated-facility-location-0\.lp are of different"):
        check_kinship([*covers[:5], *locations[:5]])
    check_kinship([*covers, *auctions])  # rows of binary variables with unit coefficients, both of them


def test_a_kind_of_row_may_be_missing_and_an_odd_one_out_stays(tmp_path: Path) -> None:
    plain = [write(tmp_path, f"plain-{i}.lp", y=2 + i) for i in range(20)]
    richer = [write(tmp_path, f"richer-{i}.lp", more=" d: x + y <= 7\n") for i in range(5)]
    check_kinship([*plain, *richer])
    odd = write(tmp_path, "odd.lp", types="")
    with pytest.raises(InputError, match=r"odd\.lp has no integer variable, so there is nothing to branch on"):
        check_kinship([*plain, odd])
    other = write(tmp_path, "other.lp", y=1, types="Binary\n x\n y\n")
    check_kinship([*plain, other])
    with pytest.raises(InputError, match="are of different families"):
        check_kinship([*plain[:5], other])
