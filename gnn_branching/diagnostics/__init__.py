"""Read-only measurements of a network and its training; none claims a guarantee whose assumptions it did not check."""
