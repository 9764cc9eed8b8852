"""Ecole and PySCIPOpt must share one SCIP library."""

from gnn_branching.solver.environment import scip_environment


def test_one_libscip_is_mapped_in_the_process() -> None:
    found = scip_environment()
    assert found.ecole_version
    assert len(found.libraries) == 1
    assert "pyscipopt.libs" in found.libraries[0]
