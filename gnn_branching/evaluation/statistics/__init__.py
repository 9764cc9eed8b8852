"""Statistics of solves: NumPy and SciPy on rows, no solver, no pictures."""
