"""SCIP's shared library in this process: where it lies, and its C functions for compiled code.

Numba calls a C function like any other instruction, so that a loop over a thousand columns costs microseconds, where
PySCIPOpt would make an object of each. The functions are SCIP's public ones, resolved by name in the very library that
PySCIPOpt has loaded: nothing depends on the layout of SCIP's structs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import llvmlite.binding  # type: ignore[import-untyped]
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from gnn_branching.compilation import Function, kernel
from gnn_branching.contracts import FloatArray, IndexArray
from gnn_branching.solver.environment import scip_library

ADDRESS = types.int64
"""A pointer, as a number."""
REAL, INT, BOOL = types.float64, types.int32, types.uint8
"""``SCIP_Real``; ``int`` and enumerations; ``SCIP_Bool``, whose lowest byte tells."""
OKAY = 1
"""``SCIP_OKAY``."""


@intrinsic
def _pointer(typing_context, address):  # type: ignore[no-untyped-def]
    def emit(context, builder: ir.IRBuilder, signature, arguments) -> ir.Value:  # type: ignore[no-untyped-def]
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), emit


@numba.njit(inline="always")
def addresses_at(address: int, n: int) -> IndexArray:
    """Return the ``n`` pointers of a C array, int64, without a copy."""
    return numba.carray(_pointer(address), n, np.int64)  # type: ignore[attr-defined, call-arg]


@numba.njit(inline="always")
def reals_at(address: int, n: int) -> FloatArray:
    """Return the ``n`` numbers of a C array, float64, without a copy."""
    return numba.carray(_pointer(address), n, np.float64)  # type: ignore[attr-defined, call-arg]


def compiled(function: Function) -> Function:
    """Compile a function that calls SCIP for the types of its annotations, at import; cached on disk."""
    return kernel(error_model="numpy")(function)


def _function(name: str, result: types.Type, *arguments: types.Type) -> Callable[..., Any]:
    return cast(Callable[..., Any], types.ExternalFunction(name, result(*arguments)))


llvmlite.binding.load_library_permanently(str(scip_library()))

all_columns_in_lp = _function("SCIPallColsInLP", BOOL, ADDRESS)
best_solution = _function("SCIPgetBestSol", ADDRESS, ADDRESS)
branch_on_variable = _function("SCIPbranchVar", INT, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS)
branch_score = _function("SCIPgetBranchScore", REAL, ADDRESS, ADDRESS, REAL, REAL)
depth = _function("SCIPgetDepth", INT, ADDRESS)
estimate = _function("SCIPgetLocalTransEstimate", REAL, ADDRESS)
floor = _function("SCIPfeasFloor", REAL, ADDRESS, REAL)
fraction = _function("SCIPfeasFrac", REAL, ADDRESS, REAL)
infinity = _function("SCIPinfinity", REAL, ADDRESS)
is_equal = _function("SCIPisEQ", BOOL, ADDRESS, REAL, REAL)
is_positive = _function("SCIPisPositive", BOOL, ADDRESS, REAL)
lower_bound = _function("SCIPgetLowerbound", REAL, ADDRESS)
lp_candidates = _function(
    "SCIPgetLPBranchCands", INT, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS
)  # fmt: skip
lp_columns = _function("SCIPgetLPCols", ADDRESS, ADDRESS)
lp_objective = _function("SCIPgetLPObjval", REAL, ADDRESS)
lp_rows = _function("SCIPgetLPRows", ADDRESS, ADDRESS)
n_lp_columns = _function("SCIPgetNLPCols", INT, ADDRESS)
n_lp_rows = _function("SCIPgetNLPRows", INT, ADDRESS)
n_lps = _function("SCIPgetNLPs", types.int64, ADDRESS)
n_nodes = _function("SCIPgetNNodes", types.int64, ADDRESS)
n_open_nodes = _function("SCIPgetNNodesLeft", INT, ADDRESS)
n_pseudocosts = _function("SCIPgetPseudocostCount", REAL, ADDRESS, INT, INT)
n_variables = _function("SCIPgetNVars", INT, ADDRESS)
objective_norm = _function("SCIPgetObjNorm", REAL, ADDRESS)
plunge_depth = _function("SCIPgetPlungeDepth", INT, ADDRESS)
pseudo_candidates = _function("SCIPgetPseudoBranchCands", INT, ADDRESS, ADDRESS, ADDRESS, ADDRESS)
root_lower_bound = _function("SCIPgetLowerboundRoot", REAL, ADDRESS)
upper_bound = _function("SCIPgetUpperbound", REAL, ADDRESS)
variables = _function("SCIPgetVars", ADDRESS, ADDRESS)

column_age = _function("SCIPcolGetAge", INT, ADDRESS)
column_basis_status = _function("SCIPcolGetBasisStatus", INT, ADDRESS)
column_coefficients = _function("SCIPcolGetVals", ADDRESS, ADDRESS)
column_index = _function("SCIPcolGetVarProbindex", INT, ADDRESS)
column_lower_bound = _function("SCIPcolGetLb", REAL, ADDRESS)
column_n_nonzeros = _function("SCIPcolGetNNonz", INT, ADDRESS)
column_objective = _function("SCIPcolGetObj", REAL, ADDRESS)
column_rows = _function("SCIPcolGetRows", ADDRESS, ADDRESS)
column_solution_value = _function("SCIPcolGetPrimsol", REAL, ADDRESS)
column_upper_bound = _function("SCIPcolGetUb", REAL, ADDRESS)

row_activity = _function("SCIPgetRowLPActivity", REAL, ADDRESS, ADDRESS)
row_age = _function("SCIProwGetAge", INT, ADDRESS)
row_coefficients = _function("SCIProwGetVals", ADDRESS, ADDRESS)
row_columns = _function("SCIProwGetCols", ADDRESS, ADDRESS)
row_constant = _function("SCIProwGetConstant", REAL, ADDRESS)
row_current_activity = _function("SCIPgetRowActivity", REAL, ADDRESS, ADDRESS)
row_dual_value = _function("SCIProwGetDualsol", REAL, ADDRESS)
row_is_modifiable = _function("SCIProwIsModifiable", BOOL, ADDRESS)
row_left = _function("SCIProwGetLhs", REAL, ADDRESS)
row_n_all_nonzeros = _function("SCIProwGetNNonz", INT, ADDRESS)
row_n_nonzeros = _function("SCIProwGetNLPNonz", INT, ADDRESS)
row_norm = _function("SCIProwGetNorm", REAL, ADDRESS)
row_number = _function("SCIProwGetIndex", INT, ADDRESS)
row_position = _function("SCIProwGetLPPos", INT, ADDRESS)
row_right = _function("SCIProwGetRhs", REAL, ADDRESS)

solution_value = _function("SCIPgetSolVal", REAL, ADDRESS, ADDRESS, ADDRESS)


variable_average = _function("SCIPvarGetAvgSol", REAL, ADDRESS)
variable_column = _function("SCIPvarGetCol", ADDRESS, ADDRESS)
variable_conflict_score = _function("SCIPgetVarConflictScore", REAL, ADDRESS, ADDRESS)
variable_cutoff_score = _function("SCIPgetVarAvgCutoffScore", REAL, ADDRESS, ADDRESS)
variable_cutoffs = _function("SCIPvarGetCutoffSum", REAL, ADDRESS, INT)
variable_global_lower_bound = _function("SCIPvarGetLbGlobal", REAL, ADDRESS)
variable_global_upper_bound = _function("SCIPvarGetUbGlobal", REAL, ADDRESS)
variable_inference_score = _function("SCIPgetVarAvgInferenceScore", REAL, ADDRESS, ADDRESS)
variable_local_lower_bound = _function("SCIPvarGetLbLocal", REAL, ADDRESS)
variable_local_upper_bound = _function("SCIPvarGetUbLocal", REAL, ADDRESS)
variable_lp_value = _function("SCIPvarGetLPSol", REAL, ADDRESS)
variable_n_branchings = _function("SCIPvarGetNBranchings", types.int64, ADDRESS, INT)
variable_n_pseudocosts = _function("SCIPgetVarPseudocostCount", REAL, ADDRESS, ADDRESS, INT)
variable_objective = _function("SCIPvarGetObj", REAL, ADDRESS)
variable_pseudocost = _function("SCIPgetVarPseudocost", REAL, ADDRESS, ADDRESS, INT)
variable_pseudocost_score = _function("SCIPgetVarPseudocostScore", REAL, ADDRESS, ADDRESS, REAL)
variable_pseudocost_variance = _function("SCIPgetVarPseudocostVariance", REAL, ADDRESS, ADDRESS, INT, INT)
variable_reduced_cost = _function("SCIPgetVarRedcost", REAL, ADDRESS, ADDRESS)
variable_strong_branching = _function(
    "SCIPgetVarStrongbranchLast", INT, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS
)  # fmt: skip
variable_strong_branching_age = _function("SCIPgetVarStrongbranchLPAge", types.int64, ADDRESS, ADDRESS)
variable_type = _function("SCIPvarGetType", INT, ADDRESS)
