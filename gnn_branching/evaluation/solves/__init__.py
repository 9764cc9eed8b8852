"""Solving: what is to be solved, how it is guarded, and the rows and recordings that it leaves."""
