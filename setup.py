"""A wheel with kernels that were compiled ahead is for one Python and one system; pyproject.toml has all the rest."""

import sysconfig
from pathlib import Path

from setuptools import Distribution, setup

LIBRARY = Path("gnn_branching", "compilation", f"_ahead{sysconfig.get_config_var('EXT_SUFFIX')}")


class WithKernels(Distribution):
    """What is built, its tag after the library of kernels that lies in the package, if any does."""

    def has_ext_modules(self) -> bool:
        """Return whether the wheel is for one Python and one system."""
        return LIBRARY.exists()


setup(distclass=WithKernels)
