"""Losses, metrics, the training loop, and the published baselines."""
