"""The bipartite graph network: layers, fused kernels, checkpoint."""
