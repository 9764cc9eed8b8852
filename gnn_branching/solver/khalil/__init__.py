"""The candidates' features of Khalil et al. 2016, table 1, read from a live model by compiled code.

The numbers are those of Ecole's ``Khalil2016`` (ecole-fork 0.10.0, ``khalil-2016.cpp`` and ``math.hpp``), the published
baselines' features, to the last bit: policies and datasets of theirs stay good. That keeps what Ecole does other than
the paper says:

- the mean of a variable's positive (negative) coefficients is taken from their sum cut to a whole number, a negative
  one counted from 2**64 down; their deviation is taken from that mean;
- the largest negative coefficient is never below the smallest positive number there is;
- the deviation of coefficients in active rows counts the last of these rows alone.
"""

from gnn_branching.solver.khalil.dynamic import read_dynamic
from gnn_branching.solver.khalil.static import N_STATIC, read_static

__all__ = ["N_STATIC", "read_dynamic", "read_static"]
