"""Compile Ecole against the SCIP inside PySCIPOpt's wheel, and install it.

Ecole has no wheel, and it must share one SCIP library with PySCIPOpt, or it cannot see a live PySCIPOpt model. So it is
compiled here against the very file that PySCIPOpt loads, in a throw-away environment, as an ordinary user; what came
out is kept. The steps are those of :func:`~gnn_branching.ecole_build.install.install_ecole`.
"""

from gnn_branching.ecole_build.install import cache_folder, install_ecole

__all__ = ["cache_folder", "install_ecole"]
