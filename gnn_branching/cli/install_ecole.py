"""``gnn-branching install-ecole``."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter


def install_ecole(*, force: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Compile Ecole against PySCIPOpt's own SCIP, and install it into this environment.

    Does nothing where Ecole works already. Takes one to three minutes, a C++ compiler and SCIP's C headers, which are
    looked for here and then among Debian's packages; the wheel is kept, so that the next environment takes seconds.

    Example: `gnn-branching install-ecole`

    Parameters
    ----------
    force
        Compile anew, even if a working Ecole is there.
    """
    from gnn_branching import ecole_build

    print(ecole_build.install_ecole(force=force))
