"""Read problem files, with one clear line for whatever is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyscipopt

from gnn_branching.contracts import InputError
from gnn_branching.solver.output import native_output

PROBLEM_SUFFIXES = (".lp", ".mps", ".cip", ".opb", ".wbo", ".nl", ".zpl")
"""Formats that SCIP's wheel reads; each may be followed by ``.gz``."""


Problems = str | Path | Sequence[pyscipopt.Model]
"""What a user has: a folder of problem files, or PySCIPOpt models."""


def problem_folder(problems: Problems, folder: Path) -> Path:
    """Return where problems lie as files; models are written into ``folder`` first, as they were before presolving.

    Raises:
        InputError: If there is no model among them.
    """
    if isinstance(problems, str | Path):
        return Path(problems)
    if not problems or not all(isinstance(model, pyscipopt.Model) for model in problems):
        raise InputError(f"{problems!r} are no models; give a folder of problem files, or PySCIPOpt models")
    folder.mkdir(parents=True, exist_ok=True)
    for number, model in enumerate(problems):
        is_linear = all(constraint.isLinear() for constraint in model.getConss(transformed=False))
        suffix = ".mps" if is_linear else ".cip"  # MPS, which other solvers read too, leaves out what it cannot say
        file, name = folder / f"model-{number:05d}{suffix}", model.getProbName()
        # A model that was read from a file is named by the file's place, and the same models shall give the same files.
        model.setProbName(file.stem)
        model.writeProblem(file, genericnames=True, verbose=False)
        model.setProbName(name)
    return folder


def read_problem(path: str | Path) -> pyscipopt.Model:
    """Read a problem file into a silent model.

    Raises:
        InputError: If the file is missing, of an unknown format or malformed.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(f"problem file {file} does not exist" + (" (it is a folder)" if file.is_dir() else ""))
    if Path(file.name.removesuffix(".gz")).suffix.lower() not in PROBLEM_SUFFIXES:
        raise InputError(f"problem file {file} ends in none of {', '.join(PROBLEM_SUFFIXES)}, nor these with .gz")
    model = pyscipopt.Model()
    with native_output() as messages:
        try:
            model.readProblem(str(file))
        except Exception as error:
            reason = str(error)
        else:
            reason = ""
    model.hideOutput()
    if reason:
        raise InputError(f"SCIP cannot read {file}: {_first_message(messages) or reason}")
    if model.getNVars(transformed=False) == 0 and model.getNConss(transformed=False) == 0:
        raise InputError(f"SCIP found neither variables nor constraints in {file}")
    return model


def _first_message(lines: list[str]) -> str:
    """Return the first line that names an error, without SCIP's source location."""
    texts = [line.rpartition("ERROR:")[2].strip() for line in lines if "WARNING" not in line]
    said = [text for text in texts if text and not text.startswith(("Error <", "read problem", "===", "input: "))]
    return next((text for text in said if "line" in text.lower() or "error" in text.lower()), "".join(said[:1]))


@dataclass(frozen=True, slots=True, order=True)
class RowKind:
    """What kind of linear row a problem has.

    Args:
        sense: ``=``, ``≤`` (``≥`` is the same, negated), or ``≤ ≤`` with two different sides.
        variables: Types of its variables, sorted.
        is_unit: Whether all coefficients are ±1.
    """

    sense: str
    variables: tuple[str, ...]
    is_unit: bool

    def __str__(self) -> str:
        """Describe it in words."""
        types = " and ".join(self.variables).lower() or "no"
        return f"{types} variables with '{self.sense}' and {'unit' if self.is_unit else 'general'} coefficients"


def row_kinds(model: pyscipopt.Model) -> frozenset[RowKind]:
    """Return the kinds of a problem's linear rows, before presolving; constraints that are no rows are left out."""
    kinds = set()
    types = {variable.name: variable.vtype() for variable in model.getVars()}
    for constraint in model.getConss(transformed=False):
        if not constraint.isLinear():
            continue
        left, right = model.getLhs(constraint), model.getRhs(constraint)
        terms = model.getValsLinear(constraint)
        two_sided = not model.isInfinity(-left) and not model.isInfinity(right)
        sense = "≤" if not two_sided else "=" if left == right else "≤ ≤"
        is_unit = all(abs(value) == 1.0 for value in terms.values())
        kinds.add(RowKind(sense, tuple(sorted({types[name] for name in terms})), is_unit))
    return frozenset(kinds)
