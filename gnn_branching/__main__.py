"""Run the command line with ``python -m gnn_branching``."""

import sys

from gnn_branching.cli import main

sys.exit(main())
