"""Samples to PyTorch Geometric batches: streamed, ragged, without padding."""
