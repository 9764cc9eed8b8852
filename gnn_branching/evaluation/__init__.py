"""Paired comparison of branching rules: solves, statistics, tables, pictures and one page."""
