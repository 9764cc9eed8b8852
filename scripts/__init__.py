"""Experiments and set-up; run them with ``python -m scripts.NAME``."""
