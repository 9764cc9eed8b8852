"""Everything that touches SCIP: the only importer of PySCIPOpt and Ecole."""
