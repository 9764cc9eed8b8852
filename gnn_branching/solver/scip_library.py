"""SCIP's shared library in this process: where it lies, and its C functions for compiled code.

Numba calls a C function like any other instruction, so that a loop over a thousand columns costs microseconds, where
PySCIPOpt would make an object of each. The functions are SCIP's public ones, resolved by name in the very library that
PySCIPOpt has loaded: nothing depends on the layout of SCIP's structs.
"""

from __future__ import annotations

import ctypes

import numpy as np

from gnn_branching.compilation import Function, LazyModule, external, helper, intrinsic, kernel, of_numba
from gnn_branching.contracts import FloatArray, IndexArray
from gnn_branching.solver.environment import scip_library

_types = LazyModule("numba.core.types")
_carray = of_numba("carray")

ADDRESS = "int64"
"""A pointer, as a number."""
REAL, INT, BOOL, LONG = "float64", "int32", "uint8", "int64"
"""``SCIP_Real``; ``int`` and enumerations; ``SCIP_Bool``, whose lowest byte tells; ``SCIP_Longint``."""
OKAY = 1
"""``SCIP_OKAY``."""


@intrinsic
def _pointer(typing_context, address):  # type: ignore[no-untyped-def]
    def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return _types.voidptr(_types.int64), emit


@helper
def addresses_at(address: int, n: int) -> IndexArray:
    """Return the ``n`` pointers of a C array, int64, without a copy."""
    found: IndexArray = _carray(_pointer(address), n, np.int64)
    return found


@helper
def reals_at(address: int, n: int) -> FloatArray:
    """Return the ``n`` numbers of a C array, float64, without a copy."""
    found: FloatArray = _carray(_pointer(address), n, np.float64)
    return found


def compiled(function: Function) -> Function:
    """Compile a function that calls SCIP for the types of its annotations, at import; cached on disk."""
    return kernel(error_model="numpy")(function)


# For all: compiled code calls SCIP's functions by name.
ctypes.CDLL(str(scip_library()), mode=ctypes.RTLD_GLOBAL)

all_columns_in_lp = external("SCIPallColsInLP", BOOL, ADDRESS)
best_solution = external("SCIPgetBestSol", ADDRESS, ADDRESS)
branch_on_variable = external("SCIPbranchVar", INT, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS)
branch_score = external("SCIPgetBranchScore", REAL, ADDRESS, ADDRESS, REAL, REAL)
depth = external("SCIPgetDepth", INT, ADDRESS)
estimate = external("SCIPgetLocalTransEstimate", REAL, ADDRESS)
floor = external("SCIPfeasFloor", REAL, ADDRESS, REAL)
fraction = external("SCIPfeasFrac", REAL, ADDRESS, REAL)
infinity = external("SCIPinfinity", REAL, ADDRESS)
is_equal = external("SCIPisEQ", BOOL, ADDRESS, REAL, REAL)
is_positive = external("SCIPisPositive", BOOL, ADDRESS, REAL)
lower_bound = external("SCIPgetLowerbound", REAL, ADDRESS)
lp_candidates = external(
    "SCIPgetLPBranchCands", INT, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS
)  # fmt: skip
lp_columns = external("SCIPgetLPCols", ADDRESS, ADDRESS)
lp_objective = external("SCIPgetLPObjval", REAL, ADDRESS)
lp_rows = external("SCIPgetLPRows", ADDRESS, ADDRESS)
n_lp_columns = external("SCIPgetNLPCols", INT, ADDRESS)
n_lp_rows = external("SCIPgetNLPRows", INT, ADDRESS)
n_lps = external("SCIPgetNLPs", LONG, ADDRESS)
n_nodes = external("SCIPgetNNodes", LONG, ADDRESS)
n_open_nodes = external("SCIPgetNNodesLeft", INT, ADDRESS)
n_pseudocosts = external("SCIPgetPseudocostCount", REAL, ADDRESS, INT, INT)
n_variables = external("SCIPgetNVars", INT, ADDRESS)
objective_norm = external("SCIPgetObjNorm", REAL, ADDRESS)
plunge_depth = external("SCIPgetPlungeDepth", INT, ADDRESS)
pseudo_candidates = external("SCIPgetPseudoBranchCands", INT, ADDRESS, ADDRESS, ADDRESS, ADDRESS)
root_lower_bound = external("SCIPgetLowerboundRoot", REAL, ADDRESS)
upper_bound = external("SCIPgetUpperbound", REAL, ADDRESS)
variables = external("SCIPgetVars", ADDRESS, ADDRESS)

column_age = external("SCIPcolGetAge", INT, ADDRESS)
column_basis_status = external("SCIPcolGetBasisStatus", INT, ADDRESS)
column_coefficients = external("SCIPcolGetVals", ADDRESS, ADDRESS)
column_index = external("SCIPcolGetVarProbindex", INT, ADDRESS)
column_lower_bound = external("SCIPcolGetLb", REAL, ADDRESS)
column_n_nonzeros = external("SCIPcolGetNNonz", INT, ADDRESS)
column_objective = external("SCIPcolGetObj", REAL, ADDRESS)
column_rows = external("SCIPcolGetRows", ADDRESS, ADDRESS)
column_solution_value = external("SCIPcolGetPrimsol", REAL, ADDRESS)
column_upper_bound = external("SCIPcolGetUb", REAL, ADDRESS)

row_activity = external("SCIPgetRowLPActivity", REAL, ADDRESS, ADDRESS)
row_age = external("SCIProwGetAge", INT, ADDRESS)
row_coefficients = external("SCIProwGetVals", ADDRESS, ADDRESS)
row_columns = external("SCIProwGetCols", ADDRESS, ADDRESS)
row_constant = external("SCIProwGetConstant", REAL, ADDRESS)
row_current_activity = external("SCIPgetRowActivity", REAL, ADDRESS, ADDRESS)
row_dual_value = external("SCIProwGetDualsol", REAL, ADDRESS)
row_is_modifiable = external("SCIProwIsModifiable", BOOL, ADDRESS)
row_left = external("SCIProwGetLhs", REAL, ADDRESS)
row_n_all_nonzeros = external("SCIProwGetNNonz", INT, ADDRESS)
row_n_nonzeros = external("SCIProwGetNLPNonz", INT, ADDRESS)
row_norm = external("SCIProwGetNorm", REAL, ADDRESS)
row_number = external("SCIProwGetIndex", INT, ADDRESS)
row_position = external("SCIProwGetLPPos", INT, ADDRESS)
row_right = external("SCIProwGetRhs", REAL, ADDRESS)

solution_value = external("SCIPgetSolVal", REAL, ADDRESS, ADDRESS, ADDRESS)


variable_average = external("SCIPvarGetAvgSol", REAL, ADDRESS)
variable_column = external("SCIPvarGetCol", ADDRESS, ADDRESS)
variable_conflict_score = external("SCIPgetVarConflictScore", REAL, ADDRESS, ADDRESS)
variable_cutoff_score = external("SCIPgetVarAvgCutoffScore", REAL, ADDRESS, ADDRESS)
variable_cutoffs = external("SCIPvarGetCutoffSum", REAL, ADDRESS, INT)
variable_global_lower_bound = external("SCIPvarGetLbGlobal", REAL, ADDRESS)
variable_global_upper_bound = external("SCIPvarGetUbGlobal", REAL, ADDRESS)
variable_inference_score = external("SCIPgetVarAvgInferenceScore", REAL, ADDRESS, ADDRESS)
variable_local_lower_bound = external("SCIPvarGetLbLocal", REAL, ADDRESS)
variable_local_upper_bound = external("SCIPvarGetUbLocal", REAL, ADDRESS)
variable_lp_value = external("SCIPvarGetLPSol", REAL, ADDRESS)
variable_n_branchings = external("SCIPvarGetNBranchings", LONG, ADDRESS, INT)
variable_n_pseudocosts = external("SCIPgetVarPseudocostCount", REAL, ADDRESS, ADDRESS, INT)
variable_objective = external("SCIPvarGetObj", REAL, ADDRESS)
variable_pseudocost = external("SCIPgetVarPseudocost", REAL, ADDRESS, ADDRESS, INT)
variable_pseudocost_score = external("SCIPgetVarPseudocostScore", REAL, ADDRESS, ADDRESS, REAL)
variable_pseudocost_variance = external("SCIPgetVarPseudocostVariance", REAL, ADDRESS, ADDRESS, INT, INT)
variable_reduced_cost = external("SCIPgetVarRedcost", REAL, ADDRESS, ADDRESS)
variable_strong_branching = external(
    "SCIPgetVarStrongbranchLast", INT, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS
)  # fmt: skip
variable_strong_branching_age = external("SCIPgetVarStrongbranchLPAge", LONG, ADDRESS, ADDRESS)
variable_type = external("SCIPvarGetType", INT, ADDRESS)
