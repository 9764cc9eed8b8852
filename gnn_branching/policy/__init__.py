"""Policies that score branching candidates, and the compiled runtime of the graph network."""

from gnn_branching.policy.load import list_policies, load_policy, push_policy

__all__ = ["list_policies", "load_policy", "push_policy"]
