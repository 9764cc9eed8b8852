"""Ecole and PySCIPOpt must share one SCIP library."""

from gnn_branching.solver.environment import mapped_scip_libraries


def test_one_libscip_is_mapped_in_the_process() -> None:
    libraries = mapped_scip_libraries()
    assert len(libraries) == 1
    assert "pyscipopt.libs" in libraries[0]
