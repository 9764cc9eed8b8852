"""The settings of SCIP that a rule deserves: a space of them, a search through it, proof, and the recipe."""
